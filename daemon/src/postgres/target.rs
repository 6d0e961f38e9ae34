//! What a connection string means: where to go, as whom, and how.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, TargetSessionAttrs};

use super::conninfo;
use super::hosts::{self, Host, Server};
use super::options::Options;
use super::os::Os;
use super::passfile;
use super::tls::Tls;

/// For one server, everything from the first packet to a usable session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A dead peer is noticed after 10 s + 3 · 5 s without a word from it …
const KEEPALIVES_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVES_COUNT: u32 = 3;
/// … or after 30 s in which it acknowledged nothing.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A database to connect to. `Debug` and `Display` show it without the password.
#[derive(Clone)]
pub struct Target {
    /// Everything but host, port, password and encryption, which differ between servers.
    pub(super) config: Config,
    pub(super) servers: Vec<Server>,
    pub(super) tls: Tls,
    /// None: as long as it takes.
    pub(super) connect_timeout: Option<Duration>,
    /// Whether the servers, and the addresses of each, are tried in random order.
    pub(super) shuffled: bool,
    pub(super) socket_dirs: Vec<PathBuf>,
    pub(super) dbname: String,
    pub(super) user: String,
    pub(super) password: Option<String>,
    passfile: Option<PathBuf>,
}

impl Target {
    /// Reads a connection string, a URI or `key=value` pairs, with libpq's habits: what it leaves out
    /// comes from the `PG…` variables, which `env` looks up, and from `os`.
    ///
    /// # Errors
    /// What is wrong with it, naming the key or variable and never a value.
    pub fn parse(url: &str, env: &dyn Fn(&str) -> Option<String>, os: &Os) -> Result<Self, String> {
        let options = Options::gather(conninfo::parse(url)?, env)?;
        let Some(user) = options.text("user").or(os.user.as_deref()) else {
            return Err("no user is given, and the operating system has no name for us".to_owned());
        };
        let dbname = options.text("dbname").unwrap_or(user);
        let connect_timeout = match options.number::<i64>("connect_timeout")? {
            None => Some(CONNECT_TIMEOUT),
            // libpq: zero or less waits for ever.
            Some(seconds) => {
                u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs)
            }
        };
        let passfile = options.text("passfile").map(PathBuf::from);
        let shuffled = [("disable", false), ("random", true)];
        Ok(Self {
            config: config(&options, user, dbname)?,
            servers: hosts::servers(&options)?,
            tls: Tls::from_options(&options, os)?,
            connect_timeout,
            shuffled: options.one_of("load_balance_hosts", false, &shuffled)?,
            socket_dirs: os.socket_dirs.clone(),
            dbname: dbname.to_owned(),
            user: user.to_owned(),
            password: options.text("password").map(str::to_owned),
            passfile: passfile.or(os.home.as_ref().map(|home| home.join(".pgpass"))),
        })
    }

    /// [`parse`](Self::parse) with the environment and the operating system of this process.
    ///
    /// # Errors
    /// As there; also a `PG…` variable that is not UTF-8 text.
    pub fn from_env(url: &str) -> Result<Self, String> {
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("PG") && value.to_str().is_none() {
                return Err(format!("{name} is not UTF-8 text"));
            }
        }
        Self::parse(url, &|name| std::env::var(name).ok(), &Os::current())
    }

    /// Sets the name that the server shows for us, unless the connection string or `PGAPPNAME` did.
    #[must_use]
    pub fn with_application_name(mut self, prog: &str) -> Self {
        if self.config.get_application_name().is_none() {
            self.config.application_name(prog);
        }
        self
    }

    /// The password for `server`: what was said, or what the password file has.
    pub(super) fn password(&self, server: &Server) -> Option<String> {
        if self.password.is_some() {
            return self.password.clone();
        }
        let host = self.host_of(server);
        let local = self.socket_dirs.iter().any(|dir| dir.as_os_str() == host.as_str());
        let hosts = if local { vec![host.as_str(), "localhost"] } else { vec![host.as_str()] };
        passfile::password(self.passfile.as_deref()?, &hosts, server.port, &self.dbname, &self.user)
    }

    /// The host as it would be written in a connection string.
    pub(super) fn host_of(&self, server: &Server) -> String {
        match &server.host {
            Host::DefaultSocket => {
                hosts::socket_dir(&self.socket_dirs, server.port).display().to_string()
            }
            Host::Socket(dir) => dir.display().to_string(),
            Host::Name(name) | Host::Address { name: Some(name), .. } => name.clone(),
            Host::Address { name: None, address } => address.to_string(),
        }
    }
}

/// What is the same for all servers.
fn config(options: &Options, user: &str, dbname: &str) -> Result<Config, String> {
    let mut config = Config::new();
    config.user(user).dbname(dbname);
    if let Some(options) = options.text("options") {
        config.options(options);
    }
    let fallback = || options.text("fallback_application_name");
    if let Some(name) = options.text("application_name").or_else(fallback) {
        config.application_name(name);
    }
    config.channel_binding(options.one_of(
        "channel_binding",
        ChannelBinding::Prefer,
        &[
            ("disable", ChannelBinding::Disable),
            ("prefer", ChannelBinding::Prefer),
            ("require", ChannelBinding::Require),
        ],
    )?);
    // We write, so a primary that does not take writes is of no use either.
    config.target_session_attrs(options.one_of(
        "target_session_attrs",
        TargetSessionAttrs::Any,
        &[
            ("any", TargetSessionAttrs::Any),
            ("read-write", TargetSessionAttrs::ReadWrite),
            ("primary", TargetSessionAttrs::ReadWrite),
        ],
    )?);

    // libpq: zero or less means the operating system's own value.
    let positive = |key, default: u64| -> Result<Option<u64>, String> {
        let said = options.number::<i64>(key)?;
        let said = said.map(|number| u64::try_from(number).ok().filter(|number| *number > 0));
        Ok(said.unwrap_or(Some(default)))
    };
    config.keepalives(options.number::<i64>("keepalives")? != Some(0));
    if let Some(seconds) = positive("keepalives_idle", KEEPALIVES_IDLE.as_secs())? {
        config.keepalives_idle(Duration::from_secs(seconds));
    }
    if let Some(seconds) = positive("keepalives_interval", KEEPALIVES_INTERVAL.as_secs())? {
        config.keepalives_interval(Duration::from_secs(seconds));
    }
    if let Some(count) = positive("keepalives_count", KEEPALIVES_COUNT.into())? {
        config.keepalives_retries(u32::try_from(count).unwrap_or(u32::MAX));
    }
    if let Some(ms) = positive("tcp_user_timeout", TCP_USER_TIMEOUT.as_millis() as u64)? {
        config.tcp_user_timeout(Duration::from_millis(ms));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn os() -> Os {
        Os {
            user: Some("me".to_owned()),
            home: Some("/nonexistent/home".into()),
            socket_dirs: vec!["/nonexistent/run".into(), "/nonexistent/tmp".into()],
        }
    }

    fn target(url: &str, env: &[(&str, &str)]) -> Result<Target, String> {
        let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Target::parse(url, &find, &os())
    }

    fn described(url: &str, env: &[(&str, &str)]) -> String {
        target(url, env).expect(url).describe()
    }

    const LOCAL: &str = "host=/nonexistent/run port=5432";

    #[test]
    fn what_is_left_out_is_the_local_server_and_ourselves() {
        let all = format!("{LOCAL} dbname=me user=me sslmode=prefer password=none");
        for url in ["", " ", "postgres://", "postgresql:///", "host=''", "user='' dbname=''"] {
            assert_eq!(described(url, &[]), all, "{url}");
        }
        assert_eq!(
            described("dbname=aegis", &[]),
            format!("{LOCAL} dbname=aegis user=me sslmode=prefer password=none")
        );
        assert_eq!(
            described("user=you", &[]),
            format!("{LOCAL} dbname=you user=you sslmode=prefer password=none")
        );
    }

    #[test]
    fn the_environment_fills_the_gaps() {
        let env = [
            ("PGHOST", "db.example"),
            ("PGHOSTADDR", "10.0.0.7"),
            ("PGPORT", "6432"),
            ("PGUSER", "mailer"),
            ("PGDATABASE", "mail"),
            ("PGPASSWORD", "hush"),
            ("PGSSLMODE", "require"),
            ("PGTARGETSESSIONATTRS", "read-write"),
            ("PGAPPNAME", "app"),
            ("PGOPTIONS", "-c search_path=x"),
            ("PGCONNECT_TIMEOUT", "7"),
        ];
        let target = target("user=other", &env).expect("valid");
        assert_eq!(
            target.describe(),
            "host=db.example hostaddr=10.0.0.7 port=6432 dbname=mail user=other sslmode=require \
             target_session_attrs=read-write password=set"
        );
        let target = target.with_application_name("collector");
        assert_eq!(target.config.get_application_name(), Some("app"));
        assert_eq!(target.config.get_options(), Some("-c search_path=x"));
        assert_eq!(target.connect_timeout, Some(Duration::from_secs(7)));
    }

    #[test]
    fn uris_and_pairs_say_the_same() {
        let uri = "postgres://you:p%20w@a:1,[::1]:2/my%20db?sslmode=disable&options=-c%20x%3D1";
        let pairs = "user=you password='p w' host=a,::1 port=1,2 dbname='my db' sslmode=disable \
                     options='-c x=1'";
        let expected = "host=a,::1 port=1,2 dbname='my db' user=you sslmode=disable password=set";
        assert_eq!(described(uri, &[]), expected);
        assert_eq!(described(pairs, &[]), expected);
    }

    #[test]
    fn sockets_and_time_outs_have_their_defaults() {
        let plain = target("", &[]).expect("valid").with_application_name("collector");
        assert_eq!(plain.config.get_application_name(), Some("collector"));
        assert_eq!(plain.connect_timeout, Some(Duration::from_secs(5)));
        assert!(plain.config.get_keepalives());
        assert_eq!(plain.config.get_keepalives_idle(), Duration::from_secs(10));
        assert_eq!(plain.config.get_keepalives_interval(), Some(Duration::from_secs(5)));
        assert_eq!(plain.config.get_keepalives_retries(), Some(3));
        assert_eq!(plain.config.get_tcp_user_timeout(), Some(&Duration::from_secs(30)));

        let said = "connect_timeout=0 keepalives=0 keepalives_idle=60 keepalives_interval=6 \
                    keepalives_count=2 tcp_user_timeout=1500";
        let said = target(said, &[]).expect("valid");
        assert_eq!(said.connect_timeout, None);
        assert!(!said.config.get_keepalives());
        assert_eq!(said.config.get_keepalives_idle(), Duration::from_secs(60));
        assert_eq!(said.config.get_keepalives_interval(), Some(Duration::from_secs(6)));
        assert_eq!(said.config.get_keepalives_retries(), Some(2));
        assert_eq!(said.config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        for (url, reason) in [
            (
                "sslmode=on",
                "sslmode is not one of disable, allow, prefer, require, verify-ca, verify-full",
            ),
            (
                "sslmode=verify-full",
                "sslmode=verify-ca and verify-full need root certificates: name a file with sslrootcert, or put it at ~/.postgresql/root.crt, or use sslrootcert=system",
            ),
            (
                "sslmode=require sslrootcert=system",
                "sslrootcert=system goes with sslmode=verify-full only",
            ),
            (
                "sslnegotiation=direct",
                "sslnegotiation=direct goes with sslmode=require or stronger",
            ),
            (
                "target_session_attrs=standby",
                "target_session_attrs is not one of any, read-write, primary",
            ),
            ("connect_timeout=soon", "connect_timeout is not a whole number in range"),
            ("sslkey=/x", "sslkey asks for something that is not supported here"),
        ] {
            assert_eq!(target(url, &[]).expect_err(url), reason);
        }
        let roots =
            target("sslmode=verify-ca sslrootcert=/nonexistent/ca", &[]).expect_err("no file");
        assert!(roots.starts_with("root certificates /nonexistent/ca: "), "{roots}");
        let nobody = Target::parse("", &|_| None, &Os::default()).expect_err("no user");
        assert_eq!(nobody, "no user is given, and the operating system has no name for us");
    }

    #[test]
    fn the_password_is_never_shown() {
        let target = target("postgres://me:hush@db/x", &[]).expect("valid");
        assert!(!format!("{target:?} {target}").contains("hush"));
        assert_eq!(target.password(&target.servers[0]).as_deref(), Some("hush"));
    }

    #[test]
    fn the_password_file_knows_a_local_server_as_localhost() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("pass");
        std::fs::write(&path, "localhost:5432:mail:me:hush\ndb:*:*:*:other\n").expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let env = [("PGPASSFILE", path.to_str().expect("UTF-8"))];
        for (url, password) in [
            ("dbname=mail", Some("hush")),
            ("dbname=mail host=/nonexistent/tmp", Some("hush")),
            ("dbname=mail host=/elsewhere", None),
            ("dbname=mail host=db hostaddr=10.0.0.1", Some("other")),
            ("dbname=mail password=said", Some("said")),
        ] {
            let target = target(url, &env).expect(url);
            assert_eq!(target.password(&target.servers[0]).as_deref(), password, "{url}");
        }
        assert!(described("dbname=mail", &env).ends_with("password=passfile"));
    }

    proptest! {
        #[test]
        fn never_panics(
            text in any::<String>(),
            pairs in "((host|port|hostaddr|sslmode|keepalives|connect_timeout)=['a-z0-9,:@/\\\\-]{0,8} ?){0,5}",
        ) {
            for url in [text.as_str(), &format!("postgres://{text}"), &pairs] {
                if let Ok(target) = target(url, &[]) {
                    let _ = target.describe();
                }
            }
        }
    }
}
