//! Where the next claim starts in the index. Pure.
//!
//! What has been claimed and not settled stands in the index in front of what is due next, and so do,
//! while somebody's long transaction pins them, entries that are dead. A backlog is claimed from
//! where the last claim ended, priority by priority, instead of walking over them each time. Rows
//! below a floor (released, or committed late) are found by a claim without floors: once a second,
//! and always before a claim may count as short.

use std::time::{Duration, Instant};

/// How long a row below a floor may have to wait while a backlog is claimed.
const TRUSTED: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub struct Floors {
    /// Priorities, and in the same order the due time of the last row claimed in each, in the
    /// database's microseconds since 1970.
    priorities: Vec<i16>,
    due: Vec<i64>,
    /// When the last claim without floors was made.
    unfloored_at: Option<Instant>,
}

impl Floors {
    /// Before a claim: drops the floors when it is time for a claim without any.
    pub fn prepare(&mut self, now: Instant) {
        let trusted = self.unfloored_at.is_some_and(|at| now < at + TRUSTED);
        if !trusted || self.priorities.is_empty() {
            self.priorities.clear();
            self.due.clear();
            self.unfloored_at = Some(now);
        }
    }

    /// The priorities that have a floor, and their floors.
    pub fn parameters(&self) -> (&[i16], &[i64]) {
        (&self.priorities, &self.due)
    }

    /// After a claim that examined rows of these priorities and due times. Returns whether a claim
    /// that was not `full` means that nothing else is due.
    pub fn claimed(&mut self, rows: impl Iterator<Item = (i16, i64)>, full: bool) -> bool {
        if !full {
            let nothing_else = self.priorities.is_empty();
            self.priorities.clear();
            self.due.clear();
            return nothing_else;
        }
        for (priority, due) in rows {
            match self.priorities.iter().position(|known| *known == priority) {
                Some(at) => {
                    if let Some(floor) = self.due.get_mut(at) {
                        *floor = due.max(*floor);
                    }
                }
                None => {
                    self.priorities.push(priority);
                    self.due.push(due);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(floors: &mut Floors, rows: &[(i16, i64)], full: bool) -> bool {
        floors.claimed(rows.iter().copied(), full)
    }

    #[test]
    fn a_backlog_is_claimed_from_where_the_last_claim_ended() {
        let now = Instant::now();
        let mut floors = Floors::default();
        floors.prepare(now);
        assert_eq!(floors.parameters(), (&[][..], &[][..]), "the first one looks everywhere");
        claimed(&mut floors, &[(1, 10), (5, 7), (5, 9)], true);
        floors.prepare(now);
        assert_eq!(floors.parameters(), (&[1, 5][..], &[10, 9][..]));
        claimed(&mut floors, &[(5, 8), (5, 12)], true);
        floors.prepare(now);
        assert_eq!(floors.parameters(), (&[1, 5][..], &[10, 12][..]), "a floor never falls");
    }

    #[test]
    fn below_a_floor_is_looked_once_a_second() {
        let now = Instant::now();
        let mut floors = Floors::default();
        floors.prepare(now);
        claimed(&mut floors, &[(5, 7)], true);
        floors.prepare(now + TRUSTED);
        assert_eq!(floors.parameters().0, [0_i16; 0]);
    }

    #[test]
    fn only_a_claim_that_looked_everywhere_can_say_that_nothing_else_is_due() {
        let now = Instant::now();
        let mut floors = Floors::default();
        floors.prepare(now);
        assert!(claimed(&mut floors, &[(5, 7)], false), "it had no floor");
        floors.prepare(now);
        claimed(&mut floors, &[(5, 8)], true);
        floors.prepare(now);
        assert!(!claimed(&mut floors, &[], false), "it had one");
        floors.prepare(now);
        assert!(claimed(&mut floors, &[], false), "the next one has none");
    }
}
