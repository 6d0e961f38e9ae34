//! A throw-away PostgreSQL server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::NoTls;

use crate::cluster::{Cluster, Options};
use crate::role::Role;
use crate::watchdog::Watchdog;
use crate::{apart, port, wait};

/// A crash recovery may have to replay what a test wrote.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// Someone may take the port between our choice and the server's start.
const START_TRIES_MAX: u32 = 5;

/// A PostgreSQL server of one's own: superuser `postgres`, every [`Role`], no passwords, reachable on
/// 127.0.0.1 and on a Unix socket. Dropping it ends it and removes its files, and so does the death of the
/// process that started it, by whatever cause.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    port: u16,
    server: Mutex<Option<Child>>,
    watchdog: Watchdog,
}

/// Test helper: the server that all tests of this process share; made at the first call, with
/// [`Options::fast`]. A test that restarts its server starts one of its own.
///
/// # Panics
///
/// If it cannot be started; the message says what to install.
#[expect(clippy::panic, reason = "a test helper: without a server there is nothing to test")]
pub fn shared() -> &'static Postgres {
    try_shared().unwrap_or_else(|error| panic!("start the shared PostgreSQL: {error:#}"))
}

/// Never dropped, being static: its watchdog ends it when this process does.
pub(crate) fn try_shared() -> anyhow::Result<&'static Postgres> {
    static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            let options = Options::fast().set("max_connections", "300");
            Postgres::start_with(&options).map_err(|error| format!("{error:#}"))
        })
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))
}

impl Postgres {
    /// Starts a server with the default [`Options`]; takes about two seconds.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is neither installed nor to be had, or does not start.
    pub fn start() -> anyhow::Result<Postgres> {
        Postgres::start_with(&Options::default())
    }

    /// Starts a server set up as `options` say.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is neither installed nor to be had, or does not start.
    pub fn start_with(options: &Options) -> anyhow::Result<Postgres> {
        let cluster = Cluster::new(options)?;
        let watchdog = Watchdog::start(Signal::QUIT, Some(cluster.dir()))?;
        cluster.initialise(options)?;
        let mut postgres = Postgres { cluster, port: 0, server: Mutex::new(None), watchdog };
        let mut tries = 1;
        loop {
            postgres.port = port::free_port()?;
            match postgres.start_again() {
                Ok(()) => {
                    postgres.make_roles()?;
                    return Ok(postgres);
                }
                Err(_) if tries < START_TRIES_MAX && postgres.log().contains("already in use") => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The roles of the migrations, here with the right to log in.
    fn make_roles(&self) -> anyhow::Result<()> {
        let sql: String = Role::ALL.map(|role| format!("CREATE ROLE {role} LOGIN;")).concat();
        let place = self.conninfo("postgres");
        apart::run(async {
            let (client, connection) = tokio_postgres::connect(&place, NoTls).await?;
            tokio::select! {
                made = client.batch_execute(&sql) => made.context("make roles"),
                ended = connection => Err(ended.err().map_or(anyhow!("disconnected"), Into::into)),
            }
        })
    }

    /// Where TCP connections go: `postgres://postgres@127.0.0.1:<port>/<database>`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The same through the Unix socket.
    pub fn socket_url(&self, database: &str) -> String {
        let dir = self.cluster.dir().as_os_str().as_encoded_bytes();
        let dir = percent_encode(dir, NON_ALPHANUMERIC);
        format!("postgres://postgres@{dir}:{}/{database}", self.port)
    }

    /// That as `key=value` words.
    pub fn conninfo(&self, database: &str) -> String {
        let dir = self.cluster.dir().display();
        format!("host={dir} port={} user=postgres dbname={database}", self.port)
    }

    /// The TCP port; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where TCP connections go, for a [`Proxy`](crate::Proxy).
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The directory of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.cluster.dir()
    }

    /// The process id of the postmaster; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Child::id)
    }

    /// What the server has written to its log so far.
    pub fn log(&self) -> String {
        self.cluster.log()
    }

    /// The path of `psql`.
    ///
    /// # Errors
    ///
    /// If there is none: the packages that are fetched where PostgreSQL is not installed hold the
    /// server only.
    pub fn psql_path(&self) -> anyhow::Result<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::iter::once(self.cluster.programs().to_owned())
            .chain(std::env::split_paths(&path))
            .map(|dir| dir.join("psql"))
            .find(|psql| psql.is_file())
            .context("no psql beside the server nor on the PATH: install postgresql-client")
    }

    /// Starts the server that was stopped, and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// If it is running already or does not start; the end of its log is in the message.
    pub fn start_again(&self) -> anyhow::Result<()> {
        let mut server = self.lock();
        ensure!(server.is_none(), "the server is running already");
        let mut child = self.cluster.spawn(self.port)?;
        self.watchdog.guard(child.id())?;
        let ready = self.wait_until_ready(&mut child);
        *server = Some(child);
        drop(server);
        if ready.is_err() {
            self.stop_immediate()?;
        }
        ready
    }

    fn wait_until_ready(&self, child: &mut Child) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        // Through the socket, which is ours alone: on the port someone else's server may answer.
        let place = self.conninfo("postgres");
        loop {
            let tried = apart::run(async {
                tokio_postgres::connect(&place, NoTls).await.context("connect").map(drop)
            });
            let Err(error) = tried else { return Ok(()) };
            let log = self.log();
            let end = log.lines().rev().take(10).collect::<Vec<_>>();
            let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
            if let Some(status) = child.try_wait().context("look after postgres")? {
                bail!("postgres did not start: {status}; its log ends with:\n{end}");
            }
            if Instant::now() > deadline {
                bail!("postgres takes no connections: {error:#}; its log ends with:\n{end}");
            }
            std::thread::sleep(wait::POLL);
        }
    }

    /// The crash: what `pg_ctl -m immediate stop` does. Sessions are cut off, nothing is flushed,
    /// the next start recovers from the log.
    ///
    /// # Errors
    ///
    /// If the server does not end.
    pub fn stop_immediate(&self) -> anyhow::Result<()> {
        self.stop(Signal::QUIT)
    }

    /// The orderly way: what `pg_ctl -m fast stop` does. Sessions are told to go.
    ///
    /// # Errors
    ///
    /// If the server does not end.
    pub fn stop_fast(&self) -> anyhow::Result<()> {
        self.stop(Signal::INT)
    }

    /// A crash and the recovery from it: what `pg_ctl -m immediate restart` does.
    ///
    /// # Errors
    ///
    /// If the server does not end, or does not start again.
    pub fn restart_immediate(&self) -> anyhow::Result<()> {
        self.stop_immediate()?;
        self.start_again()
    }

    fn stop(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(mut child) = self.lock().take() else { return Ok(()) };
        if child.try_wait().context("look after postgres")?.is_none() {
            let _ = kill_process(Pid::from_child(&child), signal);
        }
        self.watchdog.forget()?;
        if !wait::holds_within(STOPPED_WITHIN, || !matches!(child.try_wait(), Ok(None))) {
            child.kill().context("kill postgres")?;
            child.wait().context("reap postgres")?;
            bail!("postgres was still there {STOPPED_WITHIN:?} after {signal:?}, and was killed");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    /// The files are removed by the watchdog, which is dropped next.
    fn drop(&mut self) {
        let _ = self.stop_immediate();
    }
}
