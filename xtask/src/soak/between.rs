//! What may stand between the halves: a log that gives lines twice, and late.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Interest};
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep_until};

/// Lines from which one is repeated.
const PAST_MAX: usize = 16;
/// How long a line waits to be overtaken.
const HELD: Duration = Duration::from_millis(400);

/// How often it has done what.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) repeated: AtomicUsize,
    pub(super) late: AtomicUsize,
}

/// Passes lines on, on a task of the current runtime, until either end is gone.
pub(super) fn pass_on(
    from: impl Into<OwnedFd>,
    to: impl Into<OwnedFd>,
    rng: Rng,
    done: Arc<Done>,
) -> anyhow::Result<()> {
    let from = pipe::Receiver::from_owned_fd(from.into()).context("read from a pipe")?;
    let to = pipe::Sender::from_owned_fd(to.into()).context("write to a pipe")?;
    let log = Log { to, held: None, past: VecDeque::new(), rng, done };
    // Its errors are readers that are gone.
    tokio::spawn(async move { log.pass_on(BufReader::new(from)).await.ok() });
    Ok(())
}

struct Log {
    to: pipe::Sender,
    /// Until then, or until the next line has overtaken it.
    held: Option<(Instant, Vec<u8>)>,
    past: VecDeque<Vec<u8>>,
    rng: Rng,
    done: Arc<Done>,
}

impl Log {
    async fn pass_on(mut self, mut from: BufReader<pipe::Receiver>) -> std::io::Result<()> {
        let mut line = Vec::new();
        loop {
            let until = self.held.as_ref().map(|(until, _)| *until);
            tokio::select! {
                read = from.read_until(b'\n', &mut line) => {
                    if read? == 0 || !line.ends_with(b"\n") {
                        self.let_go().await?;
                        return self.to.write_all(&line).await;
                    }
                    self.take(std::mem::take(&mut line)).await?;
                }
                gone = self.to.ready(Interest::ERROR) => return gone.map(drop),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    self.let_go().await?;
                }
            }
        }
    }

    /// Passes a line on; or holds it back; or passes on one of the past, too.
    async fn take(&mut self, line: Vec<u8>) -> std::io::Result<()> {
        if self.held.is_none() && self.rng.u8(..8) == 0 {
            self.held = Some((Instant::now() + HELD, line));
            return Ok(());
        }
        self.to.write_all(&line).await?;
        if self.held.is_some() {
            self.done.late.fetch_add(1, Ordering::Relaxed);
            self.let_go().await?;
        }
        self.past.push_front(line);
        self.past.truncate(PAST_MAX);
        if self.rng.u8(..6) == 0
            && let Some(again) = self.past.get(self.rng.usize(..self.past.len()))
        {
            self.to.write_all(again).await?;
            self.done.repeated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn let_go(&mut self) -> std::io::Result<()> {
        match self.held.take() {
            Some((_, line)) => self.to.write_all(&line).await,
            None => Ok(()),
        }
    }
}
