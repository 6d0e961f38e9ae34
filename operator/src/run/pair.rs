//! The two halves as child processes, and the pipe between them.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use daemon::exit::Exit;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use super::heir;
use super::programs::Programs;
use super::verdict::{Ended, worse};

/// Secrets of the other half.
const NOT_THE_SENDERS: [&str; 2] = ["MAILROOM_SECRET_KEY", "MAILROOM_SECRET_KEY_FILE"];
const NOT_THE_COLLECTORS: [&str; 2] = ["MAILROOM_SMTP_PASSWORD", "MAILROOM_SMTP_PASSWORD_FILE"];

/// A collector and the sender that reads from it.
#[derive(Debug)]
pub(super) struct Pair {
    collector: Half,
    sender: Half,
}

#[derive(Debug)]
struct Half {
    name: &'static str,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Running(Pid),
    Ended(Ended),
}

impl Pair {
    /// Starts both. No end of the pipe stays open with us, and none with the wrong one: each notices
    /// the end of the other.
    ///
    /// # Errors
    /// When one cannot be started; a sender that was reads nothing and ends.
    pub(super) fn start(programs: &Programs) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let mut sender = Command::new(&programs.sender);
        sender.stdin(reader);
        NOT_THE_SENDERS.iter().for_each(|name| _ = sender.env_remove(name));
        let sender = Half::start("sender", sender)?;
        let mut collector = heir::command(&programs.own, &programs.collector);
        collector.stdin(Stdio::null()).stdout(writer);
        NOT_THE_COLLECTORS.iter().for_each(|name| _ = collector.env_remove(name));
        let collector = Half::start("collector", collector)?;
        Ok(Self { collector, sender })
    }

    /// Reaps whoever has ended: a half, or a process that was left to us because we are the first of
    /// our container.
    pub(super) fn reap(&mut self) {
        reap(|pid, ended| {
            let mut halves = [&mut self.collector, &mut self.sender].into_iter();
            if let Some(half) = halves.find(|half| half.pid() == Some(pid)) {
                half.ended(ended);
            }
        });
    }

    /// Whether one or both have ended.
    pub(super) fn is_broken(&self) -> bool {
        self.collector.pid().is_none() || self.sender.pid().is_none()
    }

    /// The worse of the two ends, if both have ended. `told`: they were to stop.
    pub(super) fn end(&self, told: bool) -> Option<Exit> {
        match (self.collector.state, self.sender.state) {
            (State::Ended(collector), State::Ended(sender)) => {
                Some(worse(collector.exit(told), sender.exit(told)))
            }
            (State::Running(_), _) | (_, State::Running(_)) => None,
        }
    }

    /// Tells the collector to stop. The sender sees the end of its input.
    pub(super) fn stop(&self) {
        self.collector.signal(Signal::TERM);
    }

    /// Sends a signal to whichever lives.
    pub(super) fn signal(&self, signal: Signal) {
        self.collector.signal(signal);
        self.sender.signal(signal);
    }
}

impl Half {
    /// In a process group of its own: a Ctrl-C reaches us alone, and we know in which order to stop.
    /// The command goes, and with it our ends of the pipe.
    fn start(name: &'static str, mut command: Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        tracing::info!(half = name, pid = pid.as_raw_pid(), "half_started");
        Ok(Self { name, state: State::Running(pid) })
    }

    fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Running(pid) => Some(pid),
            State::Ended(_) => None,
        }
    }

    fn ended(&mut self, ended: Ended) {
        let half = self.name;
        match ended {
            Ended::Code(0) => tracing::info!(half, exit = 0, "half_ended"),
            Ended::Code(exit) => tracing::warn!(half, exit, "half_ended"),
            Ended::Signal(signal) => tracing::warn!(half, signal, "half_ended"),
        }
        self.state = State::Ended(ended);
    }

    /// Its number is its own until we reap it.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It is ours, and a dead one does not mind.
            _ = kill_process(pid, signal);
        }
    }
}

/// Reaps all that have ended, whosever children they were.
pub(super) fn reap(mut each: impl FnMut(Pid, Ended)) {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if let Some(ended) = Ended::of(status) {
            each(pid, ended);
        }
    }
}
