//! When to sweep. Pure.
//!
//! At the start, and then while anything is or may be held, by us or by others: five seconds later,
//! then ever more rarely. Once a sweep has found nothing held, none but at the health check, so an
//! idle collector asks nothing in between.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(5);
const MAX: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Sweeps {
    due_at: Option<Instant>,
    wait: Duration,
}

impl Sweeps {
    /// The first sweep is due at once.
    pub fn new(now: Instant) -> Self {
        Self { due_at: Some(now), wait: FIRST }
    }

    /// When the next one is due, if one is.
    pub fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Whether one is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due_at.is_some_and(|due| now >= due)
    }

    /// The health check: somebody else may have died holding something.
    pub fn check(&mut self, now: Instant) {
        self.due_at.get_or_insert(now);
    }

    /// We hold something now, or somebody else may.
    pub fn held(&mut self, now: Instant) {
        if self.due_at.is_none() {
            self.wait = FIRST;
            self.due_at = Some(now + FIRST);
        }
    }

    /// A sweep found that something is still held or not, and how long a grace has still to run.
    pub fn swept(&mut self, held: bool, grace_ends_in: Option<Duration>, now: Instant) {
        if !held {
            self.due_at = None;
            return;
        }
        self.due_at = Some(now + grace_ends_in.map_or(self.wait, |grace| grace.min(self.wait)));
        self.wait = (self.wait * 2).min(MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(sweeps: &mut Sweeps, mut now: Instant, count: usize) -> Vec<u64> {
        let mut waits = Vec::new();
        for _ in 0..count {
            sweeps.swept(true, None, now);
            let due = sweeps.due_at().unwrap();
            waits.push((due - now).as_secs());
            now = due;
        }
        waits
    }

    #[test]
    fn while_something_is_held_they_become_rarer() {
        let now = Instant::now();
        let mut sweeps = Sweeps::new(now);
        assert!(sweeps.is_due(now), "the start sweeps");
        assert_eq!(waits(&mut sweeps, now, 6), [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn nothing_held_no_sweeps_and_what_is_held_anew_starts_over() {
        let now = Instant::now();
        let mut sweeps = Sweeps::new(now);
        waits(&mut sweeps, now, 3);
        sweeps.swept(false, None, now);
        assert_eq!(sweeps.due_at(), None);
        sweeps.held(now);
        assert_eq!(sweeps.due_at(), Some(now + FIRST));
        sweeps.held(now + FIRST / 2);
        assert_eq!(sweeps.due_at(), Some(now + FIRST), "not pushed back");
    }

    #[test]
    fn the_end_of_a_grace_is_not_missed() {
        let now = Instant::now();
        let mut sweeps = Sweeps::new(now);
        waits(&mut sweeps, now, 4);
        sweeps.swept(true, Some(Duration::from_secs(12)), now);
        assert_eq!(sweeps.due_at(), Some(now + Duration::from_secs(12)));
    }
}
