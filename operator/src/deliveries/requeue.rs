//! `deliveries requeue`.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use daemon::exit::{Exit, ExitExt};

use super::batch;
use super::change::{Change, Count, EXIT_CODES, Manner, apply};
use super::find::{Kind, meant};
use super::settled::{Settled, Wanted};
use super::verdict::{How, LeftOut, judge};
use super::{BATCH, known, label, now};
use crate::database::{Database, failed};
use crate::moments::{When, duration};
use crate::output::Output;

/// What is said after `requeue`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Tokens, or accounts by address or login: of an account the newest token of each action.
    /// token:ID, email:ADDRESS and login:LOGIN are only that
    #[arg(value_name = "ID|ADDRESS|LOGIN")]
    names: Vec<String>,
    /// All that ended so
    #[arg(long, value_name = "STATE", conflicts_with = "names")]
    state: Option<Ended>,
    /// Of those, only this action
    #[arg(long, requires = "state")]
    action: Option<String>,
    /// Of those, what ended from then on: 2h (ago), 7d, or a time in UTC
    #[arg(long, value_name = "WHEN", requires = "state")]
    since: Option<When>,
    /// Of those, what ended until then
    #[arg(long, value_name = "WHEN", requires = "state")]
    until: Option<When>,
    /// Of those, where the provider's words, or ours, contain this, in any case
    #[arg(long, value_name = "TEXT", requires = "state")]
    detail_contains: Option<String>,
    /// Of those, the newest, so many at most
    #[arg(long, value_name = "COUNT", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Give links this long to live, also those that have expired
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    extend: Option<Duration>,
    /// Also what was sent already: the user gets it twice
    #[arg(long, conflicts_with = "state")]
    even_sent: bool,
    /// Only show how many
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// A JSON object: requeued, left_out, dry_run
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ended {
    Failed,
    Skipped,
    Unconfirmed,
}

/// Less is over before the mail is read, and more than a year is no link but a password.
fn lifetime(text: &str) -> Result<Duration, &'static str> {
    let range = Duration::from_secs(60)..=Duration::from_secs(366 * 86_400);
    let lifetime = duration(text)?;
    if range.contains(&lifetime) { Ok(lifetime) } else { Err("give between 1m and 366d") }
}

struct Requeue<'a> {
    database: &'a Database,
    how: &'a How,
}

impl Change for Requeue<'_> {
    const WILL: &'static str = "sent again";
    const WOULD: &'static str = "sent again";
    const WAS: &'static str = "requeued";

    async fn batch(&self, tokens: &[i64]) -> anyhow::Result<(u64, LeftOut)> {
        let batch = batch::requeue(self.database, tokens, self.how).await?;
        Ok((batch.count, batch.left_out))
    }

    fn done(count: u64) -> Count {
        Count::Requeued(count)
    }
}

pub(super) async fn run(
    args: Args,
    database: &Database,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let how = How {
        outcome: args.state.map(label),
        extend: args.extend.map(|extend| extend.as_secs()).and_then(|s| i64::try_from(s).ok()),
        even_sent: args.even_sent,
        even_cancelled: args.detail_contains.as_deref().is_some_and(means_cancelled),
    };
    known(database, args.action.as_deref()).await?;
    let (tokens, left_out) = match args.state {
        None => named(&args.names, &how, database).await?,
        Some(state) => filtered(&args, label(state), &how, database).await?,
    };
    let Args { state, dry_run, yes, json, .. } = args;
    let manner = Manner { named: state.is_none(), dry_run, yes, json };
    apply(&Requeue { database, how: &how }, &tokens, left_out, manner, out).await
}

impl Args {
    /// Nothing was said to be sent again: an empty command line means nobody's mail, not everybody's.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.names.is_empty() && self.state.is_none() {
            return Err(anyhow!(
                "say which: tokens or accounts by name, or --state failed, skipped or unconfirmed"
            )
            .exit(Exit::Config));
        }
        Ok(())
    }
}

/// Whoever cancelled a thousand mails does not want them back with the next thousand that failed.
fn means_cancelled(detail: &str) -> bool {
    detail.to_lowercase().contains("cancelled")
}

/// What these names mean, as far as it can be sent.
async fn named(
    names: &[String],
    how: &How,
    database: &Database,
) -> anyhow::Result<(Vec<i64>, LeftOut)> {
    // Newest first: an older activation of somebody who got a newer one is of no use.
    let mut seen = HashSet::new();
    let found = meant(database, names).await?.into_iter();
    let newest = found
        .filter(|one| one.kind == Kind::Token || seen.insert((one.account, one.action.clone())));
    let mut tokens: Vec<i64> = newest.filter_map(|one| one.token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let (mut good, mut left_out) = (Vec::new(), LeftOut::default());
    for chunk in tokens.chunks(BATCH) {
        let (some, others) = judge(database, chunk, how, false).await.map_err(failed)?;
        good.extend(some);
        left_out.extend(others);
    }
    Ok((good, left_out))
}

/// What the log has of them, newest first, as far as it can be sent.
async fn filtered(
    args: &Args,
    outcome: String,
    how: &How,
    database: &Database,
) -> anyhow::Result<(Vec<i64>, LeftOut)> {
    let now = now(database).await?;
    let wanted = Wanted {
        outcome,
        action: args.action.clone(),
        detail: args.detail_contains.clone(),
        since: args.since.map(|when| when.micros(now)),
        until: args.until.map(|when| when.micros(now)),
    };
    let limit = usize::try_from(args.limit)?;
    let (mut log, mut good, mut left_out) =
        (Settled::new(database, wanted), Vec::new(), LeftOut::default());
    while let Some(some) = log.next().await? {
        let tokens: Vec<i64> = some.iter().map(|one| one.token).collect();
        for chunk in tokens.chunks(BATCH) {
            let (some, others) = judge(database, chunk, how, false).await.map_err(failed)?;
            good.extend(some);
            left_out.extend(others);
        }
        if good.len() >= limit {
            good.truncate(limit);
            break;
        }
    }
    // One order everywhere, so that two requeues wait for each other and not in a circle.
    good.sort_unstable();
    Ok((good, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_bounds() {
        assert_eq!(lifetime("15m"), Ok(Duration::from_secs(900)));
        assert!(["1s", "2years", "15"].iter().all(|text| lifetime(text).is_err()));
    }
}
