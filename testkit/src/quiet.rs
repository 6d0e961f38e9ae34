//! An unexpected WARN or ERROR fails a test.

use serde_json::Value;

/// Test helper: fails if `stderr` has a line of level WARN or ERROR whose event is not in
/// `allowed`, or tells of a panic.
///
/// # Panics
///
/// Then; with those lines.
#[track_caller]
#[expect(clippy::panic, reason = "a test helper: failing the test is its purpose")]
pub fn assert_quiet(stderr: &str, allowed: &[&str]) {
    let lines = unexpected(stderr, allowed);
    if !lines.is_empty() {
        panic!("unexpected in the log (allowed: {allowed:?}):\n{}", lines.join("\n"));
    }
}

/// The lines that [`assert_quiet`] complains about.
pub fn unexpected<'a>(stderr: &'a str, allowed: &[&str]) -> Vec<&'a str> {
    stderr
        .lines()
        .filter(|line| match Loud::parse(line) {
            Some(loud) => !loud.event.is_some_and(|event| allowed.contains(&event.as_str())),
            None => false,
        })
        .collect()
}

/// A line that speaks of trouble.
struct Loud {
    event: Option<String>,
}

impl Loud {
    fn parse(line: &str) -> Option<Loud> {
        if line.starts_with("thread '") && line.contains("panicked at") {
            return Some(Loud { event: None });
        }
        if line.starts_with('{') {
            let line: Value = serde_json::from_str(line).ok()?;
            let event = line["event"].as_str().map(str::to_owned);
            return is_loud(line["level"].as_str()?).then_some(Loud { event });
        }
        // ts level prog event=… key=value
        let mut words = line.split_whitespace();
        let level = words.nth(1)?;
        let event = words.find_map(|word| word.strip_prefix("event=")).map(str::to_owned);
        is_loud(level).then_some(Loud { event })
    }
}

fn is_loud(level: &str) -> bool {
    matches!(level.to_ascii_uppercase().as_str(), "WARN" | "ERROR")
}

#[cfg(test)]
mod tests {
    use super::unexpected;

    const LOG: &str = "\
2026-11-21T17:57:56.123Z INFO sender event=call_started call=3 rows=10 note=\"no ERROR\"
2026-11-21T17:57:56.124Z WARN sender event=throttled call=3
2026-11-21T17:57:56.125Z ERROR sender event=call_failed call=3
{\"ts\":\"2026-11-21T17:57:56.125Z\",\"level\":\"WARN\",\"prog\":\"sender\",\"event\":\"reconnecting\"}
";

    #[test]
    fn warnings_and_errors_are_found_unless_allowed() {
        assert_eq!(unexpected(LOG, &[]).len(), 3);
        assert_eq!(unexpected(LOG, &["throttled", "reconnecting"]).len(), 1);
        assert!(unexpected(LOG, &["throttled", "reconnecting", "call_failed"]).is_empty());
    }

    #[test]
    fn a_panic_is_never_allowed() {
        let log = "thread 'main' (12) panicked at sender/src/main.rs:1:1:\noh no\n";
        assert_eq!(unexpected(log, &["call_failed"]).len(), 1);
    }
}
