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

const HELP: &str = "Exit codes: 0 mail flows; 75 none is accepted while some waits for longer than MAILROOM_READY_AGE, or \
                    nobody collects what has been due for so long, or the database does not answer; 78 a person \
                    must look.\n\
                    Settings: MAILROOM_DATABASE_URL (a collector's or a sender's will do), MAILROOM_READY_AGE.";

/// What is said after `ready`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A JSON object: ready, deliveries, oldest_seconds (null: not known), said
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    ready: bool,
    deliveries: Option<u64>,
    oldest_seconds: Option<f64>,
    /// The same in words.
    said: String,
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
            let promises = look::promises(&database, ready_age).await;
            let promises = promises.map_err(|trouble| {
                let exit = if trouble.will_not_mend() { Exit::Config } else { Exit::Unavailable };
                anyhow!(trouble).exit(exit)
            })?;
            anyhow::Ok(Readiness::of(&promises, ready_age))
        };
        let late = || anyhow!("the database does not answer within {} s", LOOK_MAX.as_secs());
        tokio::time::timeout(LOOK_MAX, look).await.unwrap_or_else(|_| Err(late()))
    });
    let looked = looked.context("not ready");
    if let (true, Err(error)) = (args.json, &looked) {
        let said = format!("{error:#}");
        out.json(&Answer { ready: false, deliveries: None, oldest_seconds: None, said })?;
    }
    let readiness = looked?;
    if args.json {
        out.json(&Answer {
            ready: readiness.is_ready(),
            deliveries: Some(readiness.deliveries()),
            oldest_seconds: Some(readiness.oldest_seconds()),
            said: readiness.to_string(),
        })?;
    } else {
        out.line(readiness)?;
    }
    Ok(if readiness.is_ready() { Exit::Done } else { Exit::Unavailable })
}
