//! `mailroom`: see `--help`.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use daemon::exit::{Exit, Fatal, exit_of};
use daemon::log::complain;
use daemon::postgres::ConnectError;
use daemon::settings::{print, unknown};
use operator::cli::{Cli, run};
use operator::environment::Environment;
use operator::output::{Output, printable};

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
            // Servers and providers are quoted in it.
            let text = format!("{error:#}");
            let lines: Vec<_> = text.lines().map(printable).collect();
            let more =
                if error.chain().any(is_connect) { "; mailroom doctor says more" } else { "" };
            complain(PROG, lines.join("\n") + more);
            exit_of(&error)
        });
    exit.into()
}

fn is_connect(error: &(dyn Error + 'static)) -> bool {
    let inside = error.downcast_ref::<Fatal>().map(Fatal::error);
    error.is::<ConnectError>() || inside.is_some_and(|inside| inside.is::<ConnectError>())
}

/// `--help` and `--version` are answers; the rest is a fault of the command line.
fn misspelt(said: &clap::Error) -> Exit {
    let text = said.render().to_string();
    if said.use_stderr() {
        let text = text.trim_start_matches("error: ").trim_end();
        // There is nowhere left to report to.
        _ = writeln!(std::io::stderr(), "{PROG}: {text}");
        return Exit::Config;
    }
    print(&text).map_or(Exit::Unavailable, |()| Exit::Done)
}
