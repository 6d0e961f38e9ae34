//! Once a minute: what the log says is added to the totals, so that a look reads only what is new.
//!
//! On a connection of its own, because after a long time without it this takes its time, and nobody
//! who asks for a look shall wait meanwhile.

use std::convert::Infallible;
use std::time::Duration;

use daemon::postgres::Target;
use daemon::trouble::Trouble;
use tokio::time::{sleep, timeout};

use super::look;
use crate::database::Database;

const COUNT_EVERY: Duration = Duration::from_secs(60);
/// A step counts ten minutes of the log.
const STEP_MAX: &str = "SET statement_timeout = '5min'";

/// A server that has fallen silent is not waited for longer: so long to connect …
const SILENT_MAX: Duration = Duration::from_secs(30);
/// … and so much longer than the server itself allows a step.
const ANSWER_MAX: Duration = Duration::from_secs(5 * 60 + 30);

/// Counts for ever. When the database is away, the next minute will do: the watcher says so.
pub async fn run(target: &Target) -> Infallible {
    let mut said = false;
    loop {
        if let Ok(Ok(database)) = timeout(SILENT_MAX, Database::connect(target)).await
            && let Err(trouble) = count(&database).await
            && !said
        {
            tracing::warn!(error = %trouble, "log_not_counted");
            said = true;
        }
        sleep(COUNT_EVERY).await;
    }
}

async fn count(database: &Database) -> Result<(), Trouble> {
    let silent = |_| Trouble::broken("the server does not answer");
    let done = timeout(SILENT_MAX, database.batch_execute(STEP_MAX)).await.map_err(silent)?;
    done.map_err(|error| Trouble::from_postgres("statement_timeout", &error))?;
    while timeout(ANSWER_MAX, look::count_log(database)).await.map_err(silent)?? {}
    tracing::debug!("log_counted");
    Ok(())
}
