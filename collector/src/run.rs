//! The collector at work: one session after another until it is asked to stop.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use daemon::crash_point;
use daemon::exit::{Exit, ExitExt};
use daemon::reconnect::Reconnect;
use daemon::session::{Identity, Session};
use daemon::shutdown::Shutdown;
use daemon::trouble::Trouble;
use tokio::time::{sleep, timeout};

use crate::batcher::{Batcher, Step};
use crate::config::Config;
use crate::emitter::Emitter;
use crate::floors::Floors;
use crate::lines::{self, Rejected};
use crate::queue::{self, Claim, Predecessors, Queue};
use crate::sweeps::Sweeps;

const IDENTITY: Identity = Identity { kind: "collector", version: env!("CARGO_PKG_VERSION") };

/// The longest wait between two attempts to reach PostgreSQL.
const RECONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a stop waits for a line that the reader does not take. The rest of it is released.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A line that takes longer has met a full pipe.
const GATE_PATIENCE: Duration = Duration::from_millis(20);

/// Why a session was left.
enum End {
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

/// Collects until asked to stop, or until nobody reads.
///
/// # Errors
/// When the first connection cannot be made and waiting would not mend it, or when the database is
/// behind a transaction pooler: [`Exit::Config`].
pub async fn run(
    config: &Config,
    mut emitter: Emitter,
    shutdown: Shutdown,
) -> anyhow::Result<Exit> {
    tracing::info!(
        version = IDENTITY.version,
        queue = config.queue,
        batch_limit = config.batch_limit,
        "started"
    );
    let mut predecessors = Predecessors::default();
    let mut checked = false;
    let channel = Some(config.channel.as_str());
    let mut sessions =
        Reconnect::new(&config.database, IDENTITY, channel, &queue::ALL, RECONNECT_MAX);
    loop {
        let session = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(stopped()),
            () = emitter.reader_gone() => return Ok(reader_gone(None)),
            session = sessions.open() => session?,
        };
        let queue = Queue::new(&session, &config.queue);
        let mut work = Work {
            config,
            queue: &queue,
            emitter: &mut emitter,
            claimed_at: 0,
            highest: 0,
            floors: Floors::default(),
        };
        let end = match work.prepare(&mut checked, &predecessors).await? {
            Ok(()) => {
                crash_point!("taken_over");
                predecessors.sessions.clear();
                work.until_the_end(&session, &shutdown).await
            }
            // What it has taken over so far is to be taken over from it.
            Err(trouble) => End::Lost(trouble),
        };
        predecessors.sessions.push(session.former());
        predecessors.claimed_at = work.claimed_at;
        match end {
            End::Stopped => return Ok(stopped()),
            End::ReaderGone => {
                crash_point!("reader_gone");
                return Ok(reader_gone(queue.release().await.ok()));
            }
            End::Unwritable(error) => {
                _ = queue.release().await;
                return Err(anyhow!(error).context("write to stdout").exit(Exit::Unavailable));
            }
            End::Lost(trouble) if trouble.is_pooled() => {
                return Err(anyhow!(trouble).exit(Exit::Config));
            }
            End::Lost(trouble) => {
                tracing::warn!(error = %trouble, "connection_lost");
            }
        }
    }
}

fn stopped() -> Exit {
    tracing::info!("stopped");
    Exit::Done
}

fn reader_gone(released: Option<i64>) -> Exit {
    tracing::warn!(released, "reader_gone");
    Exit::Unavailable
}

/// What would make us wait for ever without a word.
async fn check(config: &Config, queue: &Queue<'_>) -> Result<anyhow::Result<()>, Trouble> {
    let (channel, queue_exists) = queue.check().await?;
    let problem = if channel != config.channel {
        anyhow!(
            "MAILROOM_CHANNEL_NAME: the triggers notify {channel:?}, not {:?}; set it to {channel:?} \
             or replace the function mailroom_channel()",
            config.channel
        )
    } else if !queue_exists {
        anyhow!(
            "MAILROOM_QUEUE_NAME: there is no queue {:?} in jobs; set it to one that is there",
            config.queue
        )
    } else {
        return Ok(Ok(()));
    };
    Ok(Err(problem).exit(Exit::Config))
}

/// One session's work.
struct Work<'a> {
    config: &'a Config,
    queue: &'a Queue<'a>,
    emitter: &'a mut Emitter,
    /// [`Claim::claimed_at`] of the last answered claim.
    claimed_at: i64,
    /// The highest token handed over since the cursor was last reported.
    highest: i64,
    floors: Floors,
}

impl Work<'_> {
    /// Before anything else: whether we are where we should be, and what a former session held.
    async fn prepare(
        &mut self,
        checked: &mut bool,
        predecessors: &Predecessors,
    ) -> anyhow::Result<Result<(), Trouble>> {
        if !*checked {
            match check(self.config, self.queue).await {
                Ok(fits) => fits?,
                Err(trouble) => return Ok(Err(trouble)),
            }
            *checked = true;
        }
        self.claimed_at = predecessors.claimed_at;
        for session in &predecessors.sessions {
            match self.queue.relabel(*session, self.claimed_at).await {
                Ok((kept, released)) => {
                    tracing::info!(former = session.number, kept, released, "took_over");
                }
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        Ok(Ok(()))
    }

    /// Works until there is a reason not to; a line being written when it comes is finished, unless
    /// the reader does not take it.
    async fn until_the_end(&mut self, session: &Session, shutdown: &Shutdown) -> End {
        let too_late = async {
            shutdown.requested().await;
            sleep(STOP_TIMEOUT).await;
        };
        tokio::select! {
            end = self.work(session, shutdown) => match end {
                Ok(never) => match never {},
                Err(end) => return end,
            },
            () = too_late => {}
        }
        tracing::warn!("line_unfinished");
        // If PostgreSQL does not answer either, our session's end releases them.
        _ = timeout(STOP_TIMEOUT, self.queue.release()).await;
        End::Stopped
    }

    async fn work(
        &mut self,
        session: &Session,
        shutdown: &Shutdown,
    ) -> Result<std::convert::Infallible, End> {
        let mut batcher =
            Batcher::new(self.config.batch_limit, self.config.batch_timeout, Instant::now());
        let mut sweeps = Sweeps::new(Instant::now());
        let mut check_at = Instant::now() + self.config.healthcheck_interval;
        self.queue.prune().await?;
        loop {
            if shutdown.is_requested() {
                self.report().await?;
                return Err(End::Stopped);
            }
            let now = Instant::now();
            if sweeps.is_due(now) {
                self.sweep(&mut sweeps, &mut batcher).await?;
            }
            match batcher.step(now) {
                Step::Claim => {
                    self.claim_and_emit(&mut batcher, &mut sweeps).await?;
                }
                Step::Look { arm } => {
                    self.report().await?;
                    if self.look(arm, &mut batcher).await? {
                        // While we were awake nobody told us what others have taken.
                        sweeps.held(Instant::now());
                    }
                    check_at = Instant::now() + self.config.healthcheck_interval;
                }
                Step::Disarm => {
                    self.queue.disarm().await?;
                    batcher.disarmed();
                }
                Step::Wait(until) => {
                    let alarm =
                        [until, sweeps.due_at(), Some(check_at)].into_iter().flatten().min();
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
                        batcher.check();
                        sweeps.check(Instant::now());
                    }
                }
            }
        }
    }

    /// Claims a batch and writes it: first committed, then written, so a crash in between leaves
    /// rows that are ours and are released, never a line without its rows.
    async fn claim_and_emit(
        &mut self,
        batcher: &mut Batcher,
        sweeps: &mut Sweeps,
    ) -> Result<(), End> {
        let limit = self.config.batch_limit;
        self.floors.prepare(Instant::now());
        let Claim { examined, places, ours, claimed_at } =
            self.queue.claim(limit, &self.floors).await?;
        crash_point!("claimed");
        let nothing_else = self.floors.claimed(places.into_iter(), examined >= limit);
        batcher.claimed(if nothing_else { examined } else { limit });
        if ours.is_empty() {
            return Ok(());
        }
        sweeps.held(Instant::now());
        let mut bytes = Vec::new();
        let (rows, lines, rejected) = lines::write(&self.config.secret_key, &ours, &mut bytes);
        self.reject(&rejected).await?;
        crash_point!("signed");
        // From here on these rows count as written: the reader may act on any line of them.
        self.claimed_at = claimed_at;
        let begun = Instant::now();
        let mut emit = pin!(self.emitter.emit(&bytes));
        let emitted = match timeout(GATE_PATIENCE, &mut emit).await {
            Ok(emitted) => emitted,
            Err(_) if batcher.is_armed() => {
                // The reader is slow, so we are not asleep, and writers need not notify. Whatever
                // comes of that, the line is finished: half of one would spoil the next.
                let (emitted, disarmed) = tokio::join!(emit, self.queue.disarm());
                disarmed?;
                batcher.disarmed();
                emitted
            }
            Err(_) => emit.await,
        };
        emitted.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => End::ReaderGone,
            _ => End::Unwritable(error),
        })?;
        crash_point!("line_written");
        let highest = ours.iter().map(|delivery| delivery.token).max().unwrap_or_default();
        self.highest = self.highest.max(highest);
        let waited_ms = begun.elapsed().as_millis();
        tracing::info!(rows, lines, waited_ms, "batch_emitted");
        Ok(())
    }

    /// What cannot be written has failed, and says why.
    async fn reject(&self, rejected: &[Rejected]) -> Result<(), Trouble> {
        if rejected.is_empty() {
            return Ok(());
        }
        let tokens: Vec<i64> = rejected.iter().map(|r| r.token).collect();
        let reasons: Vec<&str> = rejected.iter().map(|r| r.reason.as_str()).collect();
        self.queue.reject(&tokens, &reasons).await?;
        for Rejected { token, reason } in rejected {
            tracing::warn!(delivery = token, reason, "delivery_failed");
        }
        Ok(())
    }

    /// Looks what is due. Returns whether the gate has become ours.
    async fn look(&self, arm: bool, batcher: &mut Batcher) -> Result<bool, Trouble> {
        let limit = batcher.look_limit();
        let (armed, look) = if arm {
            let (armed, look) = self.queue.arm_and_look(limit).await?;
            crash_point!("armed");
            batcher.armed(armed);
            (armed, look)
        } else {
            (false, self.queue.look(limit).await?)
        };
        batcher.looked(look.due, look.next_due_in, Instant::now());
        Ok(armed)
    }

    async fn sweep(&self, sweeps: &mut Sweeps, batcher: &mut Batcher) -> Result<(), Trouble> {
        let sweep = self.queue.sweep().await?;
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

    /// At the end of a drain the queue's cursor moves.
    async fn report(&mut self) -> Result<(), Trouble> {
        let highest = std::mem::take(&mut self.highest);
        if highest > 0 {
            self.queue.report(highest).await?;
        }
        Ok(())
    }
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => tokio::time::sleep_until(alarm.into()).await,
        None => std::future::pending().await,
    }
}
