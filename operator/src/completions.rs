//! `mailroom completions`: what a shell needs to complete our command line.

use clap::CommandFactory as _;
use clap_complete::Shell;
use daemon::exit::Exit;

use crate::cli::Cli;
use crate::environment::Environment;
use crate::output::Output;

const HELP: &str = "For bash:\n  mailroom completions bash > /etc/bash_completion.d/mailroom\n\
    For zsh:\n  mailroom completions zsh > /usr/local/share/zsh/site-functions/_mailroom\n\
    For fish:\n  mailroom completions fish > ~/.config/fish/completions/mailroom.fish";

/// What is said after `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    shell: Shell,
}

/// Does it.
///
/// # Errors
/// When the reader is gone.
pub fn run(args: Args, _: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mailroom", &mut script);
    out.text(&String::from_utf8(script)?)?;
    Ok(Exit::Done)
}
