//! The documents say what the code does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The event is the last string of a `tracing::info!(…, "event")`.
fn events_of(source: &str) -> impl Iterator<Item = String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.split("tracing::").skip(1).filter_map(|rest| {
        let (level, rest) = rest.split_once("!(")?;
        if !["debug", "info", "warn", "error"].contains(&level) {
            return None;
        }
        let call = rest.split_once(");").map_or(rest, |(call, _)| call);
        let event = call.rsplit('"').nth(1)?;
        Some(event.to_owned())
    })
}

#[test]
fn every_event_is_documented_and_no_other() {
    let mut files = Vec::new();
    for crate_ in ["daemon", "collector", "sender", "operator"] {
        rust_files(&root().join(crate_).join("src"), &mut files);
    }
    let mut in_code = BTreeSet::new();
    for file in files {
        in_code.extend(events_of(&fs::read_to_string(file).unwrap()));
    }
    let operations = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let (_, events) = operations.split_once("\n## Events\n").unwrap();
    let (events, _) = events.split_once("\n## ").unwrap();
    let documented: BTreeSet<String> = events
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(event, _)| event))
        .filter(|name| name.contains(|c: char| c.is_ascii_lowercase()))
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .map(str::to_owned)
        .collect();
    assert_eq!(in_code, documented);
}

#[test]
fn every_setting_is_in_the_readme_and_in_the_help() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for half in ["collector", "sender"] {
        let config = fs::read_to_string(root().join(half).join("src/config.rs")).unwrap();
        let help = fs::read_to_string(root().join(half).join("src/help.txt")).unwrap();
        let names: BTreeSet<&str> = config
            .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
            .filter(|word| word.starts_with("MAILROOM_"))
            .collect();
        assert!(names.len() > 5, "{half}: {names:?}");
        for name in names {
            assert!(readme.contains(name), "{name} is not in README.md");
            assert!(help.contains(name), "{name} is not in the help of the {half}");
        }
    }
}
