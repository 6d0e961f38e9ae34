//! `mailroom purge`: the log forgets what is old, a bounded batch at a time. Collectors do the same in
//! idle moments if they are told to.

use std::time::Duration;

use daemon::exit::Exit;
use daemon::session::Sql;
use daemon::settings::{Problems, said};
use daemon::shutdown::Shutdown;
use daemon::sql;
use serde::{Deserialize, Serialize};

use crate::database::{Database, block_on};
use crate::environment::Environment;
use crate::moments::duration;
use crate::output::Output;

const COUNT_LOG: Sql = sql!("count_log");
const PURGE: Sql = sql!("purge");

/// A month for mail that was sent.
const SENT_HOURS: u64 = 720;
/// Three for what went wrong.
const OTHERS_HOURS: u64 = 2160;
/// Far more than there will be a log of.
const HOURS_MAX: u64 = 876_000;
/// What a shorter time would take away is still asked about.
const LEAST: Duration = Duration::from_secs(3600);

const HELP: &str = "Settings: MAILROOM_DATABASE_URL, MAILROOM_PURGE_SENT_HOURS, \
    MAILROOM_PURGE_OTHERS_HOURS.";

/// What is said after `purge`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// How long what is about sent mail is kept [default: MAILROOM_PURGE_SENT_HOURS, else 720h]
    #[arg(long, value_name = "AGE", value_parser = duration)]
    sent: Option<Duration>,
    /// How long failed, skipped and unconfirmed is kept [default: MAILROOM_PURGE_OTHERS_HOURS, else 2160h]
    #[arg(long, value_name = "AGE", value_parser = duration)]
    others: Option<Duration>,
    /// Rows in one transaction
    #[arg(long, value_name = "ROWS", default_value_t = 1000,
        value_parser = clap::value_parser!(i32).range(1..=100_000))]
    batch: i32,
    /// A JSON object: deleted, complete
    #[arg(long)]
    json: bool,
}

/// The variables, called as in the environment without `MAILROOM_`.
#[derive(Debug, Default, Deserialize)]
struct Said {
    purge_sent_hours: Option<String>,
    purge_others_hours: Option<String>,
}

#[derive(Serialize)]
struct Done {
    deleted: i64,
    complete: bool,
}

/// Does it.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let [sent, others] = kept(&args, environment)?;
    let target = environment.database()?;
    block_on(async {
        let database = Database::connect_sparing(&target).await?;
        let shutdown = Shutdown::on_signals()?;
        let mut deleted: i64 = 0;
        let complete = loop {
            if shutdown.is_requested() {
                break false;
            }
            let more: bool = database.one(COUNT_LOG, &[]).await?.get("more");
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&sent.as_secs_f64(), &others.as_secs_f64(), &args.batch];
            let batch: i32 = database.one(PURGE, &params).await?.get("deleted");
            deleted += i64::from(batch);
            if batch == 0 && !more {
                break true;
            }
        };
        if args.json {
            out.json(&Done { deleted, complete })?;
        } else {
            let rows = if deleted == 1 { "1 row".to_owned() } else { format!("{deleted} rows") };
            let rest = if complete { "" } else { "; interrupted, there may be more" };
            out.line(format_args!("deleted {rows} of the log{rest}"))?;
        }
        Ok(Exit::Done)
    })
}

/// How long rows are kept: those about sent mail, and others.
fn kept(args: &Args, environment: &Environment) -> Result<[Duration; 2], Problems> {
    let said: Said = said(environment.vars())?;
    let mut problems = Problems::default();
    let mut of = |option: &str, arg: Option<Duration>, name: &str, said, default| {
        let hours = problems.number(name, said, default, 1..=HOURS_MAX, "hours");
        let kept = arg.unwrap_or(Duration::from_secs(hours * 3600));
        if !(LEAST..=Duration::from_secs(HOURS_MAX * 3600)).contains(&kept) {
            problems.push(option, format_args!("give 1h or more, and no more than {HOURS_MAX}h"));
        }
        kept
    };
    let sent =
        of("--sent", args.sent, "MAILROOM_PURGE_SENT_HOURS", said.purge_sent_hours, SENT_HOURS);
    let others = of(
        "--others",
        args.others,
        "MAILROOM_PURGE_OTHERS_HOURS",
        said.purge_others_hours,
        OTHERS_HOURS,
    );
    problems.finish([sent, others])
}
