//! golang-migrate's locks: advisory ones, whose number comes of the database's name. Its command-line
//! tool takes the name from the URL's path, with the slash; programs that use it as a library ask the
//! server, and get none. Whoever holds both has kept out everybody.

use std::time::Duration;

use anyhow::{Context, bail};
use daemon::exit::{Exit, ExitExt};
use daemon::shutdown::Shutdown;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client, Transaction};

use super::say;

const TRY: &str = include_str!("../../sql/migrate/lock.sql");
const HOLDER: &str = include_str!("../../sql/migrate/locked_by.sql");
const HELD: &str = include_str!("../../sql/migrate/held.sql");

const SALT: u32 = 1_486_364_155;
/// How often a lock that is taken is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// The two locks of a database's `schema_migrations`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Locks([i64; 2]);

impl Locks {
    /// Those of the table in `schema`. The one with the slash comes first: two of us meet there.
    pub(super) fn of(schema: &str, database: &str) -> Self {
        let key = |slash: &str| {
            let name = format!("{schema}\0schema_migrations\0{slash}{database}");
            i64::from(crc32fast::hash(name.as_bytes()).wrapping_mul(SALT))
        };
        Self([key("/"), key("")])
    }

    /// Takes both for this session, and says so when somebody else has to be waited for.
    ///
    /// # Errors
    /// When they are not free after `patience`, or we are asked to stop.
    pub(super) async fn take(
        self,
        client: &Client,
        patience: Duration,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let mut told = false;
        for key in self.0 {
            while !client.query_one(TRY, &[&key]).await.context("take the lock")?.get::<_, bool>(0)
            {
                let holder = holder(client, key).await?;
                let secs = patience.as_secs();
                if Instant::now() >= deadline {
                    let remedy = "try again when it is done, or wait longer with --lock-timeout";
                    bail!("{holder} still migrates this database after {secs} s: {remedy}");
                }
                if !told {
                    say(format_args!(
                        "waiting up to {secs} s for {holder}, which migrates this database"
                    ));
                    told = true;
                }
                let again = deadline.min(Instant::now() + AGAIN);
                if timeout_at(again, shutdown.requested()).await.is_ok() {
                    bail!("asked to stop; nothing was done");
                }
            }
        }
        Ok(())
    }

    /// Makes sure that what is about to be written is written under them.
    ///
    /// # Errors
    /// When this session does not hold them.
    pub(super) async fn check(self, transaction: &Transaction<'_>) -> anyhow::Result<()> {
        let keys = self.0.as_slice();
        let held: bool =
            transaction.query_one(HELD, &[&keys]).await.context("look at the lock")?.get(0);
        if !held {
            let pooler = "the session lost its locks: connect to PostgreSQL directly or through a session \
                          pooler, not a transaction pooler";
            return Err(anyhow::anyhow!(pooler)).exit(Exit::Config);
        }
        Ok(())
    }

    /// Gives them back. The end of the session does so too, but behind a pooler it does not end.
    pub(super) async fn release(self, client: &Client) {
        for key in self.0 {
            let _ = client.query_one("SELECT pg_advisory_unlock($1)", &[&key]).await;
        }
    }
}

async fn holder(client: &Client, key: i64) -> anyhow::Result<String> {
    let row = client.query_opt(HOLDER, &[&key]).await.context("look who holds the lock")?;
    Ok(match row {
        None => "somebody".to_owned(),
        Some(row) => {
            let (pid, name): (i32, Option<&str>) = (row.get(0), row.get(1));
            match name.filter(|name| !name.is_empty()) {
                Some(name) => format!("{name} (server process {pid})"),
                None => format!("server process {pid}"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_golang_migrates() {
        assert_eq!(Locks::of("public", "demo").0, [1_187_413_826, 1_732_065_252]);
    }
}
