//! Being asked to stop: SIGTERM and SIGINT become a question that any part of the process can ask
//! or await.

use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;

/// Signals that follow the first one within this time are the same wish: a supervisor often reaches
/// a process twice, directly and through its group.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Whether the process has been asked to stop. Cheap to clone; any number of waiters.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

/// The asking side of [`Shutdown::manual`]. Dropping it asks for nothing.
#[derive(Debug)]
pub struct Trigger {
    asked: watch::Sender<bool>,
}

impl Trigger {
    /// Asks to stop.
    pub fn request(&self) {
        self.asked.send_replace(true);
    }
}

impl Shutdown {
    /// Asked by SIGTERM or SIGINT. A second signal, a second or more after the first, ends the process
    /// at once with [`Exit::Unavailable`]: what was begun is then found and released by others.
    ///
    /// Must be called within a tokio runtime that has I/O enabled.
    ///
    /// # Errors
    /// When the operating system refuses the signal handlers.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (trigger, shutdown) = Self::manual();
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            let first = Instant::now();
            tracing::info!(signal = name, "stop_requested");
            trigger.request();
            loop {
                let name = either(&mut terminate, &mut interrupt).await;
                if first.elapsed() >= SAME_WISH {
                    tracing::warn!(signal = name, "stop_forced");
                    std::process::exit(i32::from(Exit::Unavailable.code()));
                }
            }
        });
        Ok(shutdown)
    }

    /// Nobody will ever ask.
    pub fn never() -> Self {
        Self::manual().1
    }

    /// Asked by hand, through the trigger.
    pub fn manual() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger { asked: sender }, Self { asked: receiver })
    }

    /// Whether we have been asked.
    pub fn is_requested(&self) -> bool {
        *self.asked.borrow()
    }

    /// Resolves when we have been asked, at once if that is in the past. Cancel-safe.
    pub async fn requested(&self) {
        let mut asked = self.asked.clone();
        let gone = asked.wait_for(|asked| *asked).await.is_err();
        if gone {
            // The asking side was dropped without asking.
            std::future::pending::<()>().await;
        }
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const NEVER: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn one_request_reaches_every_waiter_now_and_later() {
        let (trigger, shutdown) = Shutdown::manual();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        tokio::task::yield_now().await;
        assert!(!shutdown.is_requested());
        trigger.request();
        early.await.expect("the early waiter");
        shutdown.requested().await;
        drop(trigger);
        shutdown.clone().requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_dropped_trigger_asks_for_nothing() {
        let (trigger, shutdown) = Shutdown::manual();
        drop(trigger);
        assert!(timeout(NEVER, shutdown.requested()).await.is_err());
        assert!(timeout(NEVER, Shutdown::never().requested()).await.is_err());
        assert!(!Shutdown::never().is_requested());
    }

    #[tokio::test]
    async fn a_waiter_that_gave_up_costs_the_next_one_nothing() {
        let (trigger, shutdown) = Shutdown::manual();
        assert!(timeout(NEVER, shutdown.requested()).await.is_err());
        trigger.request();
        shutdown.requested().await;
    }
}
