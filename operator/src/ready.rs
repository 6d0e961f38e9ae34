//! `mailroom ready`: whether mail flows, once; for a container's health check.

use anyhow::{Context, anyhow};
use daemon::exit::{Exit, ExitExt};
use serde::Serialize;

use crate::database::{Database, block_on};
use crate::environment::Environment;
use crate::output::Output;
use crate::serve::look::{self, LOOK_MAX};
use crate::serve::readiness::Readiness;
use crate::serve::settings::of_ready;

const HELP: &str = "Exit codes: 0 no mail is older than MAILROOM_READY_AGE; 75 there is such mail, or the database does \
                    not answer; 78 a person must look.\n\
                    Settings: MAILROOM_DATABASE_URL (a collector's or a sender's will do), MAILROOM_READY_AGE.";

/// What is said after `ready`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A JSON object: ready, deliveries, oldest_seconds
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    ready: bool,
    deliveries: u64,
    oldest_seconds: f64,
}

/// Looks, and says what it found.
///
/// # Errors
/// When there is nothing to look at; the exit code is in the error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let (target, ready_age) = of_ready(environment)?;
    let looked = block_on(async {
        let look = async {
            let database = Database::connect(&target).await.context("connect to PostgreSQL")?;
            look::prepare(&database).await?;
            let outstanding = look::outstanding(&database, ready_age).await;
            let outstanding = outstanding.map_err(|trouble| {
                let exit = if trouble.will_not_mend() { Exit::Config } else { Exit::Unavailable };
                anyhow!(trouble).exit(exit)
            })?;
            anyhow::Ok(Readiness::of(&outstanding, ready_age))
        };
        let late = || anyhow!("the database does not answer within {} s", LOOK_MAX.as_secs());
        tokio::time::timeout(LOOK_MAX, look).await.unwrap_or_else(|_| Err(late()))
    });
    let readiness = looked.context("not ready")?;
    if args.json {
        out.json(&Answer {
            ready: readiness.is_ready(),
            deliveries: readiness.deliveries(),
            oldest_seconds: readiness.oldest_seconds(),
        })?;
    } else {
        out.line(readiness)?;
    }
    Ok(if readiness.is_ready() { Exit::Done } else { Exit::Unavailable })
}
