//! What the supervisor hears: requests to stop, signals to pass on, and that a child has ended.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Stop, by a signal of this name.
    Stop(&'static str),
    /// For the halves.
    PassOn(Signal, &'static str),
    /// A child of ours has ended, or one that was left to us.
    Child,
}

/// Handlers, in place from now on.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    /// `None`: we were started by `nohup`, and so is everything that we start.
    hangup: Option<Stream>,
    quit: Stream,
    user1: Stream,
    user2: Stream,
    child: Stream,
}

impl Signals {
    /// Must be called within a tokio runtime that has I/O enabled.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(super) fn heard() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let nohup = ignored(&status, Signal::HUP);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: (!nohup).then(|| signal(SignalKind::hangup())).transpose()?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            child: signal(SignalKind::child())?,
        })
    }

    /// The next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.child.recv() => Heard::Child,
            _ = self.terminate.recv() => Heard::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Heard::Stop("SIGINT"),
            _ = hangup => Heard::PassOn(Signal::HUP, "SIGHUP"),
            _ = self.quit.recv() => Heard::PassOn(Signal::QUIT, "SIGQUIT"),
            _ = self.user1.recv() => Heard::PassOn(Signal::USR1, "SIGUSR1"),
            _ = self.user2.recv() => Heard::PassOn(Signal::USR2, "SIGUSR2"),
        }
    }
}

/// Whether `/proc/<pid>/status` says that this signal is ignored.
fn ignored(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal.as_raw() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_read_from_its_lowest_bit() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignored(status, Signal::HUP));
        assert!(ignored(status, Signal::PIPE));
        assert!(!ignored(status, Signal::INT));
        assert!(!ignored("", Signal::HUP));
    }
}
