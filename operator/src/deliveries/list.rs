//! `deliveries list`.

use clap::ValueEnum;
use daemon::exit::Exit;
use daemon::log::complain;
use serde::Serialize;

use super::settled::{Ended, Settled, Wanted, as_date};
use super::{BATCH, OUTSTANDING, known, label, now};
use crate::database::Database;
use crate::moments::When;
use crate::moments::{age, date, stamp};
use crate::output::{Output, Row};

/// Steps back through the log before we stop and say so.
const STEPS_MAX: usize = 20;

/// What is said after `list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these [default: all that are outstanding: pending, dispatched and sending]. What is
    /// outstanding is listed oldest first, what has ended newest first
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// Only from then on: 2h (ago), 7d, or a time in UTC
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only until then
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Only where the provider's words, or ours, contain this, in any case
    #[arg(long, value_name = "TEXT")]
    detail_contains: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// A JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Pending,
    Dispatched,
    Sending,
    Sent,
    Skipped,
    Failed,
    Unconfirmed,
}

impl State {
    fn is_outstanding(self) -> bool {
        match self {
            Self::Pending | Self::Dispatched | Self::Sending => true,
            Self::Sent | Self::Skipped | Self::Failed | Self::Unconfirmed => false,
        }
    }
}

/// A delivery that has not ended.
#[derive(Debug, Serialize)]
struct Waiting {
    token: i64,
    action: Option<String>,
    account: Option<i64>,
    state: String,
    attempts: i32,
    #[serde(serialize_with = "as_date")]
    promised_at: i64,
    #[serde(serialize_with = "as_date")]
    due_at: i64,
    last_outcome: Option<String>,
    detail: Option<String>,
    #[serde(skip)]
    now: i64,
}

impl Row for Waiting {
    const HEADINGS: &'static [&'static str] =
        &["TOKEN", "ACTION", "ACCOUNT", "STATE", "ATTEMPTS", "FOR", "DUE (UTC)", "LAST"];

    fn cells(&self) -> Vec<String> {
        let last = [self.last_outcome.as_deref(), self.detail.as_deref()];
        let last: Vec<&str> = last.into_iter().flatten().collect();
        vec![
            self.token.to_string(),
            self.action.clone().unwrap_or_default(),
            self.account.map(|account| account.to_string()).unwrap_or_default(),
            self.state.clone(),
            self.attempts.to_string(),
            age(self.now - self.promised_at),
            if self.due_at <= self.now { "now".to_owned() } else { stamp(self.due_at) },
            last.join(": "),
        ]
    }
}

pub(super) async fn run(
    args: Args,
    database: &Database,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    known(database, args.action.as_deref()).await?;
    let now = now(database).await?;
    match args.state {
        Some(state) if !state.is_outstanding() => {
            let found = settled(&args, label(state), now, database).await?;
            out.rows(&found, args.json)?;
        }
        state => out.rows(&outstanding(&args, state, now, database).await?, args.json)?,
    }
    Ok(Exit::Done)
}

async fn settled(
    args: &Args,
    outcome: String,
    now: i64,
    database: &Database,
) -> anyhow::Result<Vec<Ended>> {
    let limit = usize::try_from(args.limit)?;
    let wanted = Wanted {
        outcome,
        action: args.action.clone(),
        since: args.since.map(|when| when.micros(now)),
        until: args.until.map(|when| when.micros(now)),
        detail: args.detail_contains.clone(),
    };
    let (mut log, mut found) = (Settled::new(database, wanted), Vec::new());
    for _ in 0..STEPS_MAX {
        let Some(some) = log.next().await? else {
            cut(&mut found, limit);
            return Ok(found);
        };
        found.extend(some);
        if found.len() > limit {
            cut(&mut found, limit);
            return Ok(found);
        }
    }
    if let Some(reached) = log.reached() {
        let until = date(reached);
        complain("mailroom", format_args!("looked back to {until} only: --until {until} goes on"));
    }
    Ok(found)
}

async fn outstanding(
    args: &Args,
    state: Option<State>,
    now: i64,
    database: &Database,
) -> anyhow::Result<Vec<Waiting>> {
    let since = args.since.map(|when| when.micros(now));
    let until = args.until.map(|when| when.micros(now));
    let (limit, state) = (usize::try_from(args.limit)?, state.map(label));
    let text = args.detail_contains.as_deref().map(str::to_lowercase);
    // One more than is shown tells whether there are more.
    let step = limit.saturating_add(1).max(BATCH);
    let (mut after, mut found) = (i64::MIN, Vec::new());
    loop {
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&state, &args.action, &since, &until, &after, &i64::try_from(step)?];
        let rows = database.rows(OUTSTANDING, &params).await?;
        for row in &rows {
            let one = waiting(row, now);
            after = one.token;
            let detail = one.detail.as_deref().map(str::to_lowercase).unwrap_or_default();
            if text.as_deref().is_none_or(|text| detail.contains(text)) {
                found.push(one);
            }
        }
        if rows.len() < step || found.len() > limit {
            cut(&mut found, limit);
            return Ok(found);
        }
    }
}

/// Says so when there is more than was asked for.
fn cut<T>(found: &mut Vec<T>, limit: usize) {
    if found.len() > limit {
        found.truncate(limit);
        complain("mailroom", format_args!("only {limit} are shown, there are more: --limit"));
    }
}

fn waiting(row: &tokio_postgres::Row, now: i64) -> Waiting {
    Waiting {
        token: row.get("token"),
        action: row.get("action"),
        account: row.get("account"),
        state: row.get("state"),
        attempts: row.get("attempts"),
        promised_at: row.get("promised_at"),
        due_at: row.get("due_at"),
        last_outcome: row.get("last_outcome"),
        detail: row.get("detail"),
        now,
    }
}
