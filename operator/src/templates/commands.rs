//! `mailroom templates`: its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use daemon::exit::Exit;

use super::{lint, mjml, preview, pull, push};
use crate::environment::Environment;
use crate::output::Output;
use crate::templates::settings::Settings;

/// SES takes one call a second about templates.
const PACE_MS: u64 = 1000;

const HELP: &str = "Settings: MAILROOM_TEMPLATES, MAILROOM_LOCALES, MAILROOM_BASE_URL, MAILROOM_SES_TEMPLATES,\n\
    and for push and pull those of AWS (AWS_REGION, AWS_ACCESS_KEY_ID and so on).";

/// What is said after `templates`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report everything that is wrong, as path:line: message
    Lint {
        #[command(flatten)]
        folder: FolderArg,
        /// A JSON object a line: path, line, message
        #[arg(long)]
        json: bool,
    },
    /// Render all templates with sample data into pages to look at
    Preview {
        #[command(flatten)]
        folder: FolderArg,
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
        folder: FolderArg,
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
        folder: FolderArg,
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
        folder: FolderArg,
    },
}

#[derive(Debug, clap::Args)]
struct FolderArg {
    /// The folder of templates [default: MAILROOM_TEMPLATES, else ./templates]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
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

/// Does it.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let settings = &Settings::from_vars(environment.vars())?;
    let dir = |folder: FolderArg| folder.folder.unwrap_or_else(|| settings.folder.clone());
    match args.verb {
        Verb::Lint { folder, json } => lint::run(&dir(folder), settings, json, out),
        Verb::Preview { folder, out: to, action } => {
            preview::run(&dir(folder), settings, &to, action.as_deref(), out)
        }
        Verb::Push { folder, dry_run, force, json, pace } => {
            let how = push::How { dry_run, force, json, pace: pace.interval() };
            push::run(&dir(folder), settings, &how, out)
        }
        Verb::Pull { folder, force, actions, pace } => {
            let how = pull::How { force, actions, pace: pace.interval() };
            pull::run(&dir(folder), settings, &how, out)
        }
        Verb::Build { folder } => mjml::run(&dir(folder), out),
    }
}
