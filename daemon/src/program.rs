//! What every `main` of ours does before its work begins, and how it has the work done.

use std::panic::resume_unwind;
use std::process::ExitCode;

use tokio::runtime::{Builder, LocalOptions};

use crate::exit::Exit;
use crate::log::complain;
use crate::memory;
use crate::settings::{Command, Problems, command_line, print, unknown};

/// A program's name, version and help text.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// As it is called.
    pub name: &'static str,
    /// `CARGO_PKG_VERSION` of its crate.
    pub version: &'static str,
    /// What `--help` prints.
    pub help: &'static str,
}

impl Program {
    /// Answers `--help` and `--version`; else names settings that do not exist, which is no reason to
    /// stop, reads the settings and, unless `--check` asks only to
    /// `check` and describe them, goes to `work`. Problems go to stderr, and the exit code says so.
    pub fn main<C>(
        &self,
        settings: impl FnOnce() -> Result<C, Problems>,
        check: impl FnOnce(&C) -> Result<String, Problems>,
        work: impl FnOnce(C) -> Exit,
    ) -> ExitCode {
        memory::keep_private();
        let said = |text: &str| print(text).map_or(Exit::Unavailable, |()| Exit::Done);
        let command = command_line(self.name, self.version, self.help);
        if matches!(command, Ok(Command::Check | Command::Run)) {
            for name in unknown(std::env::vars_os()) {
                complain(self.name, format_args!("{name}: there is no such setting, see --help"));
            }
        }
        let exit = match command {
            Ok(Command::Print(text)) => Ok(said(&text)),
            Ok(Command::Check) => {
                settings().and_then(|settings| check(&settings)).map(|text| said(&text))
            }
            Ok(Command::Run) => settings().map(work),
            Err(problems) => Err(problems),
        };
        exit.unwrap_or_else(|problems| {
            complain(self.name, problems);
            Exit::Config
        })
        .into()
    }
}

/// Does all of a program's work on this thread. What still runs when that ends is left behind: a thread,
/// say, that reads a stdin which nothing can interrupt.
///
/// The work is a task like any other. Whenever tokio is to wake what `block_on` itself is given, it asks
/// the kernel for events first: twice on the way of each line, 7 of 370 µs.
pub fn block_on(work: impl Future<Output = anyhow::Result<Exit>> + 'static) -> Exit {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(error.into())),
    };
    let work = runtime.spawn_local(work);
    let result = runtime.block_on(work);
    let exit = end(result.unwrap_or_else(|error| resume_unwind(error.into_panic())));
    runtime.shutdown_background();
    exit
}

/// The end of a program: an error is said once, here, and has its exit code.
pub fn end(result: anyhow::Result<Exit>) -> Exit {
    result.unwrap_or_else(|error| {
        tracing::error!(error = format!("{error:#}"), "gave_up");
        crate::exit::exit_of(&error)
    })
}
