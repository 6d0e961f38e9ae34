//! `mailroom templates push`: what the folder has becomes what SES has. What is equal is left alone,
//! so a push that was cut short is simply repeated. What a sender without the folder fills in is not
//! replaced by what it cannot fill in: SES would take its mails and send nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use daemon::exit::{Exit, ExitExt};
use sender::template::{SETTING, is_name, localised};
use serde::Serialize;
use similar::TextDiff;

use super::store::{Store, Stored};
use super::{Folder, Part, Source, language, lint};
use crate::database::block_on;
use crate::output::Output;
use crate::templates::settings::Settings;

/// How to push.
#[derive(Debug, Clone)]
pub struct How {
    /// Show what would change, change nothing.
    pub dry_run: bool,
    /// Replace also what senders without the folder could no longer fill in.
    pub force: bool,
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
/// When there is a problem with any template, or senders without the folder could not fill one in
/// (nothing is pushed then), or a call fails.
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
    numbered(settings)?;
    let named = named(&folder, settings)?;
    block_on(async {
        let store = Store::connect(how.pace).await;
        let mut plans = Vec::new();
        for (name, (action, source)) in named {
            let there = Box::pin(store.get(&name)).await?;
            plans.push(Plan::new(name, action, source, there, how.force));
        }
        let refusal = refusal(&plans, settings);
        for plan in plans.iter().filter(|_| how.dry_run || refusal.is_none()) {
            if !how.dry_run {
                Box::pin(plan.carry_out(&store)).await?;
            }
            let pushed = plan.pushed(how.dry_run);
            if how.json {
                out.json(&pushed)?;
            } else {
                let would =
                    if pushed.dry_run && pushed.result != UNCHANGED { "would be " } else { "" };
                out.line(format_args!("{}: {would}{}", pushed.template, pushed.result))?;
                out.text(&pushed.diff.unwrap_or_default())?;
            }
        }
        refusal.map_or(Ok(Exit::Done), |refusal| Err(refusal.exit(Exit::Config)))
    })
}

const UNCHANGED: &str = "unchanged";

/// The actions whose labels are known without a database, as the setting counts them.
const KNOWN_NUMBERS: [&str; 2] = ["1", "2"];

/// A sender takes a name by the action's number; here, numbers are not known.
fn numbered(settings: &Settings) -> anyhow::Result<()> {
    let names = settings.names.to_string();
    let parts: Vec<(&str, &str)> =
        names.split(',').filter_map(|part| part.split_once('=')).collect();
    let is_number = |action: &str| action.bytes().all(|byte| byte.is_ascii_digit());
    let mut lines = String::new();
    for (number, name) in &parts {
        let is_labelled = parts.iter().any(|(label, other)| !is_number(label) && other == name);
        if is_number(number) && !KNOWN_NUMBERS.contains(number) && !is_labelled {
            let remedy = format!("name it by its label, as label={name}");
            let known = "push knows actions from 3 on by their labels";
            // Writing to a string cannot fail.
            _ = writeln!(lines, "{number}={name} in {SETTING}: {known}: {remedy}");
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(anyhow!("{lines}nothing was pushed")).exit(Exit::Config)
}

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

/// What is to become of a template.
struct Plan<'a> {
    name: String,
    action: &'a str,
    source: &'a Source,
    there: Option<Stored>,
    wanted: Stored,
    /// What is Mailroom's own, and only a sender with the folder gives to what only now asks for it.
    asked: BTreeSet<&'static str>,
}

impl<'a> Plan<'a> {
    fn new(
        name: String,
        action: &'a str,
        source: &'a Source,
        there: Option<Stored>,
        force: bool,
    ) -> Self {
        let wanted = Stored::of(source);
        let asked = match &there {
            Some(there) if !force => &uses(&wanted) - &uses(there),
            _ => BTreeSet::new(),
        };
        Self { name, action, source, there, wanted, asked }
    }

    fn result(&self) -> &'static str {
        match &self.there {
            None => "created",
            Some(there) if *there == self.wanted => UNCHANGED,
            Some(_) if !self.asked.is_empty() => "refused",
            Some(_) => "updated",
        }
    }

    async fn carry_out(&self, store: &Store) -> anyhow::Result<()> {
        match self.result() {
            UNCHANGED => Ok(()),
            "created" => Box::pin(store.create(&self.name, &self.wanted)).await,
            _ => Box::pin(store.update(&self.name, &self.wanted)).await,
        }
    }

    fn pushed(&self, dry_run: bool) -> Pushed<'_> {
        let stored = self.there.clone().unwrap_or_default();
        let diff = dry_run.then(|| diff(&self.name, self.source, &stored, &self.wanted));
        let locale = self.source.locale.as_str();
        let result = self.result();
        Pushed { template: &self.name, action: self.action, locale, result, dry_run, diff }
    }
}

fn uses(stored: &Stored) -> BTreeSet<&'static str> {
    stored.parts.iter().flatten().flat_map(|text| language::uses(text)).collect()
}

/// Why nothing may be pushed, with every template that is in the way.
fn refusal(plans: &[Plan<'_>], settings: &Settings) -> Option<anyhow::Error> {
    let mut lines = String::new();
    let mut names = BTreeSet::new();
    for plan in plans.iter().filter(|plan| !plan.asked.is_empty()) {
        let asked = plan.asked.iter().copied().collect::<Vec<_>>().join(", ");
        let dir = plan.source.dir.display();
        // Writing to a string cannot fail.
        _ = writeln!(lines, "{dir}: uses {asked}, which {} in SES does not", plan.name);
        let name = settings.names.name_of(plan.action).unwrap_or_default();
        names.insert(format!("{}={}", plan.action, next(&name)));
    }
    let names = names.into_iter().collect::<Vec<_>>().join(",");
    (!lines.is_empty()).then(|| {
        anyhow!(
            "{lines}nothing was pushed: a sender without MAILROOM_TEMPLATES does not give these \
             variables, and SES would answer \"success\" and send nothing. Push under other names, \
             with {SETTING}={names}, and start the senders with MAILROOM_TEMPLATES and that \
             setting; or, when no sender without MAILROOM_TEMPLATES runs, push with --force"
        )
    })
}

/// Another name: `activationv2` for `activationv1`.
fn next(name: &str) -> String {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match (base.strip_suffix('v'), name[base.len()..].parse::<u32>()) {
        (Some(_), Ok(version)) => format!("{base}{}", version.saturating_add(1)),
        _ => format!("{name}v2"),
    }
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
