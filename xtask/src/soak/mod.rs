//! `make soak`: writers of every kind, two pipelines, about one fault a second, and a count at the
//! end.

mod audit;
mod between;
mod chaos;
mod journal;
mod pipe;
mod provider;
mod records;
mod stage;
mod story;
mod writer;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use tokio::task::JoinSet;

use self::audit::{Mail, Tally};
use self::chaos::Chaos;
use self::journal::Handed;
use self::pipe::Pipe;
use self::records::{Clock, Records};
use self::stage::Stage;
use self::writer::{Done, Writer};

const SECONDS: u64 = 60;
const SECONDS_MAX: u64 = 12 * 60 * 60;
const WRITERS: usize = 8;

/// `[SECONDS] [SEED]`; an empty one counts as not given.
pub(crate) fn run(args: &[&str]) -> anyhow::Result<()> {
    ensure!(args.len() <= 2, "soak takes [SECONDS] [SEED]");
    let number = |at: usize, name: &str| match args.get(at).copied().unwrap_or_default() {
        "" => Ok(None),
        given => given.parse().map(Some).with_context(|| format!("{name}: {given:?}")),
    };
    let seconds: u64 = number(0, "SECONDS")?.unwrap_or(SECONDS);
    ensure!((1..=SECONDS_MAX).contains(&seconds), "SECONDS: from 1 to {SECONDS_MAX}");
    let seed = number(1, "SEED")?.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("build a tokio runtime")?.block_on(async {
        say(format_args!(
            "SEED={seed}, {seconds} s: setting up PostgreSQL, SES and two pipelines."
        ))?;
        let clock = Clock::start()?;
        let stage = Arc::new(Stage::set_up().await?);
        tokio::select! {
            soaked = Box::pin(soak(&stage, Duration::from_secs(seconds), seed, clock)) => soaked,
            pressed = tokio::signal::ctrl_c() => {
                pressed.context("wait for Ctrl-C")?;
                bail!("interrupted")
            }
        }
    })
}

async fn soak(stage: &Arc<Stage>, time: Duration, seed: u64, clock: Clock) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(seed);
    let open = Arc::new(AtomicBool::new(true));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let writer = Writer::new(number, rng.fork());
        writers.spawn(writer.write(stage.clone(), open.clone()));
    }
    let mut chaos = Chaos::new(stage, rng);
    chaos.rain(Instant::now() + time).await?;
    open.store(false, Ordering::Relaxed);
    let done: Vec<Done> = writers.join_all().await;
    say("The faults are over. Waiting until nothing is outstanding.")?;
    let calm = Instant::now();
    let settled = chaos.settle(&stage.database).await?;
    say(format_args!("That took {:.0} s.", calm.elapsed().as_secs_f64()))?;

    table("what was written", done.iter().flat_map(|done| &done.deeds))?;
    let (journal, met) = (chaos.journal(), chaos.provider().met());
    let between: Vec<_> = chaos.pipes().iter().flat_map(Pipe::between).collect();
    table("between the halves", between.iter().map(|(kind, count)| (kind, count)))?;
    let faults = table("faults", journal.counts().iter().chain(&met))?;
    let starts: usize = chaos.pipes().iter().map(|pipe| pipe.starts()).sum();
    say(format_args!("\n{faults} faults; pipelines were started {starts} times."))?;

    let mails = mails(stage, &chaos)?;
    let records = Records::read(&stage.database, clock).await?;
    let tally = Tally::take(&records, &mails, journal);
    say(format_args!("\ntokens, by their last outcome:\n{tally}, SEED={seed}"))?;

    let mut complaints = tally.complaints();
    if !settled {
        complaints.push(format!("{} deliveries are still outstanding", records.outstanding));
    }
    complaints.extend(chaos.pipes().iter().flat_map(|pipe| pipe.strange().to_vec()));
    let refused = done.iter().flat_map(|done| &done.complaints);
    complaints.extend(refused.map(|words| format!("a transaction was aborted: {words}")));
    if complaints.is_empty() {
        return Ok(());
    }
    story::tell(stage, &chaos, &records, &mails, &tally, clock).await?;
    bail!("{}; SEED={seed}", complaints.join("\n       "))
}

/// The double's mails, as the audit wants them.
fn mails(stage: &Stage, chaos: &Chaos<'_>) -> anyhow::Result<Vec<Mail>> {
    let (key, calls, untold) = (stage::key()?, stage.ses.calls(), chaos.provider().unanswered());
    let mails = stage.ses.mails();
    let mails = mails.iter().map(|mail| {
        let call = calls.get(mail.call.wrapping_sub(1)).context("a mail of no call")?;
        let handed = Handed {
            pipe: stage::pipe_of(&mail.from).context("a mail of no pipe")?,
            arrived: call.at,
            accepted: mail.at,
            answered: call.answered.is_some() && !untold.contains(&mail.call),
            recorded: None,
        };
        let (to, message_id) = (mail.to.clone(), mail.message_id.clone());
        Ok(Mail { secret: audit::secret_of(&key, mail), to, message_id, handed })
    });
    mails.collect()
}

/// Prints the counts, sums of each kind; their total.
fn table<'a>(
    title: &str,
    counts: impl Iterator<Item = (&'a &'static str, &'a usize)>,
) -> anyhow::Result<usize> {
    let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, count) in counts {
        *sums.entry(kind).or_default() += count;
    }
    say(format_args!("\n{title}:"))?;
    for (kind, sum) in &sums {
        say(format_args!("  {kind:<40}{sum:>6}"))?;
    }
    Ok(sums.values().sum())
}

fn say(words: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{words}").context("write to stdout")
}
