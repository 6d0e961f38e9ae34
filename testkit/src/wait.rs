//! Waiting for a condition, with a deadline and a message. Tests wait for events, never for time.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Test helper: looks at `condition` every 10 ms until it holds.
///
/// # Panics
///
/// When it does not hold within `timeout`; the message says `what` was waited for, and where.
#[track_caller]
#[expect(clippy::panic, reason = "a test helper: failing the test is its purpose")]
pub fn eventually(timeout: Duration, what: &str, condition: impl FnMut() -> bool) {
    if !holds_within(timeout, condition) {
        panic!("waited {timeout:?} in vain: {what}");
    }
}

/// Whether `condition` comes to hold within `timeout`. It is looked at once more at the deadline.
pub(crate) fn holds_within(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return condition();
        }
        std::thread::sleep(POLL.min(left));
    }
}
