//! A count that fades. Pure: time comes in.

use std::time::Instant;

/// How many there were lately: each counts one, and fades.
#[derive(Debug)]
pub struct Fading {
    seconds: f64,
    most: f64,
    level: f64,
    at: Instant,
}

impl Fading {
    /// None yet. What was `seconds` ago counts a third, and all together never more than `most`.
    pub fn new(seconds: f64, most: f64, now: Instant) -> Self {
        Self { seconds, most, level: 0.0, at: now }
    }

    /// How many, those of long ago less than those of now.
    pub fn level(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level *= (-passed / self.seconds).exp();
        self.at = now;
        self.level
    }

    /// So many more.
    pub fn add(&mut self, many: u32, now: Instant) {
        self.level = (self.level(now) + f64::from(many)).min(self.most);
    }

    /// Back to none.
    pub fn forget(&mut self, now: Instant) {
        (self.level, self.at) = (0.0, now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_counts_less_and_less_and_is_forgotten_at_once_if_asked() {
        let now = Instant::now();
        let mut count = Fading::new(0.5, 100.0, now);
        count.add(90, now);
        let later = now + Duration::from_millis(500);
        let left = count.level(later);
        assert!((33.0..34.0).contains(&left), "{left}");
        count.add(90, later);
        assert!(count.level(later) <= 100.0, "no more than it may be");
        // A clock that is read in another order takes nothing back.
        assert!(count.level(now) > 99.0);
        count.forget(later);
        assert!(count.level(later) < f64::EPSILON);
    }
}
