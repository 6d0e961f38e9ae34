//! What `requeue` and `cancel` have in common: they say how many, have it confirmed, and go on a batch at
//! a time until all is done or they are interrupted.

use anyhow::Context;
use daemon::exit::Exit;
use daemon::log::complain;
use daemon::shutdown::Shutdown;
use serde::Serialize;

use super::BATCH;
use super::verdict::LeftOut;
use crate::confirm::confirm;
use crate::output::Output;

/// When a name, or a filter, finds nothing.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 done, also when a filter finds nothing, and whatever --dry-run \
    finds; 75 try again;\n78 a person must look: nothing is called so, a name has two meanings, what is named \
    has nothing to be\ndone to it, or it was not confirmed.";

/// What is done to many deliveries.
pub(super) trait Change {
    /// In sentences: what will be done, and what was.
    const WILL: &'static str;
    const WOULD: &'static str;
    const WAS: &'static str;

    /// Does it to these, and says to how many, and why not to the others.
    async fn batch(&self, tokens: &[i64]) -> anyhow::Result<(u64, LeftOut)>;
    /// For machines.
    fn done(count: u64) -> Count;
}

/// How it was said to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Deliveries were named one by one, or by their accounts: who does that wants these.
    pub(super) named: bool,
    pub(super) dry_run: bool,
    pub(super) yes: bool,
    pub(super) json: bool,
}

/// How many, by what was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Count {
    Requeued(u64),
    Cancelled(u64),
}

#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    count: Count,
    left_out: &'a LeftOut,
    dry_run: bool,
}

/// Does it to `tokens`; `left_out` are those found that are not among them.
pub(super) async fn apply<C: Change>(
    change: &C,
    tokens: &[i64],
    mut left_out: LeftOut,
    manner: Manner,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let Manner { named, dry_run, yes, json } = manner;
    let found = u64::try_from(tokens.len())?;
    let end = |count: u64| if count == 0 && named && !dry_run { Exit::Config } else { Exit::Done };
    if dry_run || found == 0 {
        if json {
            out.json(&Done { count: C::done(found), left_out: &left_out, dry_run })?;
        } else {
            say(out, format!("{} would be {}.", mails(found), C::WOULD), &left_out)?;
        }
        return Ok(end(found));
    }
    let will = format!("{} will be {}.", mails(found), C::WILL);
    if !json {
        say(out, will, &left_out)?;
    } else if !yes {
        complain("mailroom", format_args!("{will} {left_out}"));
    }
    confirm(yes)?;
    let shutdown = Shutdown::on_signals()?;
    let (mut done, mut late, mut rest) = (0, LeftOut::default(), found);
    for chunk in tokens.chunks(BATCH) {
        if shutdown.is_requested() {
            late.add("interrupted", rest);
            break;
        }
        rest -= u64::try_from(chunk.len())?;
        let batch = change.batch(chunk).await;
        let (count, others) = batch.with_context(|| format!("{}, then", was::<C>(done)))?;
        done += count;
        late.extend(others);
    }
    if json {
        left_out.extend(late);
        out.json(&Done { count: C::done(done), left_out: &left_out, dry_run })?;
    } else {
        say(out, format!("{}.", was::<C>(done)), &late)?;
    }
    Ok(end(done))
}

fn mails(count: u64) -> String {
    if count == 1 { "1 mail".to_owned() } else { format!("{count} mails") }
}

fn was<C: Change>(count: u64) -> String {
    format!("{} {} {}", mails(count), if count == 1 { "was" } else { "were" }, C::WAS)
}

fn say(out: &mut Output<'_>, words: String, left_out: &LeftOut) -> anyhow::Result<()> {
    out.line(words)?;
    let left_out = left_out.to_string();
    if left_out.is_empty() { Ok(()) } else { out.line(left_out) }
}
