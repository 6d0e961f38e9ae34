//! `mailroom deliveries`: finding mail, seeing what became of it, and putting right what went wrong.

mod batch;
mod cancel;
mod change;
mod find;
mod list;
mod requeue;
mod settled;
mod show;
mod story;
mod verdict;
mod words;

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use daemon::exit::{Exit, ExitExt};
use daemon::session::Sql;
use daemon::sql;

use crate::database::Database;
use crate::environment::Environment;
use crate::output::Output;

const CLOCK: Sql = sql!("clock");
const ACTIONS: Sql = sql!("deliveries/actions");
const OUTSTANDING: Sql = sql!("deliveries/outstanding");

/// Tokens in one transaction: short enough that nobody waits for it.
const BATCH: usize = 500;

const HELP: &str = "Settings: MAILROOM_DATABASE_URL.";

/// What is said after `deliveries`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what is outstanding, oldest first, or what ended in some way, newest first
    List(list::Args),
    /// Tell all that is known of a mail, or of an account's newest ones
    Show(show::Args),
    /// Have mail sent again
    Requeue(requeue::Args),
    /// Have mail not sent that is still waiting
    Cancel(cancel::Args),
}

/// Does it.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    if let Verb::Requeue(args) = &args.verb {
        args.check()?;
    }
    let target = environment.database()?;
    crate::database::block_on(async {
        let database = Database::connect_sparing(&target).await?;
        match args.verb {
            Verb::List(args) => list::run(args, &database, out).await,
            Verb::Show(args) => show::run(args, &database, out).await,
            Verb::Requeue(args) => requeue::run(args, &database, out).await,
            Verb::Cancel(args) => cancel::run(args, &database, out).await,
        }
    })
}

/// Whether there is such an action: one that is misspelt would silently find nothing.
async fn known(database: &Database, action: Option<&str>) -> anyhow::Result<()> {
    let Some(action) = action else { return Ok(()) };
    let rows = database.rows(ACTIONS, &[]).await?;
    let labels: Vec<&str> = rows.iter().map(|row| row.get("label")).collect();
    if labels.contains(&action) {
        return Ok(());
    }
    let labels = labels.join(", ");
    Err(anyhow!("--action {action}: there is none, only {labels}").exit(Exit::Config))
}

/// What time it is where the deliveries are, in microseconds since 1970.
async fn now(database: &Database) -> anyhow::Result<i64> {
    Ok(database.one(CLOCK, &[]).await?.get("now"))
}

/// A word of the command line as PostgreSQL has it.
fn label(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
