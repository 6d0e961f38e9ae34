//! The files of a server, and how its programs are run.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use crate::account::Account;
use crate::pg_binaries;

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether commits reach the disk. On by default; a test that does not measure turns it off.
    pub fsync: bool,
    /// Further lines of the configuration, as name and value.
    pub settings: Vec<(String, String)>,
    /// Variables of the server's environment, which holds nothing else but the PATH.
    pub env: Vec<(OsString, OsString)>,
}

impl Default for Options {
    fn default() -> Options {
        Options { fsync: true, settings: Vec::new(), env: Vec::new() }
    }
}

impl Options {
    /// For tests: nothing waits for the disk.
    pub fn fast() -> Options {
        Options { fsync: false, ..Options::default() }
    }

    /// Adds a setting, for instance `.set("max_connections", "300")`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Options {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Adds a variable to the server's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Options {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A directory with the data, the Unix socket and the log of a server. It does not remove itself.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: PathBuf,
    account: Option<Account>,
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Cluster {
    /// An empty directory; see [`initialise`](Cluster::initialise).
    pub(crate) fn new(options: &Options) -> anyhow::Result<Cluster> {
        let programs = pg_binaries::find()?;
        let account = Account::to_drop_to()?;
        // A short path, whatever TMPDIR says: a socket's may have no more than 107 bytes.
        let dir = tempfile::Builder::new().prefix("mailroom-pg-").tempdir_in("/tmp");
        let dir = dir.context("create a directory in /tmp")?.keep();
        Ok(Cluster { programs, account, dir, env: options.env.clone() })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of `postgres`.
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// Makes the data directory and its configuration.
    pub(crate) fn initialise(&self, options: &Options) -> anyhow::Result<()> {
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o755))
            .context("open the directory to other users")?;
        if let Some(account) = self.account {
            account.own(&self.dir)?;
        }
        let made = self
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"])
            .args(["--no-sync", "--no-instructions", "-D"])
            .arg(self.data_dir())
            .output()
            .with_context(|| format!("failed to run initdb in {}", self.programs.display()))?;
        let words = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb: {}: {}", made.status, words.trim());

        let on_off = if options.fsync { "on" } else { "off" };
        let mut conf = format!(
            "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = {on_off}\n\
             full_page_writes = {on_off}\nmax_prepared_transactions = 20\ntimezone = 'UTC'\n",
            self.dir.display()
        );
        for (name, value) in &options.settings {
            conf.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        let file = self.data_dir().join("postgresql.conf");
        let mut whole = fs::read_to_string(&file).context("read postgresql.conf")?;
        whole.push_str(&conf);
        fs::write(&file, whole).context("write postgresql.conf")
    }

    /// Starts `postgres`; it is not ready yet.
    pub(crate) fn spawn(&self, port: u16) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.context("open the server's log")?;
        self.command("postgres")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .arg("-D")
            .arg(self.data_dir())
            .args(["-p", &port.to_string(), "-k"])
            .arg(&self.dir)
            .stdout(log.try_clone().context("share the server's log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to run postgres in {}", self.programs.display()))
    }

    /// What the server has written to its log so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// In its own process group, so that a Ctrl-C meant for us reaches us alone; with no variables
    /// but the PATH, since PGDATA and its like would be obeyed.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .process_group(0);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }
}
