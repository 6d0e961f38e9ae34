//! The settings of both halves: all that is wrong with them, and as much of them as can be used.

use std::ffi::OsString;

use daemon::postgres::Target;
use daemon::settings::{Problems, unknown};

use super::Half;
use super::finding::Finding;
use super::key_file;
use crate::environment::Environment;

const KEY: &str = "MAILROOM_SECRET_KEY";
const DATABASE: &str = "MAILROOM_DATABASE_URL";

/// What could be made of the environment.
#[derive(Debug)]
pub struct Settings {
    /// Where PostgreSQL is.
    pub database: Option<Target>,
    /// The channel that the collector listens to, and the queue that it serves.
    pub collector: Option<(String, String)>,
    /// The sender's, if nothing is wrong with them.
    pub sender: Option<sender::config::Config>,
}

/// Reads what `half` is given, and says all that is wrong with it.
pub fn read(environment: &Environment, half: Half) -> (Settings, Vec<Finding>) {
    let mut wrong = Problems::default();
    let mut note = |problems: &Problems| {
        for line in problems.lines() {
            if !wrong.lines().any(|known| known == line) {
                let (name, words) = line.split_once(": ").unwrap_or(("MAILROOM_", line));
                wrong.push(name, words);
            }
        }
    };
    // A sender alone does without.
    let undatabased = half == Half::Sender && !is_said(environment, DATABASE);
    let database = match environment.database() {
        Ok(target) => Some(target),
        Err(_) if undatabased => None,
        Err(problems) => {
            note(&problems);
            None
        }
    };
    let collector = half.collects().then(|| {
        let said = collector::config::Config::from_vars(environment.vars());
        said.or_else(|problems| {
            note(&problems);
            collector::config::Config::from_vars(without(environment, &problems))
        })
    });
    let sender = half.sends().then(|| {
        let said = sender::config::Config::from_vars(environment.vars());
        said.map_err(|problems| note(&problems))
    });
    let mut findings: Vec<Finding> = wrong.lines().map(finding).collect();
    if undatabased {
        findings.push(Finding::warning(
            "settings",
            format!("{DATABASE}: is not set, so the sender sends and cannot acknowledge"),
            "set it, unless that is meant: docs/OPERATIONS.md, The sender without a database",
        ));
    }
    if half.collects() {
        findings.extend(key_file::look(environment));
    }
    for name in unknown(environment.vars()) {
        let remedy = "is it misspelt? README.md has them all";
        findings.push(Finding::warning(
            "settings",
            format!("{name}: there is no such setting"),
            remedy,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("settings", "all are well-formed"));
    }
    let settings = Settings {
        database,
        collector: collector.and_then(Result::ok).map(|config| (config.channel, config.queue)),
        sender: sender.and_then(Result::ok),
    };
    (settings, findings)
}

/// What is wrong is left out, and what is required then made up: the rest is looked at all the same.
fn without(environment: &Environment, wrong: &Problems) -> Vec<(OsString, OsString)> {
    let named: Vec<&str> = wrong.lines().filter_map(|line| line.split(':').next()).collect();
    let is_wrong = |name: &OsString| {
        let name = name.to_str().unwrap_or_default();
        named.iter().any(|bad| name == *bad || name.strip_suffix("_FILE") == Some(bad))
    };
    let mut vars: Vec<_> = environment.vars().filter(|(name, _)| !is_wrong(name)).collect();
    for (name, value) in [(KEY, "00".repeat(32)), (DATABASE, "dbname=none".to_owned())] {
        if named.iter().any(|bad| bad.strip_suffix("_FILE").unwrap_or(bad) == name) {
            vars.push((name.into(), value.into()));
        }
    }
    vars
}

fn is_said(environment: &Environment, name: &str) -> bool {
    let file = format!("{name}_FILE");
    let mut vars = environment.vars();
    vars.any(|(said, value)| (said == *name || said == *file) && !value.is_empty())
}

/// The words of a bad setting have the remedy after a semicolon, where it is not plain.
fn finding(line: &str) -> Finding {
    let (detail, remedy) = line.split_once("; ").unwrap_or((line, ""));
    let name = line.split(':').next().unwrap_or_default();
    let remedy = match name.strip_suffix("_FILE").unwrap_or(name) {
        _ if !remedy.is_empty() => remedy,
        _ if name.ends_with("_FILE") && detail.contains("(os error") => {
            "check the path, and that this user may read it"
        }
        KEY => "make one with `mailroom key generate`, and give the application the same",
        DATABASE => {
            "set it to postgres://user@host/database, or dbname=…, or a file with it as \
                     MAILROOM_DATABASE_URL_FILE"
        }
        _ => "README.md, Settings, says what it takes",
    };
    Finding::wrong("settings", detail, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Environment {
        Environment::of(vars.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn every_bad_setting_of_both_halves_is_said_once_and_the_rest_is_used() {
        let environment = environment(&[
            ("MAILROOM_SECRET_KEY", "abc"),
            ("MAILROOM_CHANNEL_NAME", "mail"),
            ("MAILROOM_BATCH_LIMIT", "ten"),
            ("MAILROOM_LOG", "loud"),
            ("MAILROOM_TRANSPORT", "pigeon"),
            ("MAILROOM_TRANSPROT", "smtp"),
        ]);
        let (settings, findings) = read(&environment, Half::Both);
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        for name in ["DATABASE_URL", "SECRET_KEY", "BATCH_LIMIT", "LOG", "TRANSPORT", "TRANSPROT"] {
            let named = format!("settings – MAILROOM_{name}: ");
            assert_eq!(said.iter().filter(|line| line.contains(&named)).count(), 1, "{said:#?}");
        }
        assert!(findings.iter().all(|finding| !finding.remedy.is_empty()), "{said:#?}");
        assert!(!said.concat().contains("abc"));
        assert_eq!(settings.collector, Some(("mail".to_owned(), "mailroom".to_owned())));
        assert!(settings.sender.is_none() && settings.database.is_none());
    }

    #[test]
    fn a_half_is_not_asked_for_what_the_other_needs() {
        let environment = environment(&[("MAILROOM_DATABASE_URL", "dbname=app")]);
        let (settings, findings) = read(&environment, Half::Sender);
        assert_eq!(findings, [Finding::ok("settings", "all are well-formed")]);
        assert!(settings.sender.is_some() && settings.collector.is_none());
    }
}
