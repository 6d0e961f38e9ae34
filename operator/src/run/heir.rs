//! A collector that does not outlive its supervisor.
//!
//! Only a process itself can ask for a signal when its parent dies. So the supervisor starts our own
//! program, which asks, and then becomes the collector. The sender needs none: it ends with the pipe.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use daemon::exit::{Exit, ExitExt as _};
use rustix::process::{Pid, getpid, getppid};

/// The command's name: not for people.
pub(super) const NAME: &str = "collector-of";

/// `collector-of PID PROGRAM`
#[derive(Debug, clap::Args)]
pub struct Args {
    parent: i32,
    program: PathBuf,
}

/// What starts the collector as a child of ours; `own` is our own program.
pub(super) fn command(own: &Path, collector: &Path) -> Command {
    let mut command = Command::new(own);
    command.arg(NAME).arg(getpid().to_string()).arg(collector);
    command
}

/// Becomes the collector, which is told to stop when `parent` dies.
///
/// # Errors
/// When there is nothing to become. A program that is being replaced may be there the next time.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        // A kernel that refuses leaves a pipe that goes on by itself, which does no harm.
        _ = set_parent_process_death_signal(Some(Signal::TERM));
    }
    if getppid().map(Pid::as_raw_pid) != Some(args.parent) {
        // Dead before we have asked.
        return Ok(Exit::Unavailable);
    }
    let error = Command::new(&args.program).exec();
    let exit = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ExecutableFileBusy => Exit::Unavailable,
        _ => Exit::Config,
    };
    Err(error).with_context(|| format!("start {}", args.program.display())).exit(exit)
}
