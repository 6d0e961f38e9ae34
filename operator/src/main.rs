//! `mailroom`: see `--help`.

use std::process::ExitCode;

use clap::Parser as _;
use daemon::exit::{Exit, exit_of};
use daemon::log::complain;
use daemon::settings::{print, unknown};
use operator::cli::{Cli, run};
use operator::environment::Environment;
use operator::output::Output;

const PROG: &str = "mailroom";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return misspelt(&said).into(),
    };
    let unknown = if cli.runs_halves() { Vec::new() } else { unknown(std::env::vars_os()) };
    for name in unknown {
        complain(PROG, format_args!("{name}: there is no such setting"));
    }
    let exit =
        run(cli, &Environment::of_process(), &mut Output::stdout()).unwrap_or_else(|error| {
            complain(PROG, format_args!("{error:#}"));
            exit_of(&error)
        });
    exit.into()
}

/// `--help` and `--version` are answers; the rest is a fault of the command line.
fn misspelt(said: &clap::Error) -> Exit {
    let text = said.render().to_string();
    if said.use_stderr() {
        complain(PROG, text.trim_start_matches("error: ").trim_end());
        return Exit::Config;
    }
    print(&text).map_or(Exit::Unavailable, |()| Exit::Done)
}
