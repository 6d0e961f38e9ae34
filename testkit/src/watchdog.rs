//! Ends a child process, and removes its directory, when we end: however we end.
//!
//! A small shell waits at the other end of a pipe that only we hold open. When we exit, panic,
//! abort or are killed with SIGKILL, the kernel closes the pipe, and the shell acts.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use rustix::process::Signal;

/// Reads the pid to end from its standard input: the last line counts, an empty one means none.
/// The state `Z` is looked at because a dead process stays visible until its parent reaps it.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
signal=$1 dir=$2 pid=
while read -r line; do pid=$line; done
gone() {
    ! kill -0 "$pid" 2>/dev/null || grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}
if [ -n "$pid" ]; then
    kill -s "$signal" "$pid" 2>/dev/null
    polls=0
    while ! gone && [ "$polls" -lt 200 ]; do sleep 0.05; polls=$((polls + 1)); done
    gone || kill -s KILL "$pid" 2>/dev/null
fi
[ -z "$dir" ] || rm -rf -- "$dir"
"#;

/// Guards at most one process at a time. Dropping it acts like our death does.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Mutex<Child>,
}

impl Watchdog {
    /// Starts before what it guards, so that nothing is ever unguarded for longer than it takes to
    /// write a line. `signal` ends the process; after 10 s SIGKILL does.
    pub(crate) fn start(signal: Signal, dir: Option<&Path>) -> anyhow::Result<Watchdog> {
        let signal = match signal {
            Signal::QUIT => "QUIT",
            _ => "KILL",
        };
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "mailroom-watchdog", signal])
            .arg(dir.unwrap_or(Path::new("")))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: a Ctrl-C or `kill -9` for ours must not end it.
            .process_group(0)
            .spawn()
            .context("start the watchdog /bin/sh")?;
        Ok(Watchdog { shell: Mutex::new(shell) })
    }

    /// From now on, end `pid`.
    pub(crate) fn guard(&self, pid: u32) -> anyhow::Result<()> {
        self.say(&format!("{pid}\n"))
    }

    /// Nothing to end any more. To be called when the process is about to be reaped or has just
    /// been: its number may be given to another one.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        self.say("\n")
    }

    fn say(&self, line: &str) -> anyhow::Result<()> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = shell.stdin.as_mut().context("the watchdog's pipe is closed")?;
        pipe.write_all(line.as_bytes()).context("write to the watchdog")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.stdin.take());
        let _ = shell.wait();
    }
}
