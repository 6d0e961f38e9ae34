//! The templates on this machine: a folder without faults, and one for every kind of mail there is.

use render::Catalogue;
use sender::config::Config;

use super::finding::Finding;
use super::transport::Way;
use crate::templates::settings::Settings;
use crate::templates::{Folder, lint};

const CHECK: &str = "templates";

/// Looks at them, if letters are made of them here.
pub fn look(way: &Way<'_>, settings: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !settings.renders() {
        return findings;
    }
    if settings.templates.is_some() {
        findings.extend(folder(way));
    }
    if !findings.is_empty() {
        // The same faults are what the sender would not start with.
        return findings;
    }
    if let Err(error) = settings.composer() {
        findings.push(Finding::wrong(
            CHECK,
            format!("{error:#}"),
            "mailroom templates lint says more",
        ));
        return findings;
    }
    let catalogue = match &settings.templates {
        Some(folder) => Catalogue::load(folder).ok(),
        None => Catalogue::built_in().ok(),
    };
    let is_missing = |label: &str| {
        let found =
            |catalogue: &Catalogue| catalogue.find(label, None, &settings.locales).is_some();
        !catalogue.as_ref().is_some_and(found)
    };
    for label in way.actions.iter().map(|action| &action.label).filter(|label| is_missing(label)) {
        let default = settings.locales.default_locale().map_or("en", |locale| locale.as_str());
        findings.push(Finding::wrong(
            CHECK,
            format!("there is none for {label} in {default}"),
            format!("add {label}/{default}/ to the folder that MAILROOM_TEMPLATES names"),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "there is one for every action"));
    }
    findings
}

/// What lint complains about.
fn folder(way: &Way<'_>) -> Option<Finding> {
    const REMEDY: &str = "mailroom templates lint has them all";
    // The sender's settings are well-formed, so these are.
    let settings = Settings::from_vars(way.environment.vars()).ok()?;
    let problems = match Folder::read(&settings.folder) {
        Ok(folder) => lint::problems(&folder, &settings),
        Err(error) => {
            let detail = format!("MAILROOM_TEMPLATES: {error:#}");
            return Some(Finding::wrong(CHECK, detail, "set it to the folder of templates"));
        }
    };
    let first = problems.first()?;
    let detail = format!("problems: {}; the first is {first}", problems.len());
    Some(Finding::wrong(CHECK, detail, REMEDY))
}
