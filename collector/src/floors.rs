//! Where the next claim starts in the index. Pure.
//!
//! What has been claimed and not settled stands in the index in front of what is due next, and so do,
//! while somebody's long transaction pins them, entries that are dead. A backlog is claimed from
//! where the last claim ended, priority by priority, instead of walking over them each time. Rows
//! below a floor (released, or committed late) are found when the floors are dropped: once a second,
//! and always before a claim may count as short. While mails come one by one, each claim starts
//! behind those that are on their way. A priority that nobody knew of is found then, too, or by
//! the look that follows a short claim.

use std::time::{Duration, Instant, SystemTime};

/// How long a row below a floor may have to wait while a backlog is claimed.
const TRUSTED: Duration = Duration::from_secs(1);

/// Rows are committed in another order than they are dated: how long after one another, mostly. A
/// transaction that does something else after its sign-up takes that long.
const OUT_OF_ORDER: Duration = Duration::from_millis(50);

/// A priority, and a due time by the database's clock.
pub type Place = (i16, SystemTime);

/// See the module.
#[derive(Debug, Default)]
pub struct Floors {
    /// In ascending order; none: they are not known.
    priorities: Vec<i16>,
    /// In the same order, the due time of the last row claimed in each.
    due: Vec<Option<SystemTime>>,
    /// When it was last known what is below the floors: the priorities were asked for, or a look
    /// found that nothing is due.
    known_since: Option<Instant>,
    /// It was the look.
    nothing_due: bool,
    /// Since the last claim that was full the floors have been lowered a little.
    stepped_back: bool,
}

impl Floors {
    /// Whether the priorities should be asked for before the next claim. Where nothing was due there is
    /// no backlog: that claim goes without floors, and nobody waits for an answer first.
    pub fn are_stale(&mut self, now: Instant) -> bool {
        let trusted = self.known_since.is_some_and(|at| now < at + TRUSTED);
        if !trusted && std::mem::take(&mut self.nothing_due) {
            self.due.fill(None);
            self.known_since = Some(now);
        }
        self.priorities.is_empty() || (self.is_any() && !trusted)
    }

    /// These are the priorities, in ascending order, and there are no floors.
    pub fn replace(&mut self, priorities: Vec<i16>, now: Instant) {
        self.due = vec![None; priorities.len()];
        self.priorities = priorities;
        self.known_since = Some(now);
        self.nothing_due = false;
    }

    /// The priorities, and their floors.
    pub fn parameters(&self) -> (&[i16], &[Option<SystemTime>]) {
        (&self.priorities, &self.due)
    }

    /// A look has found deliveries of these priorities.
    pub fn looked(&mut self, priorities: &[i16]) {
        if priorities.iter().any(|found| !self.priorities.contains(found)) {
            self.priorities.clear();
            self.due.clear();
        }
    }

    /// A look everywhere has found that nothing is due, so what is below the floors is held or gone.
    pub fn confirm(&mut self, now: Instant) {
        self.known_since = Some(now);
        self.nothing_due = true;
    }

    /// For a look that may trust the floors: the same, a little lower, and without floors when they are
    /// stale.
    pub fn parameters_of_look(&mut self, now: Instant) -> (&[i16], Vec<Option<SystemTime>>) {
        if self.are_stale(now) {
            self.priorities.clear();
            self.due.clear();
        }
        let lower = |due: &Option<SystemTime>| due.map(|due| due - OUT_OF_ORDER);
        (&self.priorities, self.due.iter().map(lower).collect())
    }

    /// After a claim that asked for `limit` rows, dealt with `examined` and took those in `places`.
    /// Returns whether it looked everywhere: whether fewer than asked for means that nothing else is
    /// due.
    pub fn claimed(
        &mut self,
        places: impl Iterator<Item = Place>,
        examined: u32,
        limit: u32,
    ) -> bool {
        if examined < limit {
            let everywhere = !self.is_any();
            let stepped_back = std::mem::replace(&mut self.stepped_back, true);
            for due in &mut self.due {
                *due = due.filter(|_| !stepped_back).map(|due| due - OUT_OF_ORDER);
            }
            if examined == 0 {
                // What is due all the same has a priority that we do not know.
                self.priorities.clear();
            }
            return everywhere;
        }
        self.stepped_back = false;
        for (priority, due) in places {
            let at = self.priorities.iter().position(|known| *known == priority);
            if let Some(floor) = at.and_then(|at| self.due.get_mut(at)) {
                *floor = (*floor).max(Some(due));
            }
        }
        true
    }

    fn is_any(&self) -> bool {
        self.due.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn claimed(floors: &mut Floors, rows: &[(i16, u64)], limit: u32) -> bool {
        let examined = rows.len().try_into().unwrap();
        floors.claimed(rows.iter().map(|(priority, due)| (*priority, at(*due))), examined, limit)
    }

    fn known(now: Instant) -> Floors {
        let mut floors = Floors::default();
        assert!(floors.are_stale(now), "the first claim asks for the priorities");
        floors.replace(vec![1, 5], now);
        floors
    }

    #[test]
    fn a_backlog_is_claimed_from_where_the_last_claim_ended() {
        let now = Instant::now();
        let mut floors = known(now);
        assert!(!floors.are_stale(now));
        assert_eq!(floors.parameters(), (&[1, 5][..], &[None, None][..]));
        claimed(&mut floors, &[(1, 10), (5, 7), (5, 9)], 3);
        assert_eq!(floors.parameters().1, [Some(at(10)), Some(at(9))]);
        claimed(&mut floors, &[(5, 8), (5, 12)], 2);
        assert_eq!(floors.parameters().1, [Some(at(10)), Some(at(12))], "a floor never falls");
    }

    #[test]
    fn below_a_floor_is_looked_once_a_second() {
        let now = Instant::now();
        let mut floors = known(now);
        assert!(!floors.are_stale(now + 2 * TRUSTED), "there is no floor");
        claimed(&mut floors, &[(5, 7)], 1);
        assert!(!floors.are_stale(now));
        assert!(floors.are_stale(now + TRUSTED));
        floors.replace(vec![5], now + TRUSTED);
        assert_eq!(floors.parameters(), (&[5][..], &[None][..]));
    }

    #[test]
    fn only_a_claim_that_looked_everywhere_can_say_that_nothing_else_is_due() {
        let mut floors = known(Instant::now());
        assert!(claimed(&mut floors, &[(5, 7)], 2), "it had no floor");
        claimed(&mut floors, &[(5, 8)], 1);
        assert!(!claimed(&mut floors, &[(5, 9)], 2), "it had one");
        assert_eq!(floors.parameters().1, [None, Some(at(8) - OUT_OF_ORDER)]);
        assert!(!claimed(&mut floors, &[(5, 7)], 2), "it had a lower one");
        assert_eq!(floors.parameters().1, [None, None]);
        assert!(claimed(&mut floors, &[], 1), "the next one has none");
    }

    #[test]
    fn a_look_goes_a_little_below_the_floors_and_everywhere_when_they_are_old() {
        let now = Instant::now();
        let mut floors = known(now);
        claimed(&mut floors, &[(5, 7)], 1);
        let lower = vec![None, Some(at(7) - OUT_OF_ORDER)];
        assert_eq!(floors.parameters_of_look(now), (&[1, 5][..], lower));
        assert_eq!(floors.parameters(), (&[1, 5][..], &[None, Some(at(7))][..]));
        assert_eq!(floors.parameters_of_look(now + TRUSTED), (&[][..], vec![]));
    }

    #[test]
    fn a_look_that_finds_another_priority_has_them_asked_for() {
        let now = Instant::now();
        let mut floors = known(now);
        claimed(&mut floors, &[(5, 7)], 2);
        floors.looked(&[5]);
        assert!(!floors.are_stale(now));
        floors.looked(&[3, 5]);
        assert!(floors.are_stale(now));
    }

    #[test]
    fn what_was_asleep_for_long_starts_anywhere_and_asks_for_nothing() {
        let now = Instant::now();
        let mut floors = known(now);
        claimed(&mut floors, &[(5, 7)], 1);
        floors.confirm(now + TRUSTED / 2);
        assert!(!floors.are_stale(now + TRUSTED));
        assert_eq!(floors.parameters(), (&[1, 5][..], &[None, Some(at(7))][..]));
        assert!(!floors.are_stale(now + 2 * TRUSTED));
        assert_eq!(floors.parameters(), (&[1, 5][..], &[None, None][..]));
        // Now there is a backlog.
        claimed(&mut floors, &[(5, 8)], 1);
        assert!(!floors.are_stale(now + 2 * TRUSTED));
        assert_eq!(floors.parameters().1, [None, Some(at(8))]);
        assert!(floors.are_stale(now + 3 * TRUSTED));
    }

    #[test]
    fn a_claim_that_finds_nothing_asks_for_the_priorities_again() {
        let now = Instant::now();
        let mut floors = known(now);
        claimed(&mut floors, &[(5, 7)], 2);
        assert!(!floors.are_stale(now));
        claimed(&mut floors, &[], 2);
        assert!(floors.are_stale(now));
    }
}
