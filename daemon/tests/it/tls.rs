//! Every `sslmode` against a server with a certificate, the right one and wrong ones.

use std::time::Duration;

use daemon::postgres::{ConnectError, Os, Target};
use tempfile::TempDir;
use testkit::{Authority, Certificate, Postgres, Process};
use tokio::sync::OnceCell;

use super::certificates;
use super::{ask, connect, execute, file, os, target_of};

const SOON: Duration = Duration::from_secs(20);

/// Who may come in how, besides the administrator.
const HBA: &str = "\
local all all trust
hostssl all tls_only 127.0.0.1/32 trust
hostnossl all plain_only 127.0.0.1/32 trust
host all tls_only,plain_only all reject
host all mailer 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
";

/// A server whose certificate is for `db.test` and 127.0.0.1.
struct Server {
    postgres: Postgres,
    files: TempDir,
}

async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let authority = Authority::new("Ours").expect("authority");
            let names = ["db.test", "127.0.0.1"];
            let certificate = authority.certificate_for(&names).expect("certificate");
            let postgres = certificates::server(&certificate, HBA).await;
            let mut admin = connect(&postgres.conninfo("postgres")).await.expect("connect");
            execute(&mut admin, "CREATE ROLE tls_only LOGIN; CREATE ROLE plain_only LOGIN").await;
            execute(&mut admin, "CREATE ROLE mailer LOGIN PASSWORD 'hush'").await;
            let files = tempfile::tempdir().expect("temp dir");
            file(&files, "ca.pem", &authority.pem);
            file(&files, "home/.postgresql/root.crt", &authority.pem);
            let another = |name| Authority::new(name).expect("authority").pem;
            file(&files, "other.pem", &another("Another"));
            file(&files, "impostor.pem", &another("Ours"));
            file(&files, "bad-home/.postgresql/root.crt", &another("Another"));
            Server { postgres, files }
        })
        .await
}

impl Server {
    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn conninfo(&self, more: &str) -> String {
        let files = [("$CA", "ca.pem"), ("$OTHER", "other.pem"), ("$IMPOSTOR", "impostor.pem")];
        let more = files
            .iter()
            .fold(more.to_owned(), |more, (word, name)| more.replace(word, &self.path(name)));
        let port = self.postgres.port();
        format!("host=db.test hostaddr=127.0.0.1 port={port} user=postgres dbname=postgres {more}")
    }

    /// Whether the session that `more` leads to is encrypted.
    async fn encrypted(&self, more: &str) -> Result<bool, ConnectError> {
        self.encrypted_from("", more).await
    }

    async fn encrypted_from(&self, home: &str, more: &str) -> Result<bool, ConnectError> {
        let os = Os { home: Some(self.path(home).into()).filter(|_| !home.is_empty()), ..os() };
        let mut connected = target_of(&self.conninfo(more), &os).connect().await?;
        let ssl = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        Ok(ask(&mut connected, ssl).await == "true")
    }

    /// Asserts that the certificate is refused, with a reason that has `reason` in it.
    async fn refused(&self, home: &str, more: &str, reason: &str) {
        let error = self.encrypted_from(home, more).await.expect_err(more);
        assert!(error.to_string().contains(reason), "{more}: {error}");
        assert!(error.will_not_mend(), "{more}: {error}");
    }
}

#[tokio::test]
async fn without_verification_the_mode_decides_only_about_encryption() {
    let server = server().await;
    for (mode, encrypted) in
        [("disable", false), ("allow", false), ("prefer", true), ("require", true)]
    {
        let more = format!("sslmode={mode}");
        assert_eq!(server.encrypted(&more).await.expect(mode), encrypted, "{mode}");
    }
    assert!(server.encrypted("").await.expect("the default"), "prefer is the default");
    assert!(server.encrypted("sslsni=0").await.expect("without a server name"));
}

#[tokio::test]
async fn verify_full_wants_a_trusted_root_and_the_right_name() {
    let server = server().await;
    let full = "sslmode=verify-full sslrootcert=$CA";
    assert!(server.encrypted(full).await.expect("all is right"));
    assert!(server.encrypted(&format!("{full} host=127.0.0.1")).await.expect("an address as name"));
    assert!(server.encrypted(&format!("{full} host=''")).await.expect("the address alone"));
    server.refused("", &format!("{full} host=other.test"), "not valid for name").await;
    server.refused("", "sslmode=verify-full sslrootcert=$OTHER", "UnknownIssuer").await;
    server.refused("", "sslmode=verify-full sslrootcert=$IMPOSTOR", "BadSignature").await;
}

#[tokio::test]
async fn verify_ca_wants_a_trusted_root_and_any_name() {
    let server = server().await;
    assert!(server.encrypted("sslmode=verify-ca sslrootcert=$CA").await.expect("all is right"));
    let other_name = "sslmode=verify-ca sslrootcert=$CA host=other.test";
    assert!(server.encrypted(other_name).await.expect("the name does not matter"));
    server.refused("", "sslmode=verify-ca sslrootcert=$OTHER", "UnknownIssuer").await;
}

#[tokio::test]
async fn a_root_file_at_home_is_used_and_makes_require_verify() {
    let server = server().await;
    assert!(server.encrypted_from("home", "sslmode=verify-full").await.expect("all is right"));
    assert!(server.encrypted_from("home", "sslmode=require").await.expect("all is right"));
    let other_name = "sslmode=require host=other.test";
    assert!(server.encrypted_from("home", other_name).await.expect("the name does not matter"));
    server.refused("bad-home", "sslmode=require", "UnknownIssuer").await;
    server.refused("home", "sslmode=require sslrootcert=$OTHER", "UnknownIssuer").await;
    assert!(server.encrypted_from("bad-home", "sslmode=prefer").await.expect("not verified"));
}

#[tokio::test]
async fn the_system_is_trusted_when_asked() {
    let server = server().await;
    for (roots, exit_code) in [("ca.pem", 0), ("other.pem", 101)] {
        let child = Process::at(std::env::current_exe().expect("this binary"))
            .args(["--exact", "tls::the_child_of_the_system", "--nocapture"])
            .env("SSL_CERT_FILE", server.path(roots))
            .envs([("PGSSLROOTCERT", "system"), ("PGHOST", "db.test"), ("PGHOSTADDR", "127.0.0.1")])
            .envs([("PGPORT", server.postgres.port().to_string().as_str()), ("PGUSER", "postgres")])
            .spawn()
            .expect("spawn");
        assert_eq!(child.wait(SOON).expect("ends"), exit_code, "{}", child.stderr());
    }
}

/// Does nothing but in the child process above: what is trusted by a process, and what is in its
/// environment, is settled before it starts.
#[tokio::test]
async fn the_child_of_the_system() {
    if std::env::var_os("PGSSLROOTCERT").is_some() {
        let target = Target::from_env("").expect("all from the environment");
        assert!(target.describe().contains("sslmode=verify-full sslrootcert=system"), "{target}");
        target.connect().await.expect("connect");
    }
}

#[tokio::test]
async fn prefer_and_allow_take_the_other_way_when_the_server_insists() {
    let server = server().await;
    assert!(server.encrypted("user=tls_only sslmode=allow").await.expect("second try"));
    assert!(server.encrypted("user=tls_only sslmode=prefer").await.expect("first try"));
    assert!(!server.encrypted("user=plain_only sslmode=prefer").await.expect("second try"));
    assert!(!server.encrypted("user=plain_only sslmode=allow").await.expect("first try"));
    for more in ["user=plain_only sslmode=require", "user=tls_only sslmode=disable"] {
        let error = server.encrypted(more).await.expect_err(more);
        assert_eq!(error.sqlstate(), Some("28000"), "{error}");
        assert!(error.will_not_mend());
    }
}

#[tokio::test]
async fn a_password_is_bound_to_the_channel() {
    let server = server().await;
    let login = "user=mailer password=hush";
    let bound = format!("{login} channel_binding=require sslmode=require");
    assert!(server.encrypted(&bound).await.expect("over TLS"));
    let plain = format!("{login} channel_binding=require sslmode=disable");
    let error = server.encrypted(&plain).await.expect_err("there is no channel to bind to");
    assert!(error.will_not_mend() && !error.to_string().contains("hush"), "{error}");
}

#[tokio::test]
async fn a_unix_socket_is_never_encrypted() {
    let server = server().await;
    for mode in ["require", "prefer"] {
        let conninfo = format!("{} sslmode={mode}", server.postgres.conninfo("postgres"));
        connect(&conninfo).await.expect(mode);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_only_where_it_is_required() {
    let plain = format!("host=127.0.0.1 port={} dbname=postgres", testkit::shared().port());
    for mode in ["disable", "allow", "prefer"] {
        connect(&format!("{plain} sslmode={mode}")).await.expect(mode);
    }
    let error = connect(&format!("{plain} sslmode=require")).await.expect_err("no TLS there");
    assert!(error.to_string().contains("server does not support TLS"), "{error}");
    assert!(error.will_not_mend());
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_it_is_the_root_itself() {
    let certificate = Certificate::self_signed(&["db.test"]).expect("certificate");
    let files = tempfile::tempdir().expect("temp dir");
    let root = file(&files, "root.crt", &certificate.pem);
    let postgres = certificates::server(&certificate, HBA).await;
    let at = |host: &str| {
        let (port, root) = (postgres.port(), root.display());
        format!("host={host} hostaddr=127.0.0.1 port={port} sslmode=verify-full sslrootcert={root}")
    };
    connect(&at("db.test")).await.expect("it is the root");
    let error = connect(&at("other.test")).await.expect_err("another name");
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_even_when_it_is_the_root_itself() {
    let certificate = Certificate::expired_self_signed(&["db.test"]).expect("certificate");
    let files = tempfile::tempdir().expect("temp dir");
    let root = file(&files, "root.crt", &certificate.pem);
    let postgres = certificates::server(&certificate, HBA).await;
    let at = format!("host=db.test hostaddr=127.0.0.1 port={}", postgres.port());
    let verify = format!("{at} sslmode=verify-ca sslrootcert={}", root.display());
    let error = connect(&verify).await.expect_err("it has expired");
    assert!(error.to_string().contains("expired") && error.will_not_mend(), "{error}");
    connect(&format!("{at} sslmode=require")).await.expect("nobody looks at the date");
}
