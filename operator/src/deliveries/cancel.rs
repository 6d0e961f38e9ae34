//! `deliveries cancel`.

use clap::ValueEnum;
use daemon::exit::Exit;
use daemon::session::Sql;
use daemon::sql;

use super::change::{Change, Count, EXIT_CODES, Manner, apply};
use super::find::meant;
use super::verdict::LeftOut;
use super::{BATCH, OUTSTANDING, known, label, now};
use crate::database::Database;
use crate::moments::When;
use crate::output::Output;

const STATES: Sql = sql!("deliveries/states");
const CANCEL: Sql = sql!("deliveries/cancel");

/// What is said after `cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["names", "state", "action", "since", "until"]))]
pub(super) struct Args {
    /// Tokens, or accounts by address or login: of an account all that is outstanding.
    /// token:ID, email:ADDRESS and login:LOGIN are only that
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

struct Cancel<'a>(&'a Database);

impl Change for Cancel<'_> {
    const WILL: &'static str = "cancelled: not sent";
    const WOULD: &'static str = "cancelled";
    const WAS: &'static str = "cancelled";

    async fn batch(&self, tokens: &[i64]) -> anyhow::Result<(u64, LeftOut)> {
        let row = self.0.one(CANCEL, &[&tokens]).await?;
        let of = |name: &str| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
        let (cancelled, sending) = (of("cancelled"), of("sending"));
        let mut left_out = LeftOut::default();
        left_out.add("sending", sending);
        left_out.add("settled", u64::try_from(tokens.len())?.saturating_sub(cancelled + sending));
        Ok((cancelled, left_out))
    }

    fn done(count: u64) -> Count {
        Count::Cancelled(count)
    }
}

pub(super) async fn run(
    args: Args,
    database: &Database,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    known(database, args.action.as_deref()).await?;
    let (tokens, left_out) = if args.names.is_empty() {
        filtered(&args, database).await?
    } else {
        named(&args.names, database).await?
    };
    let Args { names, dry_run, yes, json, .. } = args;
    let manner = Manner { named: !names.is_empty(), dry_run, yes, json };
    apply(&Cancel(database), &tokens, left_out, manner, out).await
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
