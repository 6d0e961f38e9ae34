//! When to claim, when to look, when to sleep. Pure: time comes in, decisions come out.
//!
//! A batch opens with the first wake-up and goes out when enough deliveries wait or its time is up;
//! the start, a reconnect and a release are handed over at once. While wake-ups are rare the
//! collector is *armed*: it holds the gate, every writer notifies, and between two notifications
//! nothing is asked. When they come faster than about a hundred a second it stays *awake* instead
//! and looks every few milliseconds, so that writers pay nothing.
//!
//! A claim takes several batches at once when they wait and the reader is quick, because asking costs
//! more than taking; each is a line of its own all the same.

use std::time::{Duration, Instant};

use crate::fading::Fading;
use crate::pace::{BATCHES_AHEAD, Pace, ROWS_AHEAD};

/// How often an awake collector looks.
const AWAKE_POLL: Duration = Duration::from_millis(5);
/// With so many due at a time it may look half as often, with twice as many a quarter as often, and so
/// on: beside so many sign-ups a look costs more than a wait of some milliseconds.
const MANY: u32 = 20;
/// How soon, and at most how late, it looks again when it could not arm.
const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_secs(1);
/// What is remembered of wake-ups.
const HEAT_SECONDS: f64 = 0.1;
/// A hundred wake-ups a second, held for [`HEAT_SECONDS`].
const HEAT_AWAKE: f64 = 10.0;
const HEAT_SLEEPY: f64 = 5.0;
/// Forgotten in a third of a second.
const HEAT_MAX: f64 = 100.0;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Claim up to so many rows, one batch or several, and tell [`Batcher::claimed`]; then write them,
    /// and tell [`Batcher::taken`].
    Claim(u32),
    /// With `arm`, take the gate and tell [`Batcher::armed`]; then look how much is due and when the
    /// next one is, and tell [`Batcher::looked`].
    Look {
        /// Whether to try for the gate first.
        arm: bool,
    },
    /// Give the gate back; then tell [`Batcher::disarmed`].
    Disarm,
    /// Wait for a notification ([`Batcher::noticed`]) or this moment, if there is one.
    Wait(Option<Instant>),
}

/// See the module.
#[derive(Debug)]
pub struct Batcher {
    limit: u32,
    timeout: Duration,
    /// Everything due goes out now, until a claim comes back short.
    draining: bool,
    /// Deliveries known to be due, less those claimed since.
    known: u32,
    /// `known` is out of date.
    stale: bool,
    /// Claims since the last look that came back full.
    full_claims: u32,
    reader: Pace,
    /// When the first delivery of the present batch was noticed.
    opened: Option<Instant>,
    /// When a delivery that lies ahead falls due.
    next_due: Option<Instant>,
    armed: bool,
    awake: bool,
    /// Wake-ups lately.
    heat: Fading,
    /// While not armed: when to look, and how long the last wait was.
    poll_at: Instant,
    poll: Duration,
    /// While somebody else has locked what is due: when to try again, and how long the last wait was.
    blocked_until: Option<Instant>,
    blocked: Duration,
}

impl Batcher {
    /// A collector that has just started: everything due goes out at once. `limit` is the rows of a
    /// batch, at least 1.
    pub fn new(limit: u32, timeout: Duration, now: Instant) -> Self {
        Self {
            limit,
            timeout,
            draining: true,
            known: 0,
            stale: true,
            full_claims: 0,
            reader: Pace::new(limit, now),
            opened: None,
            next_due: None,
            armed: false,
            awake: false,
            heat: Fading::new(HEAT_SECONDS, HEAT_MAX, now),
            poll_at: now,
            poll: POLL_FIRST,
            blocked_until: None,
            blocked: Duration::ZERO,
        }
    }

    /// How far a look should count.
    pub fn look_limit(&self) -> u32 {
        self.limit.saturating_mul(BATCHES_AHEAD).max(2 * ROWS_AHEAD)
    }

    /// The next thing to do.
    pub fn step(&mut self, now: Instant) -> Step {
        if self.armed && self.is_busy(now) {
            return Step::Disarm;
        }
        if let Some(until) = self.blocked_until.filter(|until| now < *until) {
            return Step::Wait(Some(until));
        }
        if !self.draining && self.known >= self.limit {
            return Step::Claim(self.reader.rows_at_once(self.known, now));
        }
        self.draining |= self.opened.is_some_and(|opened| now >= opened + self.timeout);
        if self.draining {
            return Step::Claim(self.reader.rows_at_once(u32::MAX, now));
        }
        let fell_due = self.next_due.is_some_and(|due| now >= due);
        let polls = !self.armed && now >= self.poll_at;
        // Awake, it asks no more often than that, however short a batch may wait.
        if polls || fell_due || (self.stale && !self.awake) {
            return Step::Look { arm: !self.armed && !self.awake };
        }
        let batch_ends = self.opened.map(|opened| opened + self.timeout);
        let poll = (!self.armed).then_some(self.poll_at);
        Step::Wait([batch_ends, self.next_due, poll].into_iter().flatten().min())
    }

    /// The rows to claim while those of the last claim are still being written: only if the reader is
    /// quick, since what is claimed stands in front of what is urgent, and a claim is what comes next.
    pub fn claim_ahead(&mut self, now: Instant) -> Option<u32> {
        if !self.reader.is_quick(now) {
            return None;
        }
        match self.step(now) {
            Step::Claim(rows) => Some(rows),
            _ => None,
        }
    }

    /// Whether writers should be spared their NOTIFY: a backlog, or many wake-ups.
    fn is_busy(&mut self, now: Instant) -> bool {
        self.awake |= self.heat.level(now) >= HEAT_AWAKE;
        self.awake || self.full_claims >= 2 || self.known >= self.limit.saturating_mul(2)
    }

    /// A notification came.
    pub fn noticed(&mut self, now: Instant) {
        self.heat.add(1, now);
        self.blocked_until = None;
        self.opened.get_or_insert(now);
        if self.limit == 1 {
            self.known = self.known.max(1);
        } else {
            self.stale = true;
        }
    }

    /// Something became pending, and goes out at once: what was released, say.
    pub fn drain(&mut self) {
        self.blocked_until = None;
        self.draining = true;
    }

    /// Ask the database even without a reason: the health check.
    pub fn check(&mut self) {
        self.stale = true;
    }

    /// The gate was tried for.
    pub fn armed(&mut self, armed: bool) {
        self.armed = armed;
    }

    /// Whether we hold the gate.
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// The gate was given back.
    pub fn disarmed(&mut self) {
        self.armed = false;
    }

    /// The answer to a look: `due` deliveries wait (counted up to [`look_limit`](Self::look_limit)),
    /// and the next one falls due in `next_due_in`.
    pub fn looked(&mut self, due: u32, next_due_in: Option<Duration>, now: Instant) {
        if !self.armed {
            if self.poll.as_secs_f64() <= HEAT_SECONDS {
                // Each would have been a wake-up.
                self.heat.add(due.saturating_sub(self.known), now);
            }
        } else if due > 0 && self.opened.is_none() {
            // There was no time to wait for it.
            self.heat.add(1, now);
        }
        self.stale = false;
        self.full_claims = 0;
        self.known = due;
        self.next_due = next_due_in.map(|wait| now + wait);
        if due == 0 {
            self.opened = None;
        } else {
            self.opened.get_or_insert(now);
        }
        let heat = self.heat.level(now);
        // Armed, it gives the gate back first.
        self.awake =
            if self.awake { heat > HEAT_SLEEPY } else { !self.armed && heat >= HEAT_AWAKE };
        let many = MANY.max(self.limit);
        self.poll = match (self.awake, self.armed) {
            // There are more than were counted.
            (true, _) if due >= self.look_limit() => Duration::ZERO,
            (true, _) if due >= many.saturating_mul(4) => 8 * AWAKE_POLL,
            (true, _) if due >= many.saturating_mul(2) => 4 * AWAKE_POLL,
            (true, _) if due >= many => 2 * AWAKE_POLL,
            (true, _) => AWAKE_POLL,
            (false, true) => POLL_FIRST,
            (false, false) => (self.poll * 2).clamp(POLL_FIRST, POLL_MAX),
        };
        self.poll_at = now + self.poll;
    }

    /// The answer to a claim that asked for so many rows and examined so many. Fewer: nothing else was
    /// due.
    pub fn claimed(&mut self, asked: u32, examined: u32, now: Instant) {
        if examined == 0 && self.known > 0 {
            // Due, and yet nothing to be had: somebody holds the rows locked.
            self.blocked = (self.blocked * 2).clamp(POLL_FIRST, POLL_MAX);
            self.blocked_until = Some(now + self.blocked);
        } else {
            self.blocked = Duration::ZERO;
            self.blocked_until = None;
        }
        let short = examined < asked;
        self.full_claims = if short { 0 } else { self.full_claims.saturating_add(1) };
        self.opened = None;
        self.known = if short { 0 } else { self.known.saturating_sub(examined) };
        self.draining &= !short;
        self.stale |= self.known < self.limit;
        if examined > 0 {
            self.poll = POLL_FIRST;
        }
    }

    /// So many rows are in the pipe: see [`Pace::taken`].
    pub fn taken(&mut self, rows: u32, at_once: bool, now: Instant) {
        self.reader.taken(rows, at_once, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    /// A batcher that has drained, found nothing and armed.
    fn asleep(limit: u32, timeout: Duration) -> (Batcher, Instant) {
        let now = Instant::now();
        let mut batcher = Batcher::new(limit, timeout, now);
        assert_eq!(batcher.step(now), Step::Claim(limit), "the start drains");
        batcher.claimed(limit, 0, now);
        look(&mut batcher, 0, true, now);
        assert_eq!(batcher.step(now), Step::Wait(None), "nothing due, armed: no clock runs");
        (batcher, now)
    }

    fn look(batcher: &mut Batcher, due: u32, gate: bool, now: Instant) {
        match batcher.step(now) {
            Step::Look { arm } => {
                if arm {
                    batcher.armed(gate);
                }
                batcher.looked(due, None, now);
            }
            other => panic!("expected a look, got {other:?}"),
        }
    }

    #[test]
    fn the_start_claims_full_batches_until_one_is_short() {
        let now = Instant::now();
        let mut batcher = Batcher::new(10, TIMEOUT, now);
        for examined in [10, 10, 3] {
            assert_eq!(batcher.step(now), Step::Claim(10));
            batcher.claimed(10, examined, now);
        }
        assert_eq!(batcher.step(now), Step::Look { arm: true });
    }

    #[test]
    fn the_first_wake_up_starts_the_clock_and_later_ones_do_not_push_it_back() {
        let (mut batcher, start) = asleep(10, TIMEOUT);
        batcher.noticed(start);
        look(&mut batcher, 1, true, start);
        assert_eq!(batcher.step(start), Step::Wait(Some(start + TIMEOUT)));
        let later = start + 4 * SECOND;
        batcher.noticed(later);
        look(&mut batcher, 2, true, later);
        assert_eq!(batcher.step(later), Step::Wait(Some(start + TIMEOUT)));
        assert_eq!(batcher.step(start + TIMEOUT), Step::Claim(10));
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let (mut batcher, start) = asleep(10, TIMEOUT);
        batcher.noticed(start);
        look(&mut batcher, 10, true, start);
        assert_eq!(batcher.step(start), Step::Claim(10));
        batcher.claimed(10, 10, start);
        look(&mut batcher, 4, true, start);
        assert_eq!(batcher.step(start), Step::Wait(Some(start + TIMEOUT)), "the rest waits");
    }

    #[test]
    fn a_batch_of_one_needs_no_look() {
        let (mut batcher, start) = asleep(1, TIMEOUT);
        batcher.noticed(start);
        assert_eq!(batcher.step(start), Step::Claim(1));
        batcher.claimed(1, 1, start);
        look(&mut batcher, 0, true, start);
        assert_eq!(batcher.step(start), Step::Wait(None));
    }

    #[test]
    fn a_backlog_needs_one_look_for_several_batches_and_gives_the_gate_back() {
        let (mut batcher, start) = asleep(10, TIMEOUT);
        batcher.noticed(start);
        look(&mut batcher, 80, true, start);
        assert_eq!(batcher.step(start), Step::Disarm);
        batcher.disarmed();
        for _ in 0..8 {
            assert_eq!(batcher.step(start), Step::Claim(10));
            batcher.claimed(10, 10, start);
        }
        assert_eq!(batcher.step(start), Step::Look { arm: true });
    }

    #[test]
    fn what_another_collector_took_is_looked_at_again() {
        let (mut batcher, start) = asleep(10, TIMEOUT);
        batcher.noticed(start);
        look(&mut batcher, 15, true, start);
        assert_eq!(batcher.step(start), Step::Claim(10));
        batcher.claimed(10, 2, start);
        assert_eq!(batcher.step(start), Step::Look { arm: false });
    }

    #[test]
    fn without_the_gate_it_looks_again_ever_more_rarely() {
        let mut now = Instant::now();
        let mut batcher = Batcher::new(10, TIMEOUT, now);
        batcher.claimed(10, 0, now);
        let mut waits = Vec::new();
        for _ in 0..9 {
            look(&mut batcher, 0, false, now);
            let Step::Wait(Some(at)) = batcher.step(now) else { panic!("polls") };
            waits.push(at - now);
            now = at;
        }
        assert_eq!(waits[0], 2 * POLL_FIRST);
        assert_eq!(waits[8], POLL_MAX);
        batcher.claimed(10, 1, now);
        look(&mut batcher, 0, false, now);
        let Step::Wait(Some(at)) = batcher.step(now) else { panic!("polls") };
        assert_eq!(at - now, 2 * POLL_FIRST, "work makes it eager again");
    }

    #[test]
    fn many_wake_ups_keep_it_awake_and_silence_lets_it_sleep() {
        let (mut batcher, mut now) = asleep(1000, TIMEOUT);
        let mut due = 0;
        while batcher.step(now) != Step::Disarm {
            due += 1;
            assert!(due < 100, "200 wake-ups a second are many");
            now += Duration::from_millis(5);
            batcher.noticed(now);
            if batcher.step(now) == (Step::Look { arm: false }) {
                batcher.looked(due, None, now);
            }
        }
        batcher.disarmed();
        for _ in 0..20 {
            now += AWAKE_POLL;
            due += 1;
            assert_eq!(batcher.step(now), Step::Look { arm: false }, "polls while rows come");
            batcher.looked(due, None, now);
        }
        let mut quiet = 0;
        while batcher.step(now) != (Step::Look { arm: true }) {
            quiet += 1;
            assert!(quiet < 100, "arms within half a second of silence");
            if batcher.step(now) == (Step::Look { arm: false }) {
                batcher.looked(due, None, now);
            }
            now += AWAKE_POLL;
        }
    }

    /// Under load somebody is always within the gate. One that has just been started, and the second
    /// of two, would try for it with every look, and look everywhere.
    #[test]
    fn many_keep_it_awake_also_if_it_could_not_arm() {
        let mut now = Instant::now();
        let mut batcher = Batcher::new(10, TIMEOUT, now);
        assert_eq!(batcher.step(now), Step::Claim(10));
        batcher.claimed(10, 0, now);
        for _ in 0..3 {
            look(&mut batcher, 19, false, now);
            assert_eq!(batcher.step(now), Step::Claim(10));
            batcher.claimed(10, 10, now);
            now += AWAKE_POLL;
        }
        now = batcher.poll_at;
        assert_eq!(batcher.step(now), Step::Look { arm: false });
    }

    #[test]
    fn a_few_in_a_second_do_not_keep_it_awake_if_it_could_not_arm() {
        let mut now = Instant::now();
        let mut batcher = Batcher::new(50, TIMEOUT, now);
        batcher.claimed(50, 0, now);
        for _ in 0..9 {
            look(&mut batcher, 0, false, now);
            now = batcher.poll_at;
        }
        assert_eq!(batcher.poll, POLL_MAX);
        look(&mut batcher, 20, false, now);
        assert_eq!(batcher.step(now), Step::Wait(Some(now + POLL_MAX)));
    }

    #[test]
    fn twenty_wake_ups_a_second_are_few() {
        let (mut batcher, mut now) = asleep(1, Duration::ZERO);
        for _ in 0..200 {
            now += Duration::from_millis(50);
            batcher.noticed(now);
            assert_eq!(batcher.step(now), Step::Claim(1));
            batcher.claimed(1, 1, now);
            look(&mut batcher, 0, true, now);
            assert_eq!(batcher.step(now), Step::Wait(None), "stays armed");
        }
    }

    #[test]
    fn rows_that_somebody_keeps_locked_are_tried_ever_more_rarely() {
        for timeout in [Duration::ZERO, TIMEOUT] {
            let (mut batcher, mut now) = asleep(1, timeout);
            batcher.noticed(now);
            let mut waits = Vec::new();
            for _ in 0..9 {
                assert_eq!(batcher.step(now), Step::Claim(1));
                batcher.claimed(1, 0, now);
                let Step::Wait(Some(until)) = batcher.step(now) else { panic!("waits") };
                waits.push(until - now);
                now = until;
                look(&mut batcher, 1, true, now);
            }
            assert_eq!((waits[0], waits[1], waits[8]), (POLL_FIRST, POLL_FIRST * 2, POLL_MAX));
            batcher.noticed(now);
            assert_eq!(batcher.step(now), Step::Claim(1), "news is tried at once");
        }
    }

    #[test]
    fn a_deferred_delivery_is_looked_at_when_it_falls_due() {
        let (mut batcher, now) = asleep(10, TIMEOUT);
        batcher.check();
        assert_eq!(batcher.step(now), Step::Look { arm: false });
        batcher.looked(0, Some(SECOND), now);
        assert_eq!(batcher.step(now), Step::Wait(Some(now + SECOND)));
        assert_eq!(batcher.step(now + SECOND), Step::Look { arm: false });
    }

    #[test]
    fn what_was_released_goes_out_at_once_and_many_of_them_spare_the_writers() {
        let (mut batcher, now) = asleep(10, TIMEOUT);
        batcher.drain();
        for _ in 0..2 {
            assert_eq!(batcher.step(now), Step::Claim(10));
            batcher.claimed(10, 10, now);
        }
        assert_eq!(batcher.step(now), Step::Disarm);
        batcher.disarmed();
        assert_eq!(batcher.step(now), Step::Claim(10));
        batcher.claimed(10, 9, now);
        assert_eq!(batcher.step(now), Step::Look { arm: true });
    }

    #[test]
    fn a_quick_reader_is_given_several_batches_at_once_and_a_slow_one_never() {
        let (mut batcher, now) = asleep(10, TIMEOUT);
        batcher.drain();
        let until_it_is_quick = [10; 11];
        for rows in until_it_is_quick.into_iter().chain([20, 40, 80, 160, 200, 200]) {
            if batcher.step(now) == Step::Disarm {
                batcher.disarmed();
            }
            assert_eq!(batcher.step(now), Step::Claim(rows));
            batcher.claimed(rows, rows, now);
            batcher.taken(rows, true, now);
        }
        assert_eq!(batcher.step(now), Step::Claim(200));
        batcher.claimed(200, 200, now);
        batcher.taken(200, false, now);
        assert_eq!(batcher.step(now), Step::Claim(10));
        batcher.taken(104, true, now);
        batcher.claimed(20, 19, now);
        look(&mut batcher, 19, true, now);
        assert_eq!(batcher.step(now), Step::Claim(10), "the rest of a batch waits for its time");
    }

    #[test]
    fn a_quick_reader_does_not_wait_for_the_next_claim_while_more_is_known_to_wait() {
        let (mut batcher, now) = asleep(500, TIMEOUT);
        batcher.drain();
        for _ in 0..5 {
            assert_eq!(batcher.step(now), Step::Claim(500));
            batcher.claimed(500, 500, now);
            if batcher.step(now) == Step::Disarm {
                batcher.disarmed();
            }
            assert_eq!(batcher.claim_ahead(now), None, "it has not shown yet that it is quick");
            batcher.taken(500, true, now);
        }
        assert_eq!(batcher.claim_ahead(now), Some(500));
        batcher.taken(500, true, now);
        batcher.claimed(500, 500, now);
        batcher.taken(500, false, now);
        assert_eq!(batcher.claim_ahead(now), None, "it is quick no more");
        (0..5).for_each(|_| batcher.taken(500, true, now));
        batcher.claimed(500, 499, now);
        assert_eq!(batcher.claim_ahead(now), None, "there may be nothing, and one must look");
    }

    #[test]
    fn a_reader_that_took_a_trickle_at_once_is_not_quick_for_that() {
        let (mut batcher, mut now) = asleep(10, TIMEOUT);
        for _ in 0..1_000 {
            now += SECOND / 14;
            batcher.taken(1, true, now);
        }
        batcher.drain();
        assert_eq!(batcher.step(now), Step::Claim(10));
        batcher.claimed(10, 10, now);
        assert_eq!(batcher.claim_ahead(now), None);
        (0..15).for_each(|_| batcher.taken(10, true, now));
        assert_eq!(
            batcher.claim_ahead(now),
            Some(200),
            "more than pipe and reader hold, in no time"
        );
        assert_eq!(batcher.claim_ahead(now + SECOND), None, "that was long ago");
        assert_eq!(batcher.step(now + SECOND), Step::Claim(10));
    }

    #[test]
    fn no_claim_of_several_batches_is_large() {
        for (limit, rows) in [(1, 20), (10, 200), (30, 180), (100, 200), (101, 101), (500, 500)] {
            let (mut batcher, now) = asleep(limit, TIMEOUT);
            batcher.drain();
            (0..100).for_each(|_| batcher.taken(limit, true, now));
            assert_eq!(batcher.step(now), Step::Claim(rows));
        }
    }

    /// Without a time to wait for more, it would claim each row by itself, as fast as it can.
    #[test]
    fn awake_it_asks_every_few_milliseconds_also_when_no_batch_may_wait() {
        let (mut batcher, mut now) = asleep(10, Duration::ZERO);
        while batcher.step(now) != Step::Disarm {
            batcher.noticed(now);
        }
        batcher.disarmed();
        for _ in 0..20 {
            assert_eq!(batcher.step(now), Step::Claim(10));
            batcher.claimed(10, 3, now);
            assert_eq!(batcher.step(now), Step::Wait(Some(batcher.poll_at)));
            now = batcher.poll_at;
            look(&mut batcher, 3, false, now);
        }
    }

    #[test]
    fn awake_it_asks_more_rarely_the_more_it_finds_and_at_once_when_there_is_more() {
        let (mut batcher, mut now) = asleep(10, TIMEOUT);
        while batcher.step(now) != Step::Disarm {
            batcher.noticed(now);
        }
        batcher.disarmed();
        for (due, wait) in
            [(19, 5), (20, 10), (39, 10), (40, 20), (79, 20), (80, 40), (399, 40), (400, 0)]
        {
            now = batcher.poll_at;
            look(&mut batcher, due, false, now);
            while let Step::Claim(rows) = batcher.step(now) {
                batcher.claimed(rows, rows, now);
            }
            assert_eq!(batcher.poll_at, now + Duration::from_millis(wait), "{due}");
        }
        assert_eq!(batcher.step(now), Step::Look { arm: false });
    }

    /// It never waits, and so hears of nothing: each look finds what came during the last claim.
    #[test]
    fn rows_that_come_faster_than_they_are_claimed_keep_it_awake_too() {
        let (mut batcher, mut now) = asleep(10, Duration::ZERO);
        batcher.noticed(now);
        for _ in 0..20 {
            if batcher.step(now) == Step::Disarm {
                return;
            }
            assert_eq!(batcher.step(now), Step::Claim(10));
            batcher.claimed(10, 3, now);
            now += Duration::from_millis(1);
            look(&mut batcher, 3, true, now);
        }
        panic!("armed, and every writer notifies");
    }
}
