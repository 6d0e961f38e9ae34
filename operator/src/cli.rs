//! The command line.
//!
//! | exit code | |
//! |---|---|
//! | 0 | done; `lint`: nothing to complain about; `push`: SES has what the folder has |
//! | 75 | SES, a file or the reader of stdout could not be reached: the same again may do |
//! | 78 | a person must look: a problem with a template, the settings, or the command line |

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use daemon::exit::Exit;

use crate::output::Output;
use crate::settings::Settings;
use crate::templates::{lint, mjml, preview, pull, push};

/// SES takes one call a second about templates.
const PACE_MS: u64 = 1000;

/// Operator's tool of Mailroom.
#[derive(Debug, Parser)]
#[command(name = "mailroom", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 75 try again, 78 a person must look.\n\
    Settings: MAILROOM_TEMPLATES, MAILROOM_LOCALES, MAILROOM_BASE_URL, MAILROOM_SES_TEMPLATES,\n\
    and for push and pull those of AWS (AWS_REGION, AWS_ACCESS_KEY_ID and so on).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Check, preview and publish the templates of mail
    #[command(subcommand, after_help = EXIT_CODES)]
    Templates(Templates),
}

#[derive(Debug, Subcommand)]
enum Templates {
    /// Report everything that is wrong, as path:line: message
    Lint {
        #[command(flatten)]
        folder: Folder,
        /// A JSON object a line: path, line, message
        #[arg(long)]
        json: bool,
    },
    /// Render all templates with sample data into pages to look at
    Preview {
        #[command(flatten)]
        folder: Folder,
        /// Where the pages go
        #[arg(long, value_name = "DIR", default_value = "./preview")]
        out: PathBuf,
        /// Only this action
        #[arg(long)]
        action: Option<String>,
    },
    /// Create or update the templates stored in Amazon SES, where they differ
    Push {
        #[command(flatten)]
        folder: Folder,
        /// Show what would change, change nothing
        #[arg(long)]
        dry_run: bool,
        /// Replace also what senders without MAILROOM_TEMPLATES could no longer fill in
        #[arg(long)]
        force: bool,
        /// A JSON object a line: template, action, locale, result, diff
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        pace: Pace,
    },
    /// Write the templates stored in Amazon SES into the folder
    Pull {
        #[command(flatten)]
        folder: Folder,
        /// Overwrite files that differ
        #[arg(long)]
        force: bool,
        /// An action that is neither in the folder nor built in; may be repeated
        #[arg(long = "action", value_name = "ACTION")]
        actions: Vec<String>,
        #[command(flatten)]
        pace: Pace,
    },
    /// Compile each body.mjml to the body.html beside it
    Build {
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// The folder of templates [default: MAILROOM_TEMPLATES, else ./templates]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Pace {
    /// Milliseconds between the beginnings of two calls
    #[arg(long = "pace", value_name = "MS", default_value_t = PACE_MS, hide = true)]
    ms: u64,
}

impl Pace {
    fn interval(&self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

/// Does what was asked for.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(cli: Cli, settings: &Settings, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let Command::Templates(command) = cli.command;
    let dir = |folder: Folder| folder.folder.unwrap_or_else(|| settings.folder.clone());
    match command {
        Templates::Lint { folder, json } => lint::run(&dir(folder), settings, json, out),
        Templates::Preview { folder, out: to, action } => {
            preview::run(&dir(folder), settings, &to, action.as_deref(), out)
        }
        Templates::Push { folder, dry_run, force, json, pace } => {
            let how = push::How { dry_run, force, json, pace: pace.interval() };
            push::run(&dir(folder), settings, &how, out)
        }
        Templates::Pull { folder, force, actions, pace } => {
            let how = pull::How { force, actions, pace: pace.interval() };
            pull::run(&dir(folder), settings, &how, out)
        }
        Templates::Build { folder } => mjml::run(&dir(folder), out),
    }
}
