//! One session's work: claim, sign, write, look, sleep, sweep.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use daemon::crash_point;
use daemon::exit::{Exit, ExitExt};
use daemon::log::ms;
use daemon::session::Session;
use daemon::shutdown::Shutdown;
use daemon::trouble::Trouble;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::batcher::{Batcher, Step};
use crate::config::Config;
use crate::emitter::Emitter;
use crate::floors::Floors;
use crate::lines::{self, Rejected};
use crate::purges::{Purges, Retention};
use crate::queue::{Claim, Predecessors, Queue};
use crate::sweeps::Sweeps;

/// Lines that take longer have met a full pipe, and a reader that has enough to do.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How often the queue's cursor moves while there is no end of a drain.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What a sender that has lost its session may take to come back with the results of its calls.
const GRACE: Duration = Duration::from_secs(30);

/// Why a session was left.
pub enum End {
    /// The database is not what the settings say: the error has the exit code.
    Unfit(anyhow::Error),
    /// We were asked to stop, and the last line is whole.
    Stopped,
    /// Nobody reads stdout any more.
    ReaderGone,
    /// stdout refuses for another reason.
    Unwritable(std::io::Error),
    /// The connection is of no more use.
    Lost(Trouble),
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Lost(trouble)
    }
}

/// See the module.
pub struct Work<'a> {
    config: &'a Config,
    queue: &'a Queue<'a>,
    emitter: &'a mut Emitter,
    /// What to take over from; `claimed_at` in it goes on as ours.
    predecessors: &'a mut Predecessors,
    /// The highest token handed over since the cursor was last reported.
    highest: i64,
    floors: Floors,
    /// Claimed, and next to be written.
    in_hand: Option<Claim>,
}

impl<'a> Work<'a> {
    /// Work on `queue`, written to `emitter`.
    pub fn new(
        config: &'a Config,
        queue: &'a Queue<'a>,
        emitter: &'a mut Emitter,
        predecessors: &'a mut Predecessors,
    ) -> Self {
        Self {
            config,
            queue,
            emitter,
            predecessors,
            highest: 0,
            floors: Floors::default(),
            in_hand: None,
        }
    }

    /// Works until there is a reason not to. `checked`: whether the database has been found to be
    /// what the settings say. Cancelled while a line is written, it leaves the line unfinished.
    pub async fn until_the_end(
        &mut self,
        session: &Session,
        checked: &mut bool,
        shutdown: &Shutdown,
    ) -> End {
        let end = async {
            if !*checked {
                self.check().await?;
                *checked = true;
            }
            self.take_over().await?;
            crash_point!("taken_over");
            self.work(session, shutdown).await
        };
        match end.await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// What would make us wait for ever without a word.
    async fn check(&self) -> Result<(), End> {
        let (channel, queue_exists) = self.queue.check().await?;
        let wanted = &self.config.channel;
        let problem = if channel != *wanted {
            anyhow!(
                "MAILROOM_CHANNEL_NAME: the triggers notify {channel:?}, not {wanted:?}; set it to \
                 {channel:?} or replace the function mailroom_channel()"
            )
        } else if !queue_exists {
            let queue = &self.config.queue;
            anyhow!(
                "MAILROOM_QUEUE_NAME: there is no queue {queue:?} in jobs; set it to one that is there"
            )
        } else {
            return Ok(());
        };
        Err(End::Unfit(problem.exit(Exit::Config)))
    }

    /// What former sessions of ours held. Lost on the way, the next session takes over from them and
    /// from this one.
    async fn take_over(&mut self) -> Result<(), Trouble> {
        for former in &self.predecessors.sessions {
            let claimed_at = self.predecessors.claimed_at;
            let (kept, released) = self.queue.relabel(*former, claimed_at).await?;
            tracing::info!(former = former.number, kept, released, "took_over");
        }
        self.predecessors.sessions.clear();
        self.skip().await
    }

    async fn work(&mut self, session: &Session, shutdown: &Shutdown) -> Result<Infallible, End> {
        let config = self.config;
        let mut batcher = Batcher::new(config.batch_limit, config.batch_timeout, Instant::now());
        let mut sweeps = Sweeps::new(Instant::now());
        let mut purges = Purges::new(config.retention, Instant::now());
        let mut check_at = Instant::now() + config.healthcheck_interval;
        let mut pruned = false;
        let mut report_at = Instant::now();
        loop {
            if self.in_hand.is_none() && shutdown.is_requested() {
                self.report().await?;
                return Err(End::Stopped);
            }
            let now = Instant::now();
            if let Some(claim) = self.in_hand.take() {
                // A sweep would take what lies in our hand for lost, if it has lain there for long.
                let pause = shutdown.is_requested() || sweeps.is_due(now);
                let ahead = if pause { None } else { batcher.claim_ahead(now) };
                self.emit(claim, ahead, &mut batcher, &mut sweeps).await?;
                continue;
            }
            if sweeps.is_due(now) {
                self.sweep(&mut sweeps, &mut batcher).await?;
            }
            match batcher.step(now) {
                Step::Claim(rows) => {
                    let claim = self.queue.claim(rows, &mut self.floors).await?;
                    self.claimed(rows, claim, &mut batcher, &mut sweeps);
                }
                Step::Look { arm } => {
                    if arm || batcher.is_armed() || now >= report_at {
                        self.report().await?;
                        report_at = now + REPORT_EVERY;
                    }
                    self.look(arm, &mut batcher).await?;
                    if arm {
                        // While we were awake, or while another one sleeps, nobody tells us what
                        // others have taken, and they may die with it.
                        sweeps.held(Instant::now());
                    }
                    if !std::mem::replace(&mut pruned, true) {
                        self.queue.prune().await?;
                    }
                }
                Step::Disarm => {
                    self.queue.disarm().await?;
                    batcher.disarmed();
                }
                Step::Wait(until) => {
                    let alarms = [until, sweeps.due_at(), purges.due_at(), Some(check_at)];
                    let alarm = alarms.into_iter().flatten().min();
                    tokio::select! {
                        biased;
                        () = shutdown.requested() => {}
                        () = session.closed() => {
                            return Err(Trouble::lost("the connection was closed").into());
                        }
                        () = self.emitter.reader_gone() => return Err(End::ReaderGone),
                        () = session.notified() => {
                            batcher.noticed(Instant::now());
                            // Whoever takes the rows we have just heard of may die with them.
                            sweeps.held(Instant::now());
                        }
                        () = sleep_until(alarm) => {}
                    }
                    if Instant::now() >= check_at {
                        check_at = Instant::now() + config.healthcheck_interval;
                        batcher.check();
                        sweeps.check(Instant::now());
                        purges.check(Instant::now());
                    } else if let Some(retention) = purges.due(Instant::now()) {
                        self.purge(retention, &mut purges).await?;
                    }
                }
            }
        }
    }

    /// A claim was answered. First it is committed, then written, so a crash in between leaves rows that
    /// are ours and are released, never a line without its rows.
    fn claimed(&mut self, asked: u32, claim: Claim, batcher: &mut Batcher, sweeps: &mut Sweeps) {
        crash_point!("claimed");
        // A claim above floors does not count as short.
        let examined = if claim.everywhere { claim.examined } else { asked };
        batcher.claimed(asked, examined, Instant::now());
        if claim.examined > 0 {
            sweeps.held(Instant::now());
        }
        self.predecessors.barred.extend(&claim.barred);
        self.in_hand = Some(claim).filter(|claim| !claim.ours.is_empty());
    }

    /// Signs and writes what was claimed. Meanwhile PostgreSQL is asked for the next `ahead` rows, if
    /// any, and need not wait for us (ADR 14).
    async fn emit(
        &mut self,
        claim: Claim,
        ahead: Option<u32>,
        batcher: &mut Batcher,
        sweeps: &mut Sweeps,
    ) -> Result<(), End> {
        let Self { config, queue, emitter, predecessors, highest, floors, .. } = self;
        let Claim { ours, claimed_at, .. } = claim;
        let claim_ahead = async {
            let asked = ahead?;
            let claim = queue.claim(asked, floors).await;
            crash_point!("claimed_ahead");
            Some((asked, claim))
        };
        let write = async {
            if ahead.is_some() {
                // Now it is sent.
                yield_now().await;
            }
            let mut bytes = Vec::new();
            let limit = usize::try_from(config.batch_limit).unwrap_or(usize::MAX);
            let last = ours.iter().map(|delivery| delivery.token).max();
            let (rows, lines, rejected) = lines::write(&config.secret_key, ours, limit, &mut bytes);
            reject(queue, &rejected).await?;
            crash_point!("signed");
            // From here on these rows count as written: the reader may act on any line of them.
            predecessors.claimed_at = claimed_at;
            let begun = Instant::now();
            put(emitter, &bytes, queue, batcher).await?;
            let waited = begun.elapsed();
            crash_point!("line_written");
            if ahead.is_none() {
                // Whom a pipe's writer wakes Linux likes to run on the writer's processor, as soon as
                // that one waits. Before we ask PostgreSQL for more, let it read.
                std::thread::yield_now();
            }
            let at_once = waited < AT_ONCE;
            batcher.taken(u32::try_from(rows).unwrap_or(u32::MAX), at_once, Instant::now());
            *highest = (*highest).max(last.unwrap_or_default());
            let waited_ms = ms(waited);
            tracing::info!(rows, lines, waited_ms, "batch_emitted");
            Ok::<(), End>(())
        };
        // Whatever becomes of the claim, the line is finished.
        let (claimed, written) = tokio::join!(biased; claim_ahead, write);
        written?;
        if let Some((asked, claim)) = claimed {
            self.claimed(asked, claim?, batcher, sweeps);
        }
        Ok(())
    }

    /// What may not be mailed, and was locked by somebody when it was to be skipped.
    async fn skip(&mut self) -> Result<(), Trouble> {
        if !self.predecessors.barred.is_empty() {
            self.predecessors.barred = self.queue.skip(&self.predecessors.barred).await?;
        }
        Ok(())
    }

    async fn look(&mut self, arm: bool, batcher: &mut Batcher) -> Result<(), Trouble> {
        let limit = batcher.look_limit();
        let look = if arm {
            let (armed, look) = self.queue.arm_and_look(limit, &mut self.floors).await?;
            crash_point!("armed");
            batcher.armed(armed);
            look
        } else {
            // Armed, nothing but a notification wakes us, so nothing may be overlooked.
            self.queue.look(limit, &mut self.floors, batcher.is_armed()).await?
        };
        batcher.looked(look.due, look.next_due_in, Instant::now());
        Ok(())
    }

    async fn sweep(&mut self, sweeps: &mut Sweeps, batcher: &mut Batcher) -> Result<(), Trouble> {
        if !self.predecessors.barred.is_empty() {
            self.skip().await?;
            // What may be mailed again by now is pending, and that wakes nobody: we have the gate.
            batcher.check();
        }
        let sweep = self.queue.sweep(GRACE).await?;
        crash_point!("swept");
        let now = Instant::now();
        sweeps.swept(sweep.held > 0, sweep.grace_ends_in, now);
        if sweep.released > 0 {
            batcher.drain();
        }
        if sweep.released > 0 || sweep.unconfirmed > 0 {
            tracing::warn!(
                released = sweep.released,
                lost = sweep.lost,
                ambiguous = sweep.ambiguous,
                unconfirmed = sweep.unconfirmed,
                "deliveries_released"
            );
        }
        Ok(())
    }

    /// A little at a time: what has become due meanwhile goes first. No mail waits because a purge
    /// fails.
    async fn purge(&self, retention: Retention, purges: &mut Purges) -> Result<(), Trouble> {
        match self.queue.purge(retention).await {
            Ok((rows, more)) => {
                if let Some(rows @ 1..) = purges.purged(rows, more) {
                    tracing::info!(rows, "log_purged");
                }
                Ok(())
            }
            Err(trouble) if trouble.is_pooled() || trouble.is_lost() => Err(trouble),
            Err(trouble) => {
                tracing::error!(error = %trouble, "purge_refused");
                purges.put_off();
                Ok(())
            }
        }
    }

    /// At the end of a drain the queue's cursor moves.
    async fn report(&mut self) -> Result<(), Trouble> {
        let highest = std::mem::take(&mut self.highest);
        if highest > 0 {
            self.queue.report(highest).await?;
        }
        Ok(())
    }
}

/// Writes whole lines, however long the reader takes.
async fn put(
    emitter: &mut Emitter,
    lines: &[u8],
    queue: &Queue<'_>,
    batcher: &mut Batcher,
) -> Result<(), End> {
    let mut emit = pin!(emitter.emit(lines));
    let emitted = match timeout(AT_ONCE, &mut emit).await {
        Ok(emitted) => emitted,
        Err(_) if batcher.is_armed() => {
            // The reader is slow, so we are not asleep, and writers need not notify. Whatever comes of
            // that, the line is finished: half of one would spoil the next.
            let (emitted, disarmed) = tokio::join!(emit, queue.disarm());
            disarmed?;
            batcher.disarmed();
            emitted
        }
        Err(_) => emit.await,
    };
    emitted.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => End::ReaderGone,
        _ => End::Unwritable(error),
    })
}

/// What cannot be written has failed, and says why.
async fn reject(queue: &Queue<'_>, rejected: &[Rejected]) -> Result<(), Trouble> {
    if rejected.is_empty() {
        return Ok(());
    }
    let tokens: Vec<i64> = rejected.iter().map(|r| r.token).collect();
    let reasons: Vec<&str> = rejected.iter().map(|r| r.reason.as_str()).collect();
    queue.reject(&tokens, &reasons).await?;
    for Rejected { token, reason } in rejected {
        tracing::warn!(delivery = token, reason, "delivery_failed");
    }
    Ok(())
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => tokio::time::sleep_until(alarm.into()).await,
        None => std::future::pending().await,
    }
}
