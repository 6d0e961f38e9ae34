//! `mailroom templates push`: what the folder has becomes what SES has. What is equal is left alone,
//! so a push that was cut short is simply repeated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use daemon::exit::{Exit, ExitExt};
use sender::template::{SETTING, is_name, localised};
use serde::Serialize;
use similar::TextDiff;

use super::store::{Store, Stored, block_on};
use super::{Folder, Part, Source, lint};
use crate::output::Output;
use crate::settings::Settings;

/// How to push.
#[derive(Debug, Clone)]
pub struct How {
    /// Show what would change, change nothing.
    pub dry_run: bool,
    /// An object a line.
    pub json: bool,
    /// Between the beginnings of two calls.
    pub pace: Duration,
}

/// What became of a template, or would.
#[derive(Debug, Serialize)]
struct Pushed<'a> {
    template: &'a str,
    action: &'a str,
    locale: &'a str,
    result: &'static str,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// Creates and updates; a line for each template when it is done.
///
/// # Errors
/// When there is a problem with any template (nothing is pushed then), or a call fails.
pub fn run(
    dir: &Path,
    settings: &Settings,
    how: &How,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let folder = Folder::read(dir)?;
    let problems = lint::problems(&folder, settings);
    if !problems.is_empty() {
        let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        return Err(anyhow!("{lines}nothing was pushed")).exit(Exit::Config);
    }
    let named = named(&folder, settings)?;
    block_on(async {
        let store = Store::connect(how.pace).await;
        for (name, (action, source)) in &named {
            let pushed = push(&store, name, action, source, how).await?;
            if how.json {
                out.json(&pushed)?;
            } else {
                let would =
                    if pushed.dry_run && pushed.result != UNCHANGED { "would be " } else { "" };
                out.line(format_args!("{name}: {would}{}", pushed.result))?;
                out.text(&pushed.diff.unwrap_or_default())?;
            }
        }
        Ok(Exit::Done)
    })
}

const UNCHANGED: &str = "unchanged";

/// The templates by the names SES knows them by.
fn named<'a>(
    folder: &'a Folder,
    settings: &Settings,
) -> anyhow::Result<BTreeMap<String, (&'a str, &'a Source)>> {
    let mut named: BTreeMap<String, (&str, &Source)> = BTreeMap::new();
    for action in &folder.actions {
        let base = settings.names.name_of(&action.label);
        for source in &action.templates {
            let name = base.as_deref().unwrap_or_default();
            let name = localised(name, &source.locale, Some(&settings.default_locale));
            let dir = source.dir.display();
            if !is_name(&name) {
                let error = anyhow!("{dir}: SES takes no template called {name:?}: set {SETTING}");
                return Err(error.exit(Exit::Config));
            }
            if let Some((_, other)) = named.get(&name) {
                let other = other.dir.display();
                let error =
                    anyhow!("{dir} and {other} are both called {name} in SES: set {SETTING}");
                return Err(error.exit(Exit::Config));
            }
            named.insert(name, (&action.label, source));
        }
    }
    Ok(named)
}

async fn push<'a>(
    store: &Store,
    name: &'a str,
    action: &'a str,
    source: &'a Source,
    how: &How,
) -> anyhow::Result<Pushed<'a>> {
    let mut wanted = Stored { parts: source.texts.clone() };
    // What an editor leaves at the end of a subject is no part of it.
    wanted.parts[0] = wanted.parts[0].as_deref().map(|subject| subject.trim().to_owned());
    let there = Box::pin(store.get(name)).await?;
    let result = match &there {
        None => "created",
        Some(there) if *there == wanted => UNCHANGED,
        Some(_) => "updated",
    };
    match &there {
        _ if how.dry_run || result == UNCHANGED => {}
        None => Box::pin(store.create(name, &wanted)).await?,
        Some(_) => Box::pin(store.update(name, &wanted)).await?,
    }
    let diff = how.dry_run.then(|| diff(name, source, &there.unwrap_or_default(), &wanted));
    let locale = source.locale.as_str();
    Ok(Pushed { template: name, action, locale, result, dry_run: how.dry_run, diff })
}

/// What would change, as a unified diff; empty if nothing.
fn diff(name: &str, source: &Source, there: &Stored, wanted: &Stored) -> String {
    let mut text = String::new();
    for (place, part) in Part::ALL.into_iter().enumerate() {
        let of = |stored: &Stored| {
            let text = stored.parts[place].clone().unwrap_or_default();
            if part == Part::Subject && !text.is_empty() { text + "\n" } else { text }
        };
        let (old, new) = (of(there), of(wanted));
        if old != new {
            let diff = TextDiff::from_lines(&old, &new);
            let (from, to) = (format!("SES {name} {}", part.file()), source.path(part));
            // Writing to a string cannot fail.
            _ = write!(text, "{}", diff.unified_diff().header(&from, &to.display().to_string()));
        }
    }
    text
}
