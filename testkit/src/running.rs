//! Child processes that run: what they say, how they end.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::ledger;
use crate::lines::{Lines, contains};
use crate::wait;
use crate::watchdog::Watchdog;

/// How long after its exit the rest of a child's output may take to arrive.
const REST_WITHIN: Duration = Duration::from_secs(2);

/// A child process. Dropping it kills it, and so does the death of this process, by whatever cause.
#[derive(Debug)]
pub struct Running {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) child: Mutex<Child>,
    pub(crate) stderr: Arc<Lines>,
    /// Those in its environment.
    pub(crate) secrets: Vec<String>,
    pub(crate) stdout: Option<Arc<Lines>>,
    pub(crate) held_stdin: Mutex<Option<ChildStdin>>,
    pub(crate) held_stdout: Mutex<Option<ChildStdout>>,
    pub(crate) guard: Watchdog,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has written to stderr so far; all of it after [`wait`](Running::wait).
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The complete lines of its captured stdout so far; all of them after
    /// [`wait`](Running::wait).
    pub fn lines(&self) -> Vec<String> {
        self.stdout.as_ref().map(|lines| lines.all()).unwrap_or_default()
    }

    /// Waits for a log line with `pattern` in it, as a whole word (`call=1` is not in `call=10`);
    /// one that is there already counts. The line.
    ///
    /// # Errors
    ///
    /// If there is none within `timeout`, or it closes stderr before; with all it said.
    pub fn wait_for(&self, pattern: &str, timeout: Duration) -> anyhow::Result<String> {
        self.wait_for_count(pattern, 1, timeout)
    }

    /// Waits for the `n`-th such line, counted from the start of the process.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Running::wait_for).
    pub fn wait_for_count(
        &self,
        pattern: &str,
        n: usize,
        timeout: Duration,
    ) -> anyhow::Result<String> {
        self.stderr.wait(n, timeout, |line| contains(line, pattern)).with_context(|| {
            format!("{}: no {pattern:?} in its log:\n{}", self.name, self.stderr())
        })
    }

    /// Waits until its captured stdout has `n` lines; the n-th, counted from 1.
    ///
    /// # Errors
    ///
    /// If it has not within `timeout`, or it closes stdout before; with all it said on stderr.
    pub fn wait_line(&self, n: usize, timeout: Duration) -> anyhow::Result<String> {
        let stdout = self.stdout.as_ref().context("stdout is not captured")?;
        stdout.wait(n, timeout, |_| true).with_context(|| {
            format!("{}: no line {n} on stdout; its log:\n{}", self.name, self.stderr())
        })
    }

    /// Its stdin, if it was kept with [`Process::stdin_held`](crate::Process::stdin_held); the first time only.
    pub fn take_stdin(&self) -> Option<ChildStdin> {
        lock(&self.held_stdin).take()
    }

    /// Its stdout, if it was kept with [`Process::stdout_held`](crate::Process::stdout_held); the first time only.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        lock(&self.held_stdout).take()
    }

    /// Sends it a signal; nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let mut child = lock(&self.child);
        if self.reap(&mut child)?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&child), signal)
            .with_context(|| format!("send {signal:?} to {}", self.name))
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut child = lock(&self.child);
        child.kill().with_context(|| format!("kill {}", self.name))?;
        child.wait().with_context(|| format!("reap {}", self.name))?;
        self.guard.forget()
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    ///
    /// If the kernel does not say.
    pub fn is_running(&self) -> anyhow::Result<bool> {
        Ok(self.reap(&mut lock(&self.child))?.is_none())
    }

    /// Waits for its end and for the rest of what it wrote. Its exit code; 128 + n if signal n
    /// killed it, as the shell has it.
    ///
    /// # Errors
    ///
    /// If it is still running after `timeout`; with all it said.
    pub fn wait(&self, timeout: Duration) -> anyhow::Result<i32> {
        let mut ended = None;
        wait::holds_within(timeout, || match self.reap(&mut lock(&self.child)) {
            Ok(None) => false,
            other => {
                ended = Some(other);
                true
            }
        });
        let Some(status) = ended.transpose()?.flatten() else {
            let said = self.stderr();
            bail!("{} is still running after {timeout:?}; its log:\n{said}", self.name);
        };
        self.stderr.wait_end(REST_WITHIN);
        if let Some(stdout) = &self.stdout {
            stdout.wait_end(REST_WITHIN);
        }
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .with_context(|| format!("{}: {status}", self.name))
    }

    /// Waits until it is stopped, as SIGSTOP stops: one that says so is not yet.
    ///
    /// # Errors
    ///
    /// If it is not within `timeout`; with all it said.
    pub fn wait_stopped(&self, timeout: Duration) -> anyhow::Result<()> {
        let pid = Pid::from_child(&lock(&self.child));
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let stopped = wait::holds_within(
            timeout,
            || matches!(waitid(WaitId::Pid(pid), options), Ok(Some(status)) if status.stopped()),
        );
        let said = || self.stderr();
        ensure!(stopped, "{} is not stopped after {timeout:?}; its log:\n{}", self.name, said());
        Ok(())
    }

    fn reap(&self, child: &mut Child) -> anyhow::Result<Option<ExitStatus>> {
        let status = child.try_wait().with_context(|| format!("look after {}", self.name))?;
        if status.is_some() {
            self.guard.forget()?;
        }
        Ok(status)
    }
}

impl Drop for Running {
    /// Kills it. What it said is complete then, and has no secret of its own environment in it.
    fn drop(&mut self) {
        let _ = self.kill();
        self.stderr.wait_end(REST_WITHIN);
        ledger::assert_private(
            std::slice::from_ref(&self.stderr),
            std::mem::take(&mut self.secrets),
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
