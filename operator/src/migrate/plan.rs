//! Which files are to be run, in which order, from where the database is. Pure.

use super::files::{File, Migration};

/// Up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Applies.
    Up,
    /// Takes back.
    Down,
}

impl Direction {
    /// As it is said.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A version of the database; nothing applied is `None`, -1 for golang-migrate.
pub(super) type Version = Option<i64>;

/// How a version is said and written.
pub(super) fn number(version: Version) -> i64 {
    version.unwrap_or(-1)
}

/// One file to run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Its migration.
    pub(super) migration: &'static Migration,
    /// Which of the two files.
    pub(super) direction: Direction,
    /// Where the database is before it.
    pub(super) before: Version,
    /// Where it is after it.
    pub(super) after: Version,
}

impl Step {
    /// The file.
    pub(super) fn file(&self) -> &'static File {
        match self.direction {
            Direction::Up => &self.migration.up,
            Direction::Down => &self.migration.down,
        }
    }
}

/// The steps from version `at`, at most `limit` of them (`None`: all there are). `None` when `known`
/// has no such version.
pub(super) fn steps(
    known: &'static [Migration],
    at: Version,
    direction: Direction,
    limit: Option<usize>,
) -> Option<Vec<Step>> {
    let applied = match at {
        None => 0,
        Some(at) => known.iter().position(|migration| migration.version == at)? + 1,
    };
    // The version with that many migrations applied.
    let version = |count: usize| Some(known.get(count.checked_sub(1)?)?.version);
    let up =
        |(n, migration)| Step { migration, direction, before: version(n), after: version(n + 1) };
    let down =
        |(n, migration)| Step { migration, direction, before: version(n + 1), after: version(n) };
    let limit = limit.unwrap_or(usize::MAX);
    let all = known.iter().enumerate();
    Some(match direction {
        Direction::Up => all.skip(applied).take(limit).map(up).collect(),
        Direction::Down => all.take(applied).rev().take(limit).map(down).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: File = File { name: "", text: "" };
    const fn migration(version: i64) -> Migration {
        Migration { version, name: "", up: FILE, down: FILE }
    }
    static KNOWN: &[Migration] = &[migration(0), migration(3), migration(20)];

    fn path(at: Version, direction: Direction, limit: Option<usize>) -> Option<Vec<(i64, i64)>> {
        let steps = steps(KNOWN, at, direction, limit)?;
        Some(steps.iter().map(|step| (number(step.before), number(step.after))).collect())
    }

    #[test]
    fn up_goes_through_every_number_that_is_left() {
        use Direction::Up;
        assert_eq!(path(None, Up, None), Some(vec![(-1, 0), (0, 3), (3, 20)]));
        assert_eq!(path(Some(0), Up, Some(1)), Some(vec![(0, 3)]));
        assert_eq!(path(Some(3), Up, Some(9)), Some(vec![(3, 20)]));
        assert_eq!(path(Some(20), Up, None), Some(vec![]));
    }

    #[test]
    fn down_ends_at_nothing() {
        use Direction::Down;
        assert_eq!(path(Some(20), Down, None), Some(vec![(20, 3), (3, 0), (0, -1)]));
        assert_eq!(path(Some(20), Down, Some(1)), Some(vec![(20, 3)]));
        assert_eq!(path(Some(0), Down, Some(2)), Some(vec![(0, -1)]));
        assert_eq!(path(None, Down, None), Some(vec![]));
    }

    #[test]
    fn a_version_that_is_not_known_leads_nowhere() {
        assert_eq!(path(Some(21), Direction::Up, None), None);
        assert_eq!(path(Some(2), Direction::Down, None), None);
    }
}
