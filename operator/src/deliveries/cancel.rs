//! `deliveries cancel`.

use clap::ValueEnum;
use daemon::exit::Exit;
use daemon::session::Sql;
use daemon::shutdown::Shutdown;
use daemon::sql;
use serde::Serialize;

use super::confirm::confirmed;
use super::find::meant;
use super::verdict::LeftOut;
use super::{BATCH, OUTSTANDING, label, now};
use crate::database::Database;
use crate::moments::When;
use crate::output::Output;

const STATES: Sql = sql!("deliveries/states");
const CANCEL: Sql = sql!("deliveries/cancel");

/// What is said after `cancel`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["names", "state", "action", "since", "until"]))]
pub(super) struct Args {
    /// Tokens, or accounts by address or login: of an account all that is outstanding
    #[arg(value_name = "ID|ADDRESS|LOGIN",
        conflicts_with_all = ["state", "action", "since", "until"])]
    names: Vec<String>,
    /// All in this state
    #[arg(long, value_name = "STATE")]
    state: Option<Waiting>,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// What was asked for from then on: 2h (ago), 7d, or a time in UTC
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// What was asked for until then
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// The oldest, so many at most
    #[arg(long, value_name = "COUNT", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Only show how many
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// A JSON object: cancelled, left_out, dry_run
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Waiting {
    Pending,
    Dispatched,
}

#[derive(Serialize)]
struct Done<'a> {
    cancelled: u64,
    left_out: &'a LeftOut,
    dry_run: bool,
}

pub(super) async fn run(
    args: Args,
    database: &Database,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let (tokens, mut left_out) = if args.names.is_empty() {
        filtered(&args, database).await?
    } else {
        named(&args.names, database).await?
    };
    let count = u64::try_from(tokens.len())?;
    if args.dry_run || count == 0 {
        if args.json {
            out.json(&Done { cancelled: count, left_out: &left_out, dry_run: args.dry_run })?;
        } else {
            say(out, &format!("{count} would be cancelled."), &left_out)?;
        }
        let in_vain = count == 0 && !args.names.is_empty();
        return Ok(if in_vain { Exit::Config } else { Exit::Done });
    }
    if !args.json {
        say(out, &format!("{count} will be cancelled: their mail is not sent."), &left_out)?;
    }
    if !confirmed(args.yes, out)? {
        out.line("Nothing was done.")?;
        return Ok(Exit::Done);
    }
    let shutdown = Shutdown::on_signals()?;
    let (mut done, mut late) = (0, LeftOut::default());
    let mut rest = count;
    for chunk in tokens.chunks(BATCH) {
        if shutdown.is_requested() {
            late.add("interrupted", rest);
            break;
        }
        rest -= u64::try_from(chunk.len())?;
        let row = database.one(CANCEL, &[&chunk]).await?;
        let of = |name: &str| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
        let (cancelled, sending) = (of("cancelled"), of("sending"));
        done += cancelled;
        late.add("sending", sending);
        late.add("settled", u64::try_from(chunk.len())?.saturating_sub(cancelled + sending));
    }
    if args.json {
        left_out.extend(late);
        out.json(&Done { cancelled: done, left_out: &left_out, dry_run: false })?;
    } else {
        say(out, &format!("{done} were cancelled."), &late)?;
    }
    Ok(Exit::Done)
}

fn say(out: &mut Output<'_>, words: &str, left_out: &LeftOut) -> anyhow::Result<()> {
    out.line(words)?;
    let left_out = left_out.to_string();
    if left_out.is_empty() { Ok(()) } else { out.line(left_out) }
}

/// What these names mean, as far as it waits.
async fn named(names: &[String], database: &Database) -> anyhow::Result<(Vec<i64>, LeftOut)> {
    let found = meant(database, names).await?.into_iter();
    let mut tokens: Vec<i64> = found.filter_map(|one| one.token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let (mut waiting, mut left_out) = (Vec::new(), LeftOut::default());
    for row in database.rows(STATES, &[&tokens]).await? {
        match row.get::<_, Option<&str>>("state") {
            None => left_out.add("settled", 1),
            Some("sending") => left_out.add("sending", 1),
            Some(_) => waiting.push(row.get("token")),
        }
    }
    Ok((waiting, left_out))
}

/// Those that wait and are meant, oldest first.
async fn filtered(args: &Args, database: &Database) -> anyhow::Result<(Vec<i64>, LeftOut)> {
    let now = now(database).await?;
    let since = args.since.map(|when| when.micros(now));
    let until = args.until.map(|when| when.micros(now));
    let state = args.state.map(label);
    let limit = usize::try_from(args.limit)?;
    let (mut waiting, mut left_out) = (Vec::new(), LeftOut::default());
    let (mut after, step) = (i64::MIN, i64::try_from(BATCH)?);
    loop {
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&state, &args.action, &since, &until, &after, &step];
        let rows = database.rows(OUTSTANDING, &params).await?;
        for row in &rows {
            after = row.get("token");
            if row.get::<_, &str>("state") == "sending" {
                left_out.add("sending", 1);
            } else {
                waiting.push(after);
            }
        }
        if rows.len() < BATCH || waiting.len() >= limit {
            waiting.truncate(limit);
            return Ok((waiting, left_out));
        }
    }
}
