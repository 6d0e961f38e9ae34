//! When to purge the log, if at all. Pure.
//!
//! At the start and at each health check, and then for as long as there is more to forget; but only
//! while nothing else is to be done.

use std::time::{Duration, Instant};

/// How long the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What is about mail that was sent.
    pub sent: Duration,
    /// What became of other mail.
    pub others: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Purges {
    retention: Option<Retention>,
    due_at: Option<Instant>,
    rows: u64,
}

impl Purges {
    /// The first purge is due at once; never without a retention.
    pub fn new(retention: Option<Retention>, now: Instant) -> Self {
        Self { retention, due_at: retention.map(|_| now), rows: 0 }
    }

    /// When the next one is due, if one is.
    pub fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// The retention, if a purge is due.
    pub fn due(&self, now: Instant) -> Option<Retention> {
        self.retention.filter(|_| self.due_at.is_some_and(|due| now >= due))
    }

    /// The health check: time has passed.
    pub fn check(&mut self, now: Instant) {
        if self.retention.is_some() {
            self.due_at.get_or_insert(now);
        }
    }

    /// So many rows were forgotten, and there is more to do or not; when not, how many there were in
    /// all.
    pub fn purged(&mut self, rows: u64, more: bool) -> Option<u64> {
        self.rows += rows;
        if more {
            return None;
        }
        self.due_at = None;
        Some(std::mem::take(&mut self.rows))
    }

    /// It has failed: not again before the next health check.
    pub fn put_off(&mut self) {
        self.due_at = None;
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Retention =
        Retention { sent: Duration::from_secs(1), others: Duration::from_secs(2) };

    #[test]
    fn who_keeps_everything_never_purges() {
        let now = Instant::now();
        let mut purges = Purges::new(None, now);
        purges.check(now);
        assert_eq!((purges.due(now), purges.due_at()), (None, None));
    }

    #[test]
    fn it_goes_on_while_there_is_more_and_starts_again_at_the_health_check() {
        let now = Instant::now();
        let mut purges = Purges::new(Some(RETENTION), now);
        assert_eq!(purges.due(now), Some(RETENTION));
        assert_eq!(purges.purged(500, true), None);
        assert_eq!(purges.due(now), Some(RETENTION));
        assert_eq!(purges.purged(3, false), Some(503));
        assert_eq!((purges.due(now), purges.due_at()), (None, None));
        purges.check(now);
        assert_eq!(purges.due(now), Some(RETENTION));
        assert_eq!(purges.purged(7, true), None);
        purges.put_off();
        assert_eq!((purges.due(now), purges.due_at()), (None, None));
        purges.check(now);
        assert_eq!(purges.purged(1, false), Some(1));
    }
}
