//! `mailroom key`: the key that signs tokens.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use daemon::exit::{Exit, ExitExt};

use crate::output::Output;

const ROTATION: &str = include_str!("key/rotation.txt");

/// What is said after `key`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key: 64 hexadecimal digits, for MAILROOM_SECRET_KEY or its file
    Generate {
        /// Write it to this file, which must not exist, for its owner's eyes only
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Explain how to change to another key without losing a link
    Rotate,
}

/// Does it.
///
/// # Errors
/// When there is no randomness to be had, or the key cannot be written.
pub fn run(args: Args, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Generate { out: None } => out.line(generate()?)?,
        Verb::Generate { out: Some(file) } => write(&file, &generate()?)?,
        Verb::Rotate => out.text(ROTATION)?,
    }
    Ok(Exit::Done)
}

/// 32 bytes from the operating system, in hexadecimal.
fn generate() -> anyhow::Result<String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("ask the operating system for randomness")?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write(path: &Path, key: &str) -> anyhow::Result<()> {
    let exists = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AlreadyExists;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    if file.as_ref().is_err_and(exists) {
        let path = path.display();
        return Err(anyhow::anyhow!(
            "{path} is there already, and a key is never written over: links signed with it would \
             die; name another file, or move this one away"
        ))
        .exit(Exit::Config);
    }
    file.and_then(|mut file| {
        writeln!(file, "{key}")?;
        file.sync_all()
    })
    .with_context(|| format!("write {}", path.display()))
    .exit(Exit::Config)
}
