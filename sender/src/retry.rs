//! What becomes of a delivery after an outcome, and when it is tried again. Pure: the caller
//! brings the jitter, a random number in [0, 1).

use std::time::Duration;

use crate::transport::Outcome;

const FIRST_DELAY: Duration = Duration::from_secs(5);
const DELAY_MAX: Duration = Duration::from_secs(60);
const THROTTLED_DELAY: Duration = Duration::from_secs(3);
const LATE_DELAY: Duration = Duration::from_secs(5 * 60);
const UNTRIED_DELAY: Duration = Duration::from_secs(1);
const CONFIGURATION_DELAY: Duration = Duration::from_secs(5);

/// How far jitter moves a delay, up or down, as a part of it.
const JITTER: f64 = 0.25;

/// What a delivery's row becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Settled: the provider accepted the mail.
    Sent {
        /// The provider's message id.
        provider_id: String,
    },
    /// Pending again.
    Again {
        /// How long from now it is due.
        after: Duration,
        /// Whether the attempt stays counted.
        counted: bool,
        /// The word for the log: `deferred`, `ambiguous` or `throttled`.
        word: &'static str,
        /// The cause, in words.
        reason: String,
    },
    /// Settled: never tried again.
    Failed {
        /// The cause, in words.
        reason: String,
    },
}

impl Next {
    /// The outcome's word in the log of deliveries.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Again { word, .. } => word,
            Self::Failed { .. } => "failed",
        }
    }
}

/// Decides over one mail. `attempt` counts from 1 and includes the one that ended in `outcome`;
/// `ambiguities` is how many *earlier* attempts were ambiguous, and with `ambiguities_max` of them
/// the delivery fails: a mail that may have been sent is not repeated for ever.
pub fn next(
    outcome: Outcome,
    attempt: u32,
    ambiguities: u32,
    ambiguities_max: u32,
    jitter: f64,
) -> Next {
    match outcome {
        Outcome::Sent { provider_id } => Next::Sent { provider_id },
        Outcome::Deferred { reason } => {
            Next::Again { after: delay(attempt, jitter), counted: true, word: "deferred", reason }
        }
        Outcome::Untried { reason } => {
            let after = jittered(UNTRIED_DELAY, jitter);
            Next::Again { after, counted: false, word: "deferred", reason }
        }
        Outcome::Ambiguous { reason } if ambiguities.saturating_add(1) >= ambiguities_max => {
            Next::Failed { reason: format!("attempts used up: {reason}") }
        }
        Outcome::Ambiguous { reason } => {
            Next::Again { after: delay(attempt, jitter), counted: true, word: "ambiguous", reason }
        }
        Outcome::Throttled { reason, late } => {
            let after = if late { late_delay(jitter) } else { throttled_delay(jitter) };
            Next::Again { after, counted: false, word: "throttled", reason }
        }
        Outcome::Rejected { reason } => Next::Failed { reason },
        Outcome::Misconfigured { reason, hold: _ } => Next::Again {
            after: jittered(CONFIGURATION_DELAY, jitter),
            counted: false,
            word: "deferred",
            reason,
        },
    }
}

/// The delay before the next attempt: min(60 s, 5 s · 2^(attempt − 1)) ± 25 %.
pub fn delay(attempt: u32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    jittered(FIRST_DELAY.saturating_mul(1 << doublings).min(DELAY_MAX), jitter)
}

/// The delay after the provider asked for less: 3 s ± 25 %.
pub fn throttled_delay(jitter: f64) -> Duration {
    jittered(THROTTLED_DELAY, jitter)
}

/// The delay after a quota that mends in minutes was used up: 5 min ± 25 %.
pub fn late_delay(jitter: f64) -> Duration {
    jittered(LATE_DELAY, jitter)
}

fn jittered(delay: Duration, jitter: f64) -> Duration {
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.5 };
    delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * jitter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIDDLE: f64 = 0.5;

    #[test]
    fn the_delay_doubles_up_to_a_minute() {
        let delays: Vec<_> = (0..8).map(|attempt| delay(attempt, MIDDLE).as_secs()).collect();
        assert_eq!(delays, [5, 5, 10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn jitter_moves_a_delay_by_a_quarter() {
        assert_eq!(delay(1, 0.0), Duration::from_millis(3750));
        assert!(delay(1, 0.999_999) < Duration::from_millis(6251));
        assert_eq!(late_delay(0.0), Duration::from_secs(225));
    }

    proptest! {
        #[test]
        fn no_attempt_overflows(attempt: u32, jitter: f64) {
            let delay = delay(attempt, jitter);
            prop_assert!(delay >= Duration::from_millis(3750));
            prop_assert!(delay <= Duration::from_secs(75));
        }
    }

    #[test]
    fn each_outcome_has_its_row_and_its_word() {
        let reason = || "words".to_owned();
        let again = |seconds, counted, word| Next::Again {
            after: Duration::from_secs(seconds),
            counted,
            word,
            reason: reason(),
        };
        let table = [
            (
                Outcome::Sent { provider_id: "id".into() },
                Next::Sent { provider_id: "id".into() },
                "sent",
            ),
            (Outcome::Deferred { reason: reason() }, again(20, true, "deferred"), "deferred"),
            (Outcome::Ambiguous { reason: reason() }, again(20, true, "ambiguous"), "ambiguous"),
            (
                Outcome::Throttled { reason: reason(), late: false },
                again(3, false, "throttled"),
                "throttled",
            ),
            (
                Outcome::Throttled { reason: reason(), late: true },
                again(300, false, "throttled"),
                "throttled",
            ),
            (Outcome::Rejected { reason: reason() }, Next::Failed { reason: reason() }, "failed"),
            (
                Outcome::Misconfigured { reason: reason(), hold: false },
                again(5, false, "deferred"),
                "deferred",
            ),
            (
                Outcome::Misconfigured { reason: reason(), hold: true },
                again(5, false, "deferred"),
                "deferred",
            ),
        ];
        for (outcome, expected, word) in table {
            let next = next(outcome.clone(), 3, 0, 10, MIDDLE);
            assert_eq!(next, expected, "{outcome:?}");
            assert_eq!(next.word(), word, "{outcome:?}");
        }
    }

    #[test]
    fn ambiguous_attempts_are_used_up_and_others_are_not() {
        let ambiguous = || Outcome::Ambiguous { reason: "cut".into() };
        assert_eq!(next(ambiguous(), 12, 8, 10, MIDDLE).word(), "ambiguous");
        assert_eq!(
            next(ambiguous(), 12, 9, 10, MIDDLE),
            Next::Failed { reason: "attempts used up: cut".into() }
        );
        let deferred = Outcome::Deferred { reason: "refused".into() };
        assert_eq!(next(deferred, 4_000_000_000, u32::MAX, 10, MIDDLE).word(), "deferred");
        assert_eq!(next(ambiguous(), 1, u32::MAX, 10, MIDDLE).word(), "failed");
    }
}
