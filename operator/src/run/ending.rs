//! A pair that is to end: how long it is waited for, and what then. Pure: the time comes from outside.

use std::time::{Duration, Instant};

/// How long a half that was told to stop has for it: more than the 25 s in which the sender still
/// records results.
const TOLD: Duration = Duration::from_secs(30);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Tell both to stop.
    Terminate,
    /// Kill what is left.
    Kill,
}

/// A pair on its way out. First it ends by itself: the collector was told to, or one is gone and the
/// other notices by the pipe.
#[derive(Debug)]
pub(super) struct Ending {
    next: Step,
    /// `None`: nothing is left to be done but to wait.
    due: Option<Instant>,
}

impl Ending {
    /// It has the whole grace.
    pub(super) fn begin(now: Instant, grace: Duration) -> Self {
        Self { next: Step::Terminate, due: Some(now + grace) }
    }

    /// When there is something to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be done now.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        self.due.filter(|due| *due <= now)?;
        let step = self.next;
        match step {
            Step::Terminate => self.told(now),
            Step::Kill => self.due = None,
        }
        Some(step)
    }

    /// Both were told to stop, ahead of time perhaps. Being told again grants no more time.
    pub(super) fn told(&mut self, now: Instant) {
        if self.next == Step::Terminate {
            *self = Self { next: Step::Kill, due: Some(now + TOLD) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);
    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn first_it_is_waited_for_then_it_is_told_then_it_is_killed_once() {
        let start = Instant::now();
        let mut ending = Ending::begin(start, GRACE);
        assert_eq!(ending.step(start + GRACE - MOMENT), None);
        assert_eq!(ending.due(), Some(start + GRACE));
        assert_eq!(ending.step(start + GRACE), Some(Step::Terminate));
        assert_eq!(ending.step(start + GRACE), None);
        assert_eq!(ending.due(), Some(start + GRACE + TOLD));
        assert_eq!(ending.step(start + GRACE + TOLD), Some(Step::Kill));
        assert_eq!(ending.due(), None);
        assert_eq!(ending.step(start + 10 * TOLD), None);
    }

    #[test]
    fn told_early_it_is_killed_early_and_no_impatience_puts_that_off() {
        let start = Instant::now();
        let mut ending = Ending::begin(start, GRACE);
        ending.told(start);
        ending.told(start + TOLD - MOMENT);
        assert_eq!(ending.step(start + TOLD), Some(Step::Kill));
        ending.told(start + TOLD);
        assert_eq!(ending.step(start + 10 * TOLD), None);
    }

    #[test]
    fn without_grace_it_is_told_at_once() {
        let start = Instant::now();
        assert_eq!(Ending::begin(start, Duration::ZERO).step(start), Some(Step::Terminate));
    }
}
