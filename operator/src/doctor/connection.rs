//! Two connections, as the pipe has, and that each has its own session at the other end.

use std::time::Duration;

use daemon::postgres::{ConnectError, Target};
use tokio::time::timeout;

use super::finding::Finding;
use super::query::words;
use crate::database::Database;

const CHECK: &str = "connection";

/// So that a forgotten lock, or a table of millions, holds nobody up.
const PATIENCE: &str = "SET statement_timeout = '15s'";

/// What a pooler that has one connection for both would keep waiting for ever.
const POOLED_MAX: Duration = Duration::from_secs(10);

/// Opens both.
///
/// # Errors
/// Why there is no connection, and what to do.
pub async fn open(target: &Target) -> Result<(Database, Database, Vec<Finding>), Finding> {
    let one = Database::connect(target).await.map_err(|error| failed(&error))?;
    let other = Database::connect(target).await.map_err(|error| {
        let finding = failed(&error);
        Finding { detail: format!("a second one: {}", finding.detail), ..finding }
    })?;
    let mut findings = vec![Finding::ok(CHECK, format!("to {}", one.server()))];
    // By our own clock: to limit it by a setting would change sessions that a pooler shares.
    findings.push(match timeout(POOLED_MAX, is_pooled(&one, &other)).await {
        Err(_) => Finding::away(
            "pooler",
            format!("two sessions at once get no answer within {} s", POOLED_MAX.as_secs()),
            "is there a transaction pooler in between, or a server that is stuck? Connect to PostgreSQL \
             directly or through a session pooler",
        ),
        Ok(Ok(true)) => Finding::wrong(
            "pooler",
            "there is a transaction pooler in between: a session does not keep its backend",
            "connect to PostgreSQL directly or through a session pooler",
        ),
        Ok(Ok(false)) => Finding::ok("pooler", "each session keeps its backend"),
        Ok(Err(error)) => Finding::away("pooler", words(&error), "look at PostgreSQL's log"),
    });
    for database in [&one, &other] {
        let set = database.batch_execute(PATIENCE).await;
        set.map_err(|error| Finding::away(CHECK, words(&error), "look at PostgreSQL's log"))?;
    }
    Ok((one, other, findings))
}

/// Two sessions never share a backend, and none changes its own. A pooler gives a session that rests to
/// the next one, and another one to the first while that works. Without prepared statements, which
/// some poolers cannot have.
async fn is_pooled(one: &Database, other: &Database) -> Result<bool, tokio_postgres::Error> {
    let mut first = backend(one).await?;
    for _ in 0..3 {
        other.batch_execute("BEGIN").await?;
        let second = backend(other).await?;
        let again = backend(one).await?;
        other.batch_execute("ROLLBACK").await?;
        if again != first || second == first {
            return Ok(true);
        }
        first = again;
    }
    Ok(false)
}

async fn backend(database: &Database) -> Result<Option<String>, tokio_postgres::Error> {
    let said = database.simple_query("SELECT pg_backend_pid()").await?;
    Ok(said.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

fn failed(error: &ConnectError) -> Finding {
    let remedy = match error.sqlstate() {
        Some("28P01") => {
            "check user and password in MAILROOM_DATABASE_URL, PGPASSWORD or the password file"
        }
        Some("28000") => {
            "is the role there, and may it log in? A line of the server's pg_hba.conf must let it in \
             from here; one that says hostssl needs sslmode=require"
        }
        Some("3D000") => "createdb, or name another database in MAILROOM_DATABASE_URL",
        Some("42501") => "GRANT CONNECT ON DATABASE … TO this login",
        Some("53300") => {
            "raise max_connections or the role's limit, or end sessions that are not used"
        }
        Some("57P03") => "the server is starting or stopping: try again",
        Some(_) => "the server's log may say more",
        None if error.is_about_tls() => {
            "sslmode in MAILROOM_DATABASE_URL says what is required, sslrootcert which certificates to \
             trust; the name must be one of the certificate's"
        }
        None if error.will_not_mend() => "check MAILROOM_DATABASE_URL",
        None => "is PostgreSQL running, and do host and port in MAILROOM_DATABASE_URL lead to it?",
    };
    if error.will_not_mend() {
        Finding::wrong(CHECK, error, remedy)
    } else {
        Finding::away(CHECK, error, remedy)
    }
}
