//! The command line: which command it is, and what is true of all of them.
//!
//! | exit code | |
//! |---|---|
//! | 0 | done, and nothing to complain about |
//! | 75 | a dependency or the reader of stdout could not be reached: the same again may do |
//! | 78 | a person must look: what was found, the settings, or the command line |
//!
//! Each command is a module with its `Args` and a `run`.

use clap::{Parser, Subcommand};
use daemon::exit::Exit;

use crate::environment::Environment;
use crate::output::Output;
use crate::templates::commands as templates;
use crate::{
    completions, deliveries, doctor, key, man, migrate, purge, ready, run, serve, status, token,
};

/// Operator's tool of Mailroom.
#[derive(Debug, Parser)]
#[command(name = "mailroom", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What every page of help ends with.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 75 try again, 78 a person must look.";

impl Cli {
    /// Whether the halves are run, which look at the settings themselves.
    pub fn runs_halves(&self) -> bool {
        matches!(self.command, Command::Run(_) | Command::CollectorOf(_))
    }
}

/// In the order in which one comes to need them.
#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the database's schema up to date, or back
    Migrate(migrate::Args),
    /// Make and change the key that signs tokens
    Key(key::Args),
    /// Would mail flow? Everything that is wrong, with its remedy
    Doctor(doctor::Args),
    /// Run collector | sender as one unit, and again when it fails
    Run(run::Args),
    /// Of `run`: ends with it
    #[command(hide = true)]
    CollectorOf(run::heir::Args),
    /// Show what is outstanding, what happened lately and who is at work
    Status(status::Args),
    /// Find mail, see what became of it, send it again or not at all
    Deliveries(deliveries::Args),
    /// Verify and inspect tokens
    Token(token::Args),
    /// Check, preview and publish the templates of mail
    Templates(templates::Args),
    /// Offer Prometheus metrics and health checks over HTTP
    Serve(serve::Args),
    /// Say once whether the database answers and no mail is late
    Ready(ready::Args),
    /// Delete what is old from the log of deliveries
    Purge(purge::Args),
    /// Print the completions of a shell
    Completions(completions::Args),
    /// Print the manual
    Man(man::Args),
}

/// Does what was asked for.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(cli: Cli, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Migrate(args) => migrate::run(args, environment, out),
        Command::Key(args) => key::run(args, out),
        Command::Doctor(args) => doctor::run(args, environment, out),
        Command::Run(args) => run::run(args, environment, out),
        Command::CollectorOf(args) => run::heir::run(args),
        Command::Status(args) => status::run(args, environment, out),
        Command::Deliveries(args) => deliveries::run(args, environment, out),
        Command::Token(args) => token::run(args, environment, out),
        Command::Templates(args) => templates::run(args, environment, out),
        Command::Serve(args) => serve::run(args, environment),
        Command::Ready(args) => ready::run(args, environment, out),
        Command::Purge(args) => purge::run(args, environment, out),
        Command::Completions(args) => completions::run(args, environment, out),
        Command::Man(args) => man::run(args, environment, out),
    }
}
