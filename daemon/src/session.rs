//! A session with PostgreSQL that others can see the end of.
//!
//! Each session takes a new number in `holders` and keeps a session-level advisory lock on it. What
//! it claims in the database carries that number; when the session ends, however it ends, PostgreSQL
//! itself drops the lock, and whoever finds it free knows that nothing more will come. There is no
//! lease to renew and no time-out to tune, and a slow process is never mistaken for a dead one.
//!
//! One connection carries the lock, the notifications and all statements. A task of its own drains
//! it at all times: a LISTENer that stops reading its socket pins the horizon of the whole cluster.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row, SimpleQueryMessage, Statement};

use crate::postgres::{ConnectError, Connected, Driver, Target};
use crate::trouble::Trouble;

/// Longer than any statement of ours should take, even behind a lock somebody forgot. After this the
/// session is given up; the next one ends what is left of it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// What each session of ours asks of the planner. Our statements read few rows, by their keys, out of
/// tables that may have grown a hundredfold since they were last analysed: it shall not guess otherwise.
pub const SPARING: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SET enable_tidscan = on; SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET enable_memoize = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

/// Kept even if the server's default changes meanwhile.
const DURABLE: &str = "SELECT set_config('synchronous_commit', CASE s.value WHEN 'off' THEN 'on' \
    ELSE s.value END, false) FROM current_setting('synchronous_commit') AS s (value)";

/// Deadlocks and serialization failures in a row before one is reported. They need another
/// program's locks to happen at all.
const REPEATS_MAX: u32 = 5;

/// Numbers that are given up because somebody who is none of ours holds their locks.
const NUMBERS_TRIED_MAX: u32 = 100;

/// A statement of ours: a file under `sql/`, whose first line says what it guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sql {
    /// The file's name without `.sql`; logs say it.
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// Names a file under `sql/` of the calling crate.
#[macro_export]
macro_rules! sql {
    ($name:literal) => {
        $crate::session::Sql {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $name, ".sql")),
        }
    };
}

const REGISTER: Sql = sql!("register");
const FENCE: Sql = sql!("fence");

/// What every session runs, whatever it is for.
pub const ALL: [Sql; 2] = [REGISTER, FENCE];

/// What `holders` says of a session.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `collector` or `sender`.
    pub kind: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// Whether what the session commits is on disk before it counts, whatever the role or the database
    /// is set to; if not, nobody waits for the disk, but where a statement asks for it, and for its
    /// registration.
    pub durable: bool,
}

/// A session that has ended, for those who take over from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    /// Its holder number.
    pub number: i32,
    /// When it was registered, in the database's microseconds since 1970.
    pub started: i64,
}

/// Why a session could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// There is no connection.
    Connect(ConnectError),
    /// There is one, but it could not be registered.
    Register(Trouble),
}

impl OpenError {
    /// Whether trying again is pointless before a person has mended something.
    pub fn will_not_mend(&self) -> bool {
        match self {
            Self::Connect(error) => error.will_not_mend(),
            Self::Register(trouble) => trouble.will_not_mend(),
        }
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Register(trouble) => write!(f, "register the session: {trouble}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => error.source(),
            Self::Register(trouble) => trouble.source(),
        }
    }
}

/// An open session. Dropping it closes the connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
    number: i32,
    started: i64,
    backend: i32,
    durability: String,
    prepared: Mutex<HashMap<&'static str, Statement>>,
    /// Becomes true when the connection has ended.
    closed: watch::Sender<bool>,
    news: Arc<Notify>,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects and registers: one number, one lock. With `channel`, also LISTENs on it, before the
    /// number is taken, so that whatever happens after the first statement is heard of.
    pub async fn open(
        target: &Target,
        identity: &Identity,
        channel: Option<&str>,
    ) -> Result<Self, OpenError> {
        let Connected { client, driver } = target.connect().await.map_err(OpenError::Connect)?;
        let closed = watch::Sender::new(false);
        let news = Arc::new(Notify::new());
        let driver = tokio::spawn(drain(driver, closed.clone(), Arc::clone(&news)));
        let mut session = Self {
            client,
            number: 0,
            started: 0,
            backend: 0,
            durability: String::new(),
            prepared: Mutex::default(),
            closed,
            news,
            driver,
        };
        session.register(identity, channel).await.map_err(OpenError::Register)?;
        Ok(session)
    }

    async fn register(
        &mut self,
        identity: &Identity,
        channel: Option<&str>,
    ) -> Result<(), Trouble> {
        let mut settings = format!("{SPARING}; {DURABLE};");
        if let Some(channel) = channel {
            settings.push_str(&format!("LISTEN {};", quote_identifier(channel)));
        }
        let answers = self.bounded("settings", self.client.simple_query(&settings)).await?;
        let value = answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        value.unwrap_or("on").clone_into(&mut self.durability);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        for _ in 0..NUMBERS_TRIED_MAX {
            let row = self.one(REGISTER, &[&identity.kind, &host, &pid, &identity.version]).await?;
            if row.get("locked") {
                self.number = row.get("number");
                self.started = row.get("started");
                self.backend = row.get("backend");
                if !identity.durable {
                    // Behind a transaction pooler this may be the application's connection.
                    let hurried = format!(
                        "SELECT set_config('synchronous_commit', 'off', false)
                         WHERE mailroom_session({})",
                        self.backend
                    );
                    self.bounded("settings", self.client.batch_execute(&hurried)).await?;
                }
                return Ok(());
            }
        }
        Err(Trouble::lost("somebody has taken the advisory locks of holders to be"))
    }

    /// The number that rows held by this session carry.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// This session, for the one that takes over from it.
    pub fn former(&self) -> Former {
        Former { number: self.number, started: self.started }
    }

    /// The backend that holds our lock. Every statement of ours is given it and refuses another one.
    pub fn backend(&self) -> i32 {
        self.backend
    }

    /// What `synchronous_commit` is for what must be durable: `on`, unless the role or the database is
    /// set to something else than `off`.
    pub fn durability(&self) -> &str {
        &self.durability
    }

    /// False as soon as the connection is known to have ended.
    pub fn is_open(&self) -> bool {
        !*self.closed.borrow() && !self.client.is_closed()
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // An error would mean that the sender is gone, and it lives as long as we do.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Waits for a notification; those that came since the last wait count as one. Cancel-safe.
    pub async fn notified(&self) {
        self.news.notified().await;
    }

    /// Makes sure that no statement of a former session of ours can still take effect. False when the
    /// database does not know that session: what it held is not ours to take over.
    pub async fn fence(&self, former: Former) -> Result<bool, Trouble> {
        let row = self.one(FENCE, &[&former.number, &former.started]).await?;
        if row.get("ended") {
            Ok(row.get("ours"))
        } else {
            Err(Trouble::lost("the former session did not end"))
        }
    }

    /// Prepares statements ahead, in one round trip, so that a schema that does not fit is found now
    /// and statements sent together later are run in the order sent.
    pub async fn prepare(&self, all: &[Sql]) -> Result<(), Trouble> {
        let work = all.iter().map(|sql| self.bounded(sql.name, self.client.prepare(sql.text)));
        for (sql, statement) in all.iter().zip(join_all(work).await) {
            self.prepared().insert(sql.name, statement?);
        }
        Ok(())
    }

    /// Runs a statement and returns all its rows.
    pub async fn rows(
        &self,
        sql: Sql,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        self.repeated(sql, async |statement| self.client.query(&statement, params).await).await
    }

    /// Runs a statement that returns no rows, and says how many it wrote.
    ///
    /// # Errors
    /// As [`rows`](Session::rows).
    pub async fn execute(&self, sql: Sql, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Trouble> {
        self.repeated(sql, async |statement| self.client.execute(&statement, params).await).await
    }

    /// Runs a statement that returns exactly one row.
    pub async fn one(&self, sql: Sql, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Trouble> {
        let mut rows = self.rows(sql, params).await?;
        match rows.pop() {
            Some(row) if rows.is_empty() => Ok(row),
            _ => Err(Trouble::broken(format!("{} did not return one row", sql.name))),
        }
    }

    /// Runs a statement, again if it fails for what passes by itself.
    async fn repeated<T>(
        &self,
        sql: Sql,
        run: impl AsyncFn(Statement) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Trouble> {
        let mut repeats = 0;
        loop {
            let attempt = async { run(self.statement(sql).await?).await };
            match self.bounded(sql.name, attempt).await {
                Err(trouble) if trouble.is_momentary() && repeats < REPEATS_MAX => {
                    repeats += 1;
                    tracing::debug!(sql = sql.name, repeats, error = %trouble, "statement_repeated");
                }
                done => return done,
            }
        }
    }

    async fn statement(&self, sql: Sql) -> Result<Statement, tokio_postgres::Error> {
        if let Some(known) = self.prepared().get(sql.name) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql.text).await?;
        self.prepared().insert(sql.name, statement.clone());
        Ok(statement)
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Statement>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement that never answers would stop us for ever; the connection is given up instead.
    async fn bounded<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        match tokio::time::timeout(STATEMENT_TIMEOUT, work).await {
            Ok(done) => done.map_err(|error| Trouble::from_postgres(name, &error)),
            Err(_) => {
                self.close();
                Err(Trouble::lost(format!("{name}: no answer for {STATEMENT_TIMEOUT:?}")))
            }
        }
    }

    /// Gives the connection up.
    pub fn close(&self) {
        self.driver.abort();
        self.closed.send_replace(true);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn drain(mut driver: Driver, closed: watch::Sender<bool>, news: Arc<Notify>) {
    loop {
        match driver.next().await {
            // We LISTEN on one channel, so any notification is news.
            Some(Ok(AsyncMessage::Notification(_))) => news.notify_one(),
            // Notices are for the server's log.
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let reason = Trouble::from_postgres("session", &error);
                tracing::info!(reason = %reason, "session_ended");
                break;
            }
            None => break,
        }
    }
    closed.send_replace(true);
}

fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
