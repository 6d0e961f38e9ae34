//! Which migrations are applied and which are not.

use anyhow::anyhow;
use daemon::exit::{Exit, ExitExt};
use serde::Serialize;

use super::files::ALL;
use super::plan::number;
use super::record::{State, dirty, is_known, unknown};
use crate::output::{Output, Row};

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Listed {
    version: i64,
    name: &'static str,
    state: &'static str,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] = &["VERSION", "NAME", "STATE"];

    fn cells(&self) -> Vec<String> {
        vec![self.version.to_string(), self.name.to_owned(), self.state.to_owned()]
    }
}

/// Writes the list.
///
/// # Errors
/// When a person must look: the version is dirty, or none of ours.
pub(super) fn list(state: State, json: bool, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    out.rows(&rows(state), json)?;
    let words = match state {
        State { version, dirty: true } => dirty(version),
        State { version, dirty: false } if !is_known(version) => unknown(number(version)),
        _ => return Ok(Exit::Done),
    };
    Err(anyhow!(words)).exit(Exit::Config)
}

fn rows(state: State) -> Vec<Listed> {
    let at = number(state.version);
    let mut rows: Vec<Listed> = ALL
        .iter()
        .map(|migration| Listed {
            version: migration.version,
            name: migration.name,
            state: match migration.version.cmp(&at) {
                std::cmp::Ordering::Equal if state.dirty => "dirty",
                std::cmp::Ordering::Less | std::cmp::Ordering::Equal => "applied",
                std::cmp::Ordering::Greater => "pending",
            },
        })
        .collect();
    if !is_known(state.version) {
        let state = if state.dirty { "dirty" } else { "unknown" };
        rows.push(Listed { version: at, name: "", state });
        rows.sort_by_key(|row| row.version);
    } else if state.version.is_none() && state.dirty {
        rows.insert(0, Listed { version: at, name: "", state: "dirty" });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_two(version: Option<i64>, dirty: bool) -> Vec<(i64, &'static str)> {
        let rows = rows(State { version, dirty });
        rows.iter().take(2).map(|row| (row.version, row.state)).collect()
    }

    #[test]
    fn what_is_at_or_below_the_version_is_applied() {
        assert_eq!(first_two(None, false), [(0, "pending"), (1, "pending")]);
        assert_eq!(first_two(Some(0), false), [(0, "applied"), (1, "pending")]);
        assert_eq!(first_two(Some(1), false), [(0, "applied"), (1, "applied")]);
    }

    #[test]
    fn a_version_that_is_dirty_or_unknown_has_a_row() {
        assert_eq!(first_two(Some(1), true), [(0, "applied"), (1, "dirty")]);
        assert_eq!(first_two(None, true), [(-1, "dirty"), (0, "pending")]);
        let rows = rows(State { version: Some(i64::MAX), dirty: false });
        let last = rows.last().map(|row| (row.version, row.state));
        assert_eq!(last, Some((i64::MAX, "unknown")));
    }
}
