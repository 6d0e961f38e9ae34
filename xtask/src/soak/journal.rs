//! Which faults there were, and when: what the audit excuses duplicates by.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A sender that was stopped with a call in hand, and goes on, may take so long to start it.
const TO_CALL: Duration = Duration::from_secs(2);
/// A call that is not answered, or a result that is not recorded, is over after this time.
const OVER_AFTER: Duration = Duration::from_secs(60);
/// The grace that a sender has which cannot reach the database, less what clocks and sweeps take.
const GRACE: Duration = Duration::from_secs(28);

/// What happened, and to which pipe.
#[derive(Debug, Default)]
pub(super) struct Journal {
    counts: BTreeMap<&'static str, usize>,
    kills: Vec<(usize, Instant)>,
    stops: Vec<(usize, Span)>,
    crashes: Vec<Span>,
}

/// From when to when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// What is known of a mail that the provider accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handed {
    /// Whose sender's it was.
    pub(super) pipe: usize,
    /// When its call arrived.
    pub(super) arrived: Instant,
    /// When it was accepted.
    pub(super) accepted: Instant,
    /// Whether the provider said so.
    pub(super) answered: bool,
    /// When its message id was recorded.
    pub(super) recorded: Option<Instant>,
}

/// Why a mail may be sent again though it was accepted: DESIGN's (a), (b) and (c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Excuse {
    Unanswered,
    SenderKilled,
    SenderStopped,
    DatabaseDied,
    RecordedLate,
}

impl Journal {
    pub(super) fn count(&mut self, fault: &'static str) {
        *self.counts.entry(fault).or_default() += 1;
    }

    pub(super) fn sender_killed(&mut self, pipe: usize, at: Instant) {
        self.kills.push((pipe, at));
    }

    pub(super) fn sender_stopped(&mut self, pipe: usize, span: Span) {
        self.stops.push((pipe, span));
    }

    pub(super) fn database_died(&mut self, span: Span) {
        self.crashes.push(span);
    }

    /// How many there were of each kind.
    pub(super) fn counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.counts
    }

    /// Whether this mail may have a second one, and why.
    pub(super) fn excuse(&self, mail: &Handed) -> Option<Excuse> {
        if !mail.answered {
            return Some(Excuse::Unanswered);
        }
        let end = mail.recorded.unwrap_or(mail.accepted + OVER_AFTER);
        let killed = |(pipe, at): &(usize, Instant)| {
            *pipe == mail.pipe && (mail.accepted..=end).contains(at)
        };
        if self.kills.iter().any(killed) {
            return Some(Excuse::SenderKilled);
        }
        // Its answer came too late for it.
        let in_call = Span { from: mail.arrived, until: mail.accepted + OVER_AFTER };
        let stopped = |(pipe, stop): &(usize, Span)| *pipe == mail.pipe && stop.meets(&in_call);
        if mail.recorded.is_none() && self.stops.iter().any(stopped) {
            return Some(Excuse::SenderStopped);
        }
        // A sender that lives records what it was answered, whatever becomes of the database.
        let recorded = mail.recorded?;
        if self.crashes.iter().any(|crash| self.undid(crash, mail, recorded)) {
            return Some(Excuse::DatabaseDied);
        }
        let late = recorded.saturating_duration_since(mail.arrived) > GRACE;
        late.then_some(Excuse::RecordedLate)
    }

    /// Whether PostgreSQL died between a call's begin, which does not wait for the disk, and its
    /// record, which does, and with which all before it is durable.
    fn undid(&self, crash: &Span, mail: &Handed, recorded: Instant) -> bool {
        let stops = self.stops.iter().filter(|(pipe, _)| *pipe == mail.pipe);
        let over =
            stops.filter(|(_, stop)| stop.meets(crash)).map(|(_, stop)| stop.until + TO_CALL);
        crash.from <= recorded && mail.arrived <= over.fold(crash.until, Instant::max)
    }
}

impl Span {
    fn meets(&self, other: &Span) -> bool {
        self.from <= other.until && other.from <= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Accepted 100 s after the returned instant, by pipe 0, and recorded a second later.
    fn mail() -> (Instant, Handed) {
        let start = Instant::now();
        let accepted = start + 100 * SECOND;
        let recorded = Some(accepted + SECOND);
        (start, Handed { pipe: 0, arrived: accepted, accepted, answered: true, recorded })
    }

    #[test]
    fn nothing_excuses_a_mail_that_was_answered_and_recorded() {
        let (start, mail) = mail();
        let mut journal = Journal::default();
        assert_eq!(journal.excuse(&mail), None);
        for (pipe, second) in [(0, 99), (0, 102), (1, 100)] {
            journal.sender_killed(pipe, start + second * SECOND);
        }
        journal.sender_stopped(0, Span { from: start, until: start + 80 * SECOND });
        journal.database_died(Span { from: start + 97 * SECOND, until: start + 99 * SECOND });
        journal.database_died(Span { from: start + 102 * SECOND, until: start + 103 * SECOND });
        assert_eq!(journal.excuse(&mail), None);
    }

    #[test]
    fn each_excuse_is_one_of_the_promises_three() {
        let (start, mail) = mail();
        let mut journal = Journal::default();
        let unrecorded = Handed { recorded: None, ..mail };
        assert_eq!(journal.excuse(&unrecorded), None);
        assert_eq!(journal.excuse(&Handed { answered: false, ..mail }), Some(Excuse::Unanswered));
        let late = Handed { recorded: Some(mail.accepted + 31 * SECOND), ..mail };
        assert_eq!(journal.excuse(&late), Some(Excuse::RecordedLate));
        journal.database_died(Span { from: start + 99 * SECOND, until: mail.arrived });
        assert_eq!(journal.excuse(&mail), Some(Excuse::DatabaseDied));
        journal.sender_stopped(0, Span { from: mail.arrived, until: mail.arrived + SECOND });
        assert_eq!(journal.excuse(&unrecorded), Some(Excuse::SenderStopped));
        journal.sender_killed(0, mail.accepted);
        assert_eq!(journal.excuse(&mail), Some(Excuse::SenderKilled));
    }
}
