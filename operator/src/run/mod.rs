//! `mailroom run`: `collector | sender` as one unit, for whoever has no shell to do it: a container, a
//! service manager, a terminal.
//!
//! It shares the memory of the two, so it does little: it starts them, hears signals, reaps, waits.
//! What is in the pipe never passes through it. When it is killed, the collector is told to stop.

mod ending;
pub mod heir;
mod pair;
mod programs;
mod signals;
mod supervisor;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use daemon::exit::Exit;
use daemon::log::LogSettings;
use daemon::settings::{Problems, said};
use serde::Deserialize;

use crate::environment::Environment;
use crate::output::Output;
use programs::Programs;
use signals::Signals;
use supervisor::Supervisor;

/// `run …`
#[derive(Debug, clap::Args)]
#[command(after_help = ENDS)]
pub struct Args {
    /// The collector's program [default: beside this program, else on PATH]
    #[arg(long, value_name = "PATH")]
    collector: Option<PathBuf>,
    /// The sender's program [default: beside this program, else on PATH]
    #[arg(long, value_name = "PATH")]
    sender: Option<PathBuf>,
    /// How long a stop lets the sender finish what is in the pipe before it is told to stop, too
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=3600))]
    grace: u64,
    /// End where a restart would follow, with 75
    #[arg(long)]
    once: bool,
}

const ENDS: &str = "Both halves have this program's environment (but for the other's secrets), stdout and stderr.

SIGTERM and SIGINT stop the collector; the sender finishes what is in the pipe, and this ends with 0.
A second one, or the grace, stops the sender as well; 30 s later both are killed. SIGHUP and SIGQUIT
are passed on to both and end them, and this. SIGUSR1 and SIGUSR2 are passed on, too: the halves end,
and are started again.

Exit codes: the worse of the two, 78 before 65 before 75.
    0   asked to stop, and all in hand was finished
    65  the sender's input was not ours
    75  asked to stop, and something was left over, or --once: start me again
    78  the settings are wrong, or a program is missing: don't
A half that ends with 75, is killed, or is stopped alone (0) is no end: both are started again, after
up to 1 s, and doubling to 30 s while they do not live for a minute.";

#[derive(Debug, Default, Deserialize)]
struct Said {
    log: Option<String>,
    log_format: Option<String>,
}

/// Runs the pipe until it ends or is asked to.
///
/// # Errors
/// When a setting of the log is wrong. What comes later is in the log.
pub fn run(args: Args, environment: &Environment, _: &mut Output<'_>) -> anyhow::Result<Exit> {
    daemon::memory::keep_private();
    let log = log(environment)?;
    daemon::log::init("mailroom", log.level, log.format);
    Ok(daemon::program::end(supervise(args)))
}

fn log(environment: &Environment) -> Result<LogSettings, Problems> {
    let said: Said = said(environment.vars())?;
    let mut problems = Problems::default();
    let log = LogSettings::from_said(&mut problems, said.log, said.log_format);
    problems.finish(log)
}

fn supervise(args: Args) -> anyhow::Result<Exit> {
    let programs = Programs::find(args.collector, args.sender)?;
    let grace = Duration::from_secs(args.grace);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before there is a child: the first process of a container has no other dispositions.
        let signals = Signals::heard()?;
        Supervisor::new(programs, signals, grace, args.once).run().await
    })
}
