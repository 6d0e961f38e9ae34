//! Back-off: how long to wait before trying again. Pure: no clock, and the chance comes from outside.

use std::time::Duration;

/// Full-jitter exponential back-off: the n-th wait is a random share of `first · 2^(n−1)`, the
/// product capped at `max`. Spreading over the whole range keeps many processes that lost the same
/// database from coming back in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Starts with waits of up to `first`, doubling up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, ceiling: first.min(max) }
    }

    /// The next wait. `random` is in [0, 1); anything outside is taken for the nearest bound, and
    /// what is not a number for the longest wait.
    pub fn next(&mut self, random: f64) -> Duration {
        let share = if random.is_nan() { 1.0 } else { random.clamp(0.0, 1.0) };
        let wait = self.ceiling.mul_f64(share).min(self.ceiling);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        wait
    }

    /// It worked: the next trouble starts with short waits again.
    pub fn reset(&mut self) {
        self.ceiling = self.first.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(10);

    #[test]
    fn doubles_up_to_the_maximum_and_starts_over() {
        let mut backoff = Backoff::new(FIRST, MAX);
        let waits: Vec<u128> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.next(0.5), FIRST / 2);
    }

    #[test]
    fn a_first_wait_beyond_the_maximum_is_the_maximum() {
        let mut backoff = Backoff::new(MAX, FIRST);
        assert_eq!(backoff.next(1.0), FIRST);
        backoff.reset();
        assert_eq!(backoff.next(1.0), FIRST);
    }

    proptest! {
        #[test]
        fn never_waits_longer_than_the_maximum(
            first in any::<u64>(), max in any::<u64>(), chances in prop::collection::vec(any::<f64>(), 0..80),
        ) {
            let (first, max) = (Duration::from_millis(first), Duration::from_millis(max));
            let mut backoff = Backoff::new(first, max);
            for chance in chances {
                prop_assert!(backoff.next(chance) <= max);
            }
        }
    }
}
