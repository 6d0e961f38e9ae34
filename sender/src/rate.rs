//! How fast we send: a token bucket counted in recipients, as the provider counts them. Pure: the
//! caller brings the time.
//!
//! The bucket fills at `rate` recipients a second and holds a second's worth. A call larger than
//! that may still go when the bucket is full; it leaves a debt, which the next call waits for. So
//! in any window of `w` seconds at most `rate × w + max(burst, largest call)` recipients are let
//! through.

use std::time::{Duration, Instant};

/// The slowest we become, in recipients a second.
const RATE_MIN: f64 = 1.0;

/// The fastest we become when no ceiling is known, in recipients a second.
const RATE_MAX: f64 = 1e6;

/// What a throttled answer leaves of the rate.
const DECREASE: f64 = 0.5;

/// Answers to calls of one moment arrive together and count as one.
const DECREASE_INTERVAL: Duration = Duration::from_secs(1);

/// What a second of accepted mail gives back, as a part of the ceiling.
const RECOVERY: f64 = 0.05;

/// The least that a second of accepted mail gives back when no ceiling is known, in recipients a
/// second.
const RECOVERY_MIN: f64 = 0.5;

/// How long everything is held before one call probes, when the provider's trouble lasts minutes.
const HOLD: Duration = Duration::from_secs(60);

/// Leave to start one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// Everything else is held: this call finds out whether the provider takes mail again.
    probe: bool,
}

/// A token bucket of recipients.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// What the provider allows; `None`: not known.
    ceiling: Option<f64>,
    /// What we send; `None`: not limited, until throttled.
    rate: Option<f64>,
    /// Recipients that may go now. Below zero: a debt.
    tokens: f64,
    /// When `tokens` was right. `None` until first used.
    filled: Option<Instant>,
    decreased: Option<Instant>,
    recovered: Option<Instant>,
    held_until: Option<Instant>,
    accepted: Recent,
}

impl Bucket {
    /// A full bucket. `rate` is what the provider allows, in recipients a second; `None` (or what
    /// cannot be a rate) means it is not known, and nothing is limited until throttled.
    pub fn new(rate: Option<f64>) -> Self {
        let rate = rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        let mut bucket = Self {
            ceiling: rate,
            rate,
            tokens: 0.0,
            filled: None,
            decreased: None,
            recovered: None,
            held_until: None,
            accepted: Recent::default(),
        };
        bucket.tokens = bucket.burst();
        bucket
    }

    /// The present rate, in recipients a second; `None`: not limited.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Lets `n` recipients through, or says how long to wait before asking again.
    ///
    /// # Errors
    /// The wait.
    pub fn take(&mut self, n: u32, now: Instant) -> Result<Permit, Duration> {
        if let Some(until) = self.held_until {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                return Err(left);
            }
        }
        let Some(rate) = self.rate else { return Ok(self.permit(now)) };
        self.fill(rate, now);
        let needed = f64::from(n).min(self.burst());
        if self.tokens < needed {
            // A little over, so that rounding does not make the caller ask twice.
            let wait = (needed - self.tokens) / rate;
            return Err(Duration::from_secs_f64(wait) + Duration::from_micros(1));
        }
        self.tokens -= f64::from(n);
        Ok(self.permit(now))
    }

    /// While holding, what goes through is the probe. Should its answer never come, the next one goes
    /// a minute later.
    fn permit(&mut self, now: Instant) -> Permit {
        let probe = self.held_until.is_some();
        if probe {
            self.held_until = Some(now + HOLD);
        }
        Permit { probe }
    }

    /// A permit that was not used after all. If it was the probe's, the next caller may probe at once.
    pub fn not_used(&mut self, permit: Permit, now: Instant) {
        if permit.probe && self.held_until.is_some() {
            self.held_until = Some(now);
        }
    }

    /// Puts back what was taken and not used.
    pub fn give_back(&mut self, n: u32) {
        if self.rate.is_some() {
            self.tokens = (self.tokens + f64::from(n)).min(self.burst());
        }
    }

    /// The provider throttled: halves the rate, at most once a second. A rate that was not known is
    /// taken to be what the provider accepted of late.
    pub fn throttled(&mut self, now: Instant) {
        let too_soon = |at| now.saturating_duration_since(at) < DECREASE_INTERVAL;
        if self.decreased.is_some_and(too_soon) {
            return;
        }
        let base = self.rate.unwrap_or_else(|| self.accepted.rate(now));
        let floor = self.ceiling.map_or(RATE_MIN, |ceiling| ceiling.min(RATE_MIN));
        self.rate = Some((base * DECREASE).max(floor));
        self.tokens = self.tokens.min(0.0);
        self.filled = Some(now);
        self.decreased = Some(now);
        self.recovered = Some(now);
    }

    /// The provider accepted `n` recipients of a call with this permit: the rate recovers, slowly. A
    /// hold ends if it was the probe; what was under way when the hold began says nothing about it.
    pub fn accepted(&mut self, n: u32, permit: Permit, now: Instant) {
        if permit.probe {
            self.held_until = None;
        }
        self.accepted.add(n, now);
        let Some(rate) = self.rate else { return };
        let Some(since) = self.recovered.replace(now) else { return };
        // At most a second's worth, however long nothing was sent.
        let seconds = now.saturating_duration_since(since).as_secs_f64().min(1.0);
        self.fill(rate, now);
        self.rate = Some(match self.ceiling {
            Some(ceiling) => (rate + ceiling * RECOVERY * seconds).min(ceiling),
            None => (rate + (rate * RECOVERY).max(RECOVERY_MIN) * seconds).min(RATE_MAX),
        });
    }

    /// The provider's trouble lasts minutes (a daily quota, sending paused): holds everything for a
    /// minute, then lets one call probe, and so on until a mail is accepted.
    pub fn late(&mut self, now: Instant) {
        self.held_until = Some(now + HOLD);
    }

    fn fill(&mut self, rate: f64, now: Instant) {
        let since = self.filled.replace(now).unwrap_or(now);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        self.tokens = (self.tokens + rate * seconds).min(self.burst());
    }

    fn burst(&self) -> f64 {
        self.rate.map_or(0.0, |rate| rate.max(1.0))
    }
}

/// A count over the present second and the one before it.
#[derive(Clone, Debug, Default)]
struct Recent {
    since: Option<Instant>,
    count: f64,
    before: f64,
}

impl Recent {
    fn add(&mut self, n: u32, now: Instant) {
        self.roll(now);
        self.count += f64::from(n);
    }

    fn rate(&mut self, now: Instant) -> f64 {
        self.roll(now);
        self.count.max(self.before)
    }

    fn roll(&mut self, now: Instant) {
        let age = self.since.map(|since| now.saturating_duration_since(since));
        match age {
            Some(age) if age < Duration::from_secs(1) => return,
            Some(age) if age < Duration::from_secs(2) => self.before = self.count,
            Some(_) | None => self.before = 0.0,
        }
        self.count = 0.0;
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FREE: Permit = Permit { probe: false };
    const PROBE: Permit = Permit { probe: true };

    #[test]
    fn a_full_bucket_gives_a_second_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(10.0));
        assert_eq!(bucket.take(10, start), Ok(FREE));
        let wait = bucket.take(5, start).unwrap_err();
        assert!(wait > Duration::from_millis(499) && wait < Duration::from_millis(501), "{wait:?}");
        assert_eq!(bucket.take(5, start + wait), Ok(FREE));
    }

    #[test]
    fn a_call_larger_than_the_burst_goes_and_leaves_a_debt() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(10.0));
        assert_eq!(bucket.take(50, start), Ok(FREE));
        let wait = bucket.take(1, start).unwrap_err();
        assert!(wait > Duration::from_millis(4_099) && wait < Duration::from_millis(4_101));
        assert_eq!(bucket.take(1, start + wait), Ok(FREE));
    }

    #[test]
    fn what_is_not_a_rate_limits_nothing() {
        for rate in [None, Some(f64::INFINITY), Some(f64::NAN), Some(0.0), Some(-1.0)] {
            let mut bucket = Bucket::new(rate);
            let now = Instant::now();
            assert!((0..1000).all(|_| bucket.take(50, now).is_ok()), "{rate:?}");
        }
    }

    #[test]
    fn throttled_halves_once_a_second_down_to_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(14.0));
        bucket.throttled(start);
        bucket.throttled(start + SECOND / 2);
        assert_eq!(bucket.rate(), Some(7.0));
        for second in 1..10 {
            bucket.throttled(start + second * SECOND);
        }
        assert_eq!(bucket.rate(), Some(1.0));
    }

    #[test]
    fn an_unknown_rate_is_measured_when_throttled() {
        let start = Instant::now();
        let mut bucket = Bucket::new(None);
        for tenth in 0..10 {
            bucket.accepted(20, FREE, start + tenth * SECOND / 10);
        }
        bucket.throttled(start + SECOND);
        assert_eq!(bucket.rate(), Some(100.0));
        let mut idle = Bucket::new(None);
        idle.throttled(start);
        assert_eq!(idle.rate(), Some(1.0));
    }

    #[test]
    fn the_rate_recovers_to_its_ceiling_and_no_further() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(100.0));
        bucket.throttled(start);
        bucket.accepted(1, FREE, start + SECOND);
        assert_eq!(bucket.rate(), Some(55.0));
        bucket.accepted(1, FREE, start + 3600 * SECOND);
        assert_eq!(bucket.rate(), Some(60.0), "an idle hour is worth a second");
        for second in 3601..3700 {
            bucket.accepted(1, FREE, start + second * SECOND);
        }
        assert_eq!(bucket.rate(), Some(100.0));
    }

    #[test]
    fn without_a_ceiling_the_rate_goes_on_growing_slowly() {
        let start = Instant::now();
        let mut bucket = Bucket::new(None);
        bucket.throttled(start);
        for second in 1..=300 {
            bucket.accepted(1, FREE, start + second * SECOND);
        }
        let rate = bucket.rate().unwrap();
        assert!(rate > 1_000.0 && rate.is_finite(), "{rate}");
    }

    #[test]
    fn late_holds_for_a_minute_then_probes_once_a_minute_until_accepted() {
        let start = Instant::now();
        for rate in [None, Some(1000.0)] {
            let mut bucket = Bucket::new(rate);
            bucket.late(start);
            assert_eq!(bucket.take(1, start), Err(60 * SECOND));
            assert_eq!(bucket.take(1, start + 60 * SECOND), Ok(PROBE));
            assert_eq!(bucket.take(1, start + 60 * SECOND), Err(60 * SECOND));
            assert_eq!(bucket.take(1, start + 120 * SECOND), Ok(PROBE));
            bucket.accepted(1, PROBE, start + 121 * SECOND);
            assert_eq!(bucket.take(1, start + 121 * SECOND), Ok(FREE));
        }
    }

    #[test]
    fn only_the_probe_ends_a_hold_or_makes_room_for_another_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(None);
        let under_way = bucket.take(1, start).unwrap();
        bucket.late(start);
        bucket.accepted(1, under_way, start + SECOND);
        bucket.not_used(under_way, start + SECOND);
        assert_eq!(bucket.take(1, start + SECOND), Err(59 * SECOND));
        let probe = bucket.take(1, start + 60 * SECOND).unwrap();
        bucket.not_used(probe, start + 61 * SECOND);
        assert_eq!(bucket.take(1, start + 61 * SECOND), Ok(PROBE));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Some(10.0));
        bucket.take(10, now).unwrap();
        bucket.give_back(10);
        assert_eq!(bucket.take(10, now), Ok(FREE));
    }

    proptest! {
        /// Whatever is asked and when: over every window the promise of the module's header holds.
        #[test]
        fn no_window_gets_more_than_its_rate(
            rate in 0.1f64..500.0,
            asks in proptest::collection::vec((1u32..=50, 0u64..2_000), 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut bucket = Bucket::new(Some(rate));
            let mut granted = Vec::new();
            for (n, pause) in asks {
                now += Duration::from_millis(pause);
                if bucket.take(n, now).is_ok() {
                    granted.push((now, f64::from(n)));
                }
            }
            for (i, &(from, _)) in granted.iter().enumerate() {
                let mut sum = 0.0;
                for &(to, n) in &granted[i..] {
                    sum += n;
                    let window = (to - from).as_secs_f64();
                    let burst = rate.max(1.0).max(50.0);
                    prop_assert!(sum <= rate * window + burst + 1e-3, "{sum} in {window} s");
                }
            }
        }

        /// Whoever waits as told is let through, and never told to wait for ever.
        #[test]
        fn nobody_starves(
            rate in proptest::option::of(0.1f64..500.0),
            events in proptest::collection::vec((0u8..4, 1u32..=50, 0u64..5_000), 1..100),
        ) {
            let mut now = Instant::now();
            let mut bucket = Bucket::new(rate);
            for (event, n, pause) in events {
                now += Duration::from_millis(pause);
                match event {
                    0 => bucket.throttled(now),
                    1 => bucket.accepted(n, FREE, now),
                    2 => bucket.late(now),
                    _ => {}
                }
                let mut waits = 0;
                while let Err(wait) = bucket.take(n, now) {
                    prop_assert!(wait <= Duration::from_secs(700), "{wait:?}");
                    now += wait;
                    waits += 1;
                    prop_assert!(waits <= 3, "asked {waits} times");
                }
            }
        }
    }
}
