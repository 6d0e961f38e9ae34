//! The database, as the operator's commands use it: one connection, and statements one after another.

use std::future::Future;
use std::ops::Deref;

use daemon::exit::{Exit, ExitExt};
use daemon::postgres::{ConnectError, Connected, Target};
use daemon::session::{SPARING, Sql};
use daemon::trouble::Trouble;
use tokio::task::JoinHandle;
use tokio_postgres::error::DbError;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row};

/// Deadlocks in a row before one is reported; they need another program's locks to happen at all.
pub const REPEATS_MAX: u32 = 5;

/// Whoever stops us between two statements (Ctrl-Z) keeps no locks on users' tokens for longer; the
/// server ends the session, and what was begun is undone.
const PATIENT: &str = "SET idle_in_transaction_session_timeout = '5s'";

/// A connection, driven in the background for as long as this lives.
#[derive(Debug)]
pub struct Database {
    client: Client,
    server: String,
    driver: JoinHandle<()>,
}

impl Database {
    /// Connects.
    ///
    /// # Errors
    /// What each server came to; a connection that will not mend ends the command with 78.
    pub async fn connect(target: &Target) -> Result<Self, ConnectError> {
        Self::connect_hearing(target, |_| {}).await
    }

    /// Connects, and passes on what the server says beside its answers: warnings and notices.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_hearing(
        target: &Target,
        heard: impl Fn(&DbError) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let Connected { client, mut driver } = target.connect().await?;
        let server = driver.server().to_owned();
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = driver.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    heard(&notice);
                }
            }
        });
        Ok(Self { client, server, driver })
    }

    /// Connects, for statements that read little out of tables of any size.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_sparing(target: &Target) -> anyhow::Result<Self> {
        let database = Self::connect(target).await?;
        database.script(SPARING).await?;
        database.script(PATIENT).await?;
        Ok(database)
    }

    /// Runs what has no parameters and returns nothing.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub async fn script(&self, sql: &str) -> anyhow::Result<()> {
        let done = self.client.batch_execute(sql).await;
        done.map_err(|error| failed(Trouble::from_postgres("settings", &error)))
    }

    /// Runs a statement, once more if it met a deadlock, and returns all its rows.
    ///
    /// # Errors
    /// What PostgreSQL says, and whether trying again may help.
    pub async fn rows(&self, sql: Sql, params: &[&(dyn ToSql + Sync)]) -> anyhow::Result<Vec<Row>> {
        let mut repeats = 0;
        loop {
            match self.attempt(sql, params).await {
                Err(trouble) if trouble.is_momentary() && repeats < REPEATS_MAX => repeats += 1,
                done => return done.map_err(failed),
            }
        }
    }

    /// Runs a statement that returns exactly one row.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub async fn one(&self, sql: Sql, params: &[&(dyn ToSql + Sync)]) -> anyhow::Result<Row> {
        let mut rows = self.rows(sql, params).await?;
        match rows.pop() {
            Some(row) if rows.is_empty() => Ok(row),
            _ => Err(failed(Trouble::broken(format!("{} did not return one row", sql.name)))),
        }
    }

    /// Runs a statement once, for those who repeat more than it.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn attempt(
        &self,
        sql: Sql,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let done = self.client.query(sql.text, params).await;
        done.map_err(|error| Trouble::from_postgres(sql.name, &error))
    }

    /// The server we ended up with, as `host:port/dbname`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Resolves when the connection has ended, and must not be asked again then.
    pub async fn ended(&mut self) {
        // It only ends; it has no result.
        _ = (&mut self.driver).await;
    }

    /// For what takes the client by `&mut`: transactions.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Deref for Database {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How a command ends because a statement failed.
pub fn failed(trouble: Trouble) -> anyhow::Error {
    let mends = !trouble.will_not_mend() && !trouble.is_broken();
    anyhow::Error::new(trouble.unnamed()).exit(if mends { Exit::Unavailable } else { Exit::Config })
}

/// Runs what talks to a server. A look-up of a host's name that nobody answers is not waited for when
/// the work has ended.
///
/// # Errors
/// What it fails with.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}
