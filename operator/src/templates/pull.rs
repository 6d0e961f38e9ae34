//! `mailroom templates pull`: what SES stores for our actions becomes files. Nothing that differs is
//! overwritten unasked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use daemon::exit::{Exit, ExitExt};
use render::{Catalogue, Locale};

use super::store::{Store, Stored};
use super::{Folder, Part};
use crate::database::block_on;
use crate::output::Output;
use crate::templates::settings::Settings;

/// How to pull.
#[derive(Debug, Clone)]
pub struct How {
    /// Overwrite what differs.
    pub force: bool,
    /// Actions that are known from nowhere else.
    pub actions: Vec<String>,
    /// Between the beginnings of two calls.
    pub pace: Duration,
}

/// Writes files; a line for each. One that differs and was not overwritten makes the exit code 78.
///
/// # Errors
/// When a call fails, or a file cannot be read or written.
pub fn run(
    dir: &Path,
    settings: &Settings,
    how: &How,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let labels = labels(dir, settings, how)?;
    block_on(async {
        let store = Store::connect(how.pace).await;
        let names = Box::pin(store.names()).await?;
        let mut exit = Exit::Done;
        for name in &names {
            let Some((label, locale)) = belongs(name, &labels, settings) else { continue };
            let Some(stored) = Box::pin(store.get(name)).await? else { continue };
            let to = dir.join(label).join(locale.as_str());
            for (path, kept) in write(&to, &stored, how.force)? {
                if kept == KEPT {
                    exit = Exit::Config;
                }
                out.line(format_args!("{}: {kept}", path.display()))?;
            }
        }
        Ok(exit)
    })
}

const KEPT: &str = "differs from SES, kept; --force overwrites it";

/// Our actions: those of the folder, those that come with Mailroom, and those that were named.
fn labels(dir: &Path, settings: &Settings, how: &How) -> anyhow::Result<BTreeSet<String>> {
    let mut labels: BTreeSet<String> = how.actions.iter().cloned().collect();
    if let Some(bad) = labels.iter().find(|label| settings.names.name_of(label).is_none()) {
        return Err(anyhow!("--action {bad:?} is not an action's name").exit(Exit::Config));
    }
    labels.extend(settings.names.labels().map(str::to_owned));
    labels.extend(Catalogue::built_in()?.iter().map(|(label, ..)| label.to_owned()));
    if dir.exists() {
        labels.extend(Folder::read(dir)?.actions.into_iter().map(|action| action.label));
    }
    Ok(labels)
}

/// Whose template this is. The default locale's has the name itself, another's ends in `_<locale>`.
fn belongs<'a>(
    name: &str,
    labels: &'a BTreeSet<String>,
    settings: &Settings,
) -> Option<(&'a str, Locale)> {
    labels.iter().find_map(|label| {
        let base = settings.names.name_of(label)?;
        let rest = name.strip_prefix(base.as_ref())?;
        let locale = match rest {
            "" => settings.default_locale.clone(),
            rest => rest.strip_prefix('_')?.parse().ok()?,
        };
        Some((label.as_str(), locale))
    })
}

fn write(dir: &Path, stored: &Stored, force: bool) -> anyhow::Result<Vec<(PathBuf, &'static str)>> {
    let mut written = Vec::new();
    for (part, text) in Part::ALL.into_iter().zip(&stored.parts) {
        let Some(text) = text else { continue };
        let text = if part == Part::Subject { format!("{text}\n") } else { text.clone() };
        let path = dir.join(part.file());
        let shown = || path.display().to_string();
        let there = match std::fs::read_to_string(&path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(shown).exit(Exit::Config),
        };
        let equal = |there: &str| match part {
            Part::Subject => there.trim() == text.trim(),
            Part::Html | Part::Text => there == text,
        };
        let result = match there.as_deref() {
            Some(there) if equal(there) => "unchanged",
            Some(_) if !force => KEPT,
            Some(_) | None => {
                std::fs::create_dir_all(dir).with_context(shown).exit(Exit::Config)?;
                std::fs::write(&path, text).with_context(shown).exit(Exit::Config)?;
                if there.is_some() { "overwritten" } else { "written" }
            }
        };
        written.push((path, result));
    }
    Ok(written)
}
