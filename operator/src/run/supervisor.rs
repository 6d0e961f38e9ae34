//! One pair after another, until one ends with what a person must mend, or somebody asks.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use daemon::backoff::Backoff;
use daemon::exit::{Exit, ExitExt as _};
use daemon::log::ms;
use rustix::process::Signal;
use tokio::time::sleep_until;

use super::ending::{Ending, Step};
use super::pair::{Pair, reap};
use super::programs::Programs;
use super::signals::{Heard, Signals};
use super::verdict::{again, unasked};

/// Waits between two pairs: each takes two rows of `holders`, which are kept for a day.
const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_secs(30);
/// A pair that lived so long was in order: what ended it is a trouble of its own.
const LIVED: Duration = Duration::from_secs(60);
/// Signals that follow the first one within this time are the same wish, as for the halves.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Starts pairs, and looks after them.
#[derive(Debug)]
pub(super) struct Supervisor {
    programs: Programs,
    signals: Signals,
    grace: Duration,
    once: bool,
}

/// How the life of a pair ended.
struct Life {
    exit: Exit,
    /// Somebody wanted it.
    asked: bool,
}

impl Supervisor {
    /// `grace` is how long a pair has to end by itself; `once`: there is no second pair.
    pub(super) fn new(programs: Programs, signals: Signals, grace: Duration, once: bool) -> Self {
        Self { programs, signals, grace, once }
    }

    /// Until a pair ends for good.
    ///
    /// # Errors
    /// When the first pair cannot be started.
    pub(super) async fn run(mut self) -> anyhow::Result<Exit> {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
        let mut backoff = Backoff::new(RESTART_FIRST, RESTART_MAX);
        let mut first = true;
        loop {
            let started = Instant::now();
            match Pair::start(&self.programs) {
                Ok(pair) => {
                    let Life { exit, asked } = self.live(pair).await;
                    let exit = if asked { exit } else { unasked(exit) };
                    if asked || self.once || !again(exit) {
                        tracing::info!(exit = exit.code(), "stopped");
                        return Ok(exit);
                    }
                }
                Err(error) if first => {
                    let exit = match error.kind() {
                        ErrorKind::NotFound | ErrorKind::PermissionDenied => Exit::Config,
                        _ => Exit::Unavailable,
                    };
                    return Err(error).context("start collector | sender").exit(exit);
                }
                // A program that is being replaced, a machine without memory.
                Err(error) => tracing::warn!(error = %error, "start_failed"),
            }
            first = false;
            if started.elapsed() >= LIVED {
                backoff.reset();
            }
            let wait = backoff.next(fastrand::f64());
            tracing::warn!(wait_ms = ms(wait), "restarting");
            if self.stopped_within(wait).await {
                tracing::info!(exit = Exit::Done.code(), "stopped");
                return Ok(Exit::Done);
            }
        }
    }

    /// From the start of a pair to the end of both halves.
    async fn live(&mut self, mut pair: Pair) -> Life {
        let mut asked: Option<Instant> = None;
        let mut ending: Option<Ending> = None;
        let grace = self.grace;
        loop {
            pair.reap();
            if let Some(exit) = pair.end(asked.is_some()) {
                return Life { exit, asked: asked.is_some() };
            }
            if pair.is_broken() || asked.is_some() {
                ending.get_or_insert_with(|| Ending::begin(Instant::now(), grace));
            }
            let due = ending.as_ref().and_then(Ending::due);
            tokio::select! {
                heard = self.signals.next() => match (heard, asked) {
                    (Heard::Child, _) => {}
                    (Heard::Stop(signal), None) => {
                        tracing::info!(signal, "stop_requested");
                        asked = Some(Instant::now());
                        pair.stop();
                    }
                    (Heard::Stop(_), Some(at)) if at.elapsed() < SAME_WISH => {}
                    (Heard::Stop(signal), Some(_)) => {
                        tracing::warn!(signal, "stop_forced");
                        pair.signal(Signal::TERM);
                        if let Some(ending) = &mut ending {
                            ending.told(Instant::now());
                        }
                    }
                    (Heard::PassOn(signal, name), _) => {
                        tracing::info!(signal = name, "signal_passed_on");
                        pair.signal(signal);
                        if ends(signal) {
                            asked.get_or_insert_with(Instant::now);
                        }
                    }
                },
                () = until(due) => match ending.as_mut().and_then(|e| e.step(Instant::now())) {
                    Some(Step::Terminate) => {
                        tracing::warn!(grace_ms = ms(grace), "grace_over");
                        pair.signal(Signal::TERM);
                    }
                    Some(Step::Kill) => {
                        tracing::error!("halves_killed");
                        pair.signal(Signal::KILL);
                    }
                    None => {}
                },
            }
        }
    }

    /// Whether somebody asks to stop while there is no pair.
    async fn stopped_within(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            reap(|_, _| ());
            let heard = tokio::select! {
                heard = self.signals.next() => heard,
                () = sleep_until(until.into()) => return false,
            };
            let signal = match heard {
                Heard::Stop(signal) => signal,
                Heard::PassOn(signal, name) if ends(signal) => name,
                Heard::PassOn(..) | Heard::Child => continue,
            };
            tracing::info!(signal, "stop_requested");
            return true;
        }
    }
}

/// Whether a signal that is passed on is meant to end the pipe: the terminal is gone, say.
fn ends(signal: Signal) -> bool {
    signal == Signal::HUP || signal == Signal::QUIT
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
