//! What every child of this process said on stderr, and whether anything in it is nobody's business:
//! no test has to remember to look.
//!
//! * A child's log is searched for the secrets in its own environment when its [`Running`] is dropped.
//! * All logs of a database are searched for its addresses, logins and secrets, as they are then, when
//!   the [`Database`](crate::Database) is dropped.
//! * Those of senders are searched for what a [`Ses`](crate::Ses) accepted when that is dropped.
//!
//! A thread that is panicking already is not made to panic again.
//!
//! [`Running`]: crate::Running

use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lines::Lines;
use crate::needles::Needles;

/// What databases of ours are called, before their number.
pub(crate) const DATABASE_PREFIX: &str = "test_";

static LEDGER: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// A child's log, and what it was given, by which it is found.
#[derive(Debug)]
struct Entry {
    given: String,
    log: Arc<Lines>,
}

/// Keeps the log of a child with this environment.
pub(crate) fn keep(env: &[(OsString, OsString)], log: &Arc<Lines>) {
    let given = env.iter().map(|(_, value)| value.to_string_lossy() + "\n").collect();
    lock().push(Entry { given, log: log.clone() });
}

/// The secrets in an environment: the key, passwords and the like, also within a URL.
pub(crate) fn secrets_in(env: &[(OsString, OsString)]) -> Vec<String> {
    let mut secrets = Vec::new();
    for (name, value) in env {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy().into_owned());
        let password = value.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
        let password = password.and_then(|(credentials, _)| credentials.split_once(':'));
        secrets.extend(password.map(|(_, password)| password.to_owned()));
        let kind = name.strip_suffix("_FILE").is_none();
        if kind && ["SECRET", "PASSWORD", "TOKEN"].iter().any(|word| name.contains(word)) {
            secrets.push(value);
        }
    }
    secrets
}

/// Fails if a log has one of `secrets` in it, of a child that was given the name of this database, or
/// of none; and forgets those that were given it.
///
/// # Panics
///
/// Then, unless the thread is panicking already.
pub(crate) fn close(database: &str, secrets: Vec<String>) {
    let mut logs = Vec::new();
    lock().retain(|entry| {
        let its_own = names(&entry.given, database);
        if its_own || !names_any(&entry.given) {
            logs.push(entry.log.clone());
        }
        !its_own
    });
    assert_private(&logs, secrets);
}

/// Fails if a log has one of `secrets` in it, of a child that was given this word.
///
/// # Panics
///
/// As [`close`].
pub(crate) fn assert_private_at(word: &str, secrets: Vec<String>) {
    let of_word = |entry: &&Entry| entry.given.contains(word);
    let logs: Vec<_> = lock().iter().filter(of_word).map(|entry| entry.log.clone()).collect();
    assert_private(&logs, secrets);
}

/// Fails if one of these logs has one of `secrets` in it. Short ones are passed over: they may stand
/// in a log by chance.
///
/// # Panics
///
/// As [`close`].
#[expect(clippy::panic, reason = "a test helper: failing the test is its purpose")]
pub(crate) fn assert_private(logs: &[Arc<Lines>], secrets: Vec<String>) {
    if std::thread::panicking() || logs.is_empty() {
        return;
    }
    let needles = Needles::new(secrets);
    let found: Vec<String> = logs
        .iter()
        .flat_map(|log| log.all())
        .filter_map(|line| needles.first_in(&line).map(|needle| format!("{needle:?}: {line}")))
        .collect();
    if !found.is_empty() {
        panic!("what is nobody's business is in a log:\n{}", found.join("\n"));
    }
}

/// Whether `given` has the name of this database in it, and not only that of `test_12` for `test_1`.
fn names(given: &str, database: &str) -> bool {
    let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    given.match_indices(database).any(|(at, name)| !digit(&given[at + name.len()..]))
}

fn names_any(given: &str) -> bool {
    let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    given.match_indices(DATABASE_PREFIX).any(|(at, prefix)| digit(&given[at + prefix.len()..]))
}

fn lock() -> MutexGuard<'static, Vec<Entry>> {
    LEDGER.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn the_secrets_of_an_environment_are_found() {
        let env = env(&[
            ("MAILROOM_DATABASE_URL", "postgres://me:p%40ssword@db/mail"),
            ("MAILROOM_SECRET_KEY", "deadbeef"),
            ("MAILROOM_SECRET_KEY_FILE", "/run/key"),
            ("PGPASSWORD", "open sesame"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
            ("AWS_SESSION_TOKEN", "IQoJb3JpZ2lu"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_REGION", "us-east-1"),
        ]);
        let secrets = secrets_in(&env);
        let expected = ["p%40ssword", "deadbeef", "open sesame", "wJalrXUtnFEMI", "IQoJb3JpZ2lu"];
        assert_eq!(secrets, expected);
    }

    #[test]
    fn a_database_is_told_from_others() {
        let url = "postgres://postgres@127.0.0.1:5432/test_12\n";
        assert!(names(url, "test_12") && !names(url, "test_1") && !names(url, "test_123"));
        assert!(names("dbname=test_1 host=/tmp", "test_1"));
        assert!(names_any(url) && !names_any("latest_news\n"));
    }
}
