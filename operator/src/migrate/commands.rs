//! `mailroom migrate`: its command line.

use std::time::Duration;

use anyhow::anyhow;
use clap::Subcommand;
use daemon::exit::{Exit, ExitExt};
use daemon::postgres::Target;
use tokio_postgres::Error;

use super::plan::{Direction, Step, Version, number};
use super::record::is_known;
use super::run::Migrator;
use super::{say, status};
use crate::confirm::confirm;
use crate::database::block_on;
use crate::environment::Environment;
use crate::output::Output;

/// golang-migrate waits 15 seconds; a file that rewrites a table takes longer.
const LOCK_TIMEOUT_S: u64 = 60;

const HELP: &str = "Setting: MAILROOM_DATABASE_URL. Works beside golang-migrate, on the same table and with the same locks.\n\
    A database that is dirty, or at a version that is not known here, ends it with 78.";

/// What is said after `migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Apply what is pending
    Up {
        /// At most so many migrations [default: all]
        #[arg(value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        lock: LockArg,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Take migrations back, the newest first, with the data in what they made
    Down {
        /// So many migrations; or say --all
        #[arg(value_name = "N", conflicts_with = "all")]
        limit: Option<usize>,
        /// Back to an empty schema
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        lock: LockArg,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Say which migrations are applied
    Status {
        /// A JSON object a line: version, name, state
        #[arg(long)]
        json: bool,
    },
    /// Say which version the database has, without running a file; it is clean then
    Force {
        /// The version; -1 is nothing at all
        #[arg(value_name = "V", allow_negative_numbers = true, value_parser = known)]
        version: i64,
        #[command(flatten)]
        lock: LockArg,
    },
}

#[derive(Debug, clap::Args)]
struct LockArg {
    /// How long to wait for somebody else who migrates the same database
    #[arg(long = "lock-timeout", value_name = "SECONDS", default_value_t = LOCK_TIMEOUT_S)]
    secs: u64,
}

#[derive(Debug, clap::Args)]
struct JsonArg {
    /// A JSON object a line: direction, version, name, at, seconds
    #[arg(long)]
    json: bool,
}

fn known(text: &str) -> Result<i64, String> {
    let version = text.parse().map_err(|_| "is not a number".to_owned())?;
    if version == -1 || is_known(Some(version)) {
        return Ok(version);
    }
    Err("there is no such migration: see mailroom migrate status".to_owned())
}

/// Does it.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    if let Verb::Down { limit: None, all: false, .. } = args.verb {
        return Err(anyhow!("say how many are to be taken back (1: the newest), or --all"))
            .exit(Exit::Config);
    }
    let target = environment.database()?;
    block_on(work(args.verb, &target, out)).map_err(lasting)
}

async fn work(verb: Verb, target: &Target, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let mut migrator = Migrator::connect(target).await?;
    let patience = |lock: LockArg| Duration::from_secs(lock.secs);
    match verb {
        Verb::Status { json } => status::list(migrator.state().await?, json, out),
        Verb::Up { limit, lock, json: JsonArg { json } } => {
            migrator.lock(patience(lock)).await?;
            let went = match migrator.plan(Direction::Up, limit).await {
                Ok((_, steps)) => go(&mut migrator, &steps, json, out).await,
                Err(error) => Err(error),
            };
            migrator.unlock().await;
            went
        }
        Verb::Down { limit, all: _, yes, lock, json: JsonArg { json } } => {
            let (planned, steps) = migrator.plan(Direction::Down, limit).await?;
            enough(limit, steps.len())?;
            if !steps.is_empty() {
                if !yes {
                    announce(&steps);
                }
                confirm(yes)?;
            }
            migrator.lock(patience(lock)).await?;
            let went = match migrator.plan(Direction::Down, limit).await {
                Ok((now, _)) if now != planned && !yes => Err(anyhow!(
                    "the version has become {} meanwhile; nothing was done",
                    number(now.version)
                )),
                Ok((_, steps)) => go(&mut migrator, &steps, json, out).await,
                Err(error) => Err(error),
            };
            migrator.unlock().await;
            went
        }
        Verb::Force { version, lock } => {
            migrator.lock(patience(lock)).await?;
            let version: Version = Some(version).filter(|&version| version >= 0);
            let forced = migrator.force(version).await;
            migrator.unlock().await;
            forced?;
            out.line(format_args!("the version is {}, and clean", number(version)))?;
            Ok(Exit::Done)
        }
    }
}

async fn go(
    migrator: &mut Migrator,
    steps: &[Step],
    json: bool,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    if steps.is_empty() && !json {
        out.line("no change")?;
    }
    migrator.go(steps, json, out).await
}

/// Who asks for more than there are believes in another database than this one.
fn enough(limit: Option<usize>, applied: usize) -> anyhow::Result<()> {
    let Some(limit) = limit.filter(|&limit| limit > applied) else { return Ok(()) };
    let are = match applied {
        0 => "none is".to_owned(),
        1 => "only 1 is".to_owned(),
        many => format!("only {many} are"),
    };
    Err(anyhow!(
        "nothing was done: {limit} are to be taken back and {are} applied; --all means all"
    ))
    .exit(Exit::Config)
}

/// Says what is about to be taken back.
fn announce(steps: &[Step]) {
    say("this is about to be run, and what it drops is lost, with the data in it:");
    for step in steps {
        say(format_args!("  {}: {}", step.file().name, step.file().promise()));
    }
}

/// What PostgreSQL refuses for a lack of rights, or because it only reads, it refuses again.
fn lasting(error: anyhow::Error) -> anyhow::Error {
    let code = error.downcast_ref::<Error>().and_then(Error::code);
    match code.and_then(|code| code.code().get(..2)) {
        Some("25" | "42") => error.exit(Exit::Config),
        _ => error,
    }
}
