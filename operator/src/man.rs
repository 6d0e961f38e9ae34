//! `mailroom man`: the manual, a page for each command.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use daemon::exit::{Exit, ExitExt};

use crate::cli::Cli;
use crate::environment::Environment;
use crate::output::Output;

const HELP: &str = "To read:\n  mailroom man migrate up | man -l -\n\
    To install:\n  mailroom man --dir /usr/local/share/man/man1";

/// What is said after `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The page of this command [default: that of mailroom itself]
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
    /// Write all pages into this folder instead, each to its file
    #[arg(long, conflicts_with = "path")]
    dir: Option<PathBuf>,
}

/// Does it.
///
/// # Errors
/// When there is no such command, or what cannot be written.
pub fn run(args: Args, _: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    if let Some(dir) = args.dir {
        clap_mangen::generate_to(program, &dir)
            .with_context(|| dir.display().to_string())
            .exit(Exit::Config)?;
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    Man::new(find(program, &args.path)?).render(&mut page)?;
    out.text(&String::from_utf8(page)?)?;
    Ok(Exit::Done)
}

/// The command at the end of a path of subcommands.
fn find(program: Command, path: &[String]) -> anyhow::Result<Command> {
    let mut command = program;
    for name in path {
        let found = command.find_subcommand(name).cloned();
        command = found
            .ok_or_else(|| anyhow!("there is no command {}", path.join(" ")))
            .exit(Exit::Config)?;
    }
    Ok(command)
}
