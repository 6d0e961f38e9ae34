//! Whether mail flows: decided from what is outstanding, and whether any is accepted. Pure.

use std::fmt;
use std::time::Duration;

use super::look::Promises;

/// Why mail does not flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Mail has been due for longer than the limit, and nobody holds any of its queue.
    Unclaimed,
    /// Mail waits for longer than the limit, and none was accepted for so long.
    Unaccepted,
}

impl Stop {
    /// In a word, for the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unclaimed => "unclaimed",
            Self::Unaccepted => "unaccepted",
        }
    }
}

/// What is outstanding, all together, against the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Readiness {
    deliveries: u64,
    unclaimed: u64,
    waiting: u64,
    accepted: bool,
    oldest_seconds: f64,
    limit: Duration,
}

impl Readiness {
    /// From a look, which must be of the same limit.
    pub fn of(promises: &Promises, limit: Duration) -> Self {
        let parts = &promises.parts;
        Self {
            deliveries: parts.iter().map(|part| part.deliveries).sum(),
            unclaimed: parts.iter().map(|part| part.unclaimed).sum(),
            waiting: parts.iter().map(|part| part.waiting).sum(),
            accepted: promises.accepted,
            oldest_seconds: parts.iter().map(|part| part.oldest_seconds).fold(0.0, f64::max),
            limit,
        }
    }

    /// What stops mail, if anything does. One mail that is tried again later, or an import that takes
    /// its time, does not, as long as mail is accepted.
    pub fn stop(&self) -> Option<Stop> {
        if self.unclaimed > 0 {
            return Some(Stop::Unclaimed);
        }
        (self.waiting > 0 && !self.accepted).then_some(Stop::Unaccepted)
    }

    /// Whether mail flows.
    pub fn is_ready(&self) -> bool {
        self.stop().is_none()
    }

    /// How many mails are outstanding.
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// The age of the oldest in seconds; zero if there is none.
    pub fn oldest_seconds(&self) -> f64 {
        self.oldest_seconds
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (oldest, limit) = (Age(self.oldest_seconds), Age(self.limit.as_secs_f64()));
        let stop = self.stop();
        if self.deliveries == 0 {
            return f.write_str("ready: no mail is outstanding");
        }
        f.write_str(if stop.is_none() { "ready: " } else { "not ready: " })?;
        if stop == Some(Stop::Unclaimed) {
            return match self.unclaimed {
                1 => write!(f, "a mail has been due for longer than {limit}, and nobody collects"),
                many => {
                    write!(
                        f,
                        "{many} mails have been due for longer than {limit}, and nobody collects"
                    )
                }
            };
        }
        match self.deliveries {
            1 => write!(f, "the mail that is outstanding is {oldest} old")?,
            many => write!(f, "the oldest of {many} outstanding mails is {oldest} old")?,
        }
        match stop {
            Some(_) => write!(f, ", and none was accepted for {limit}"),
            None if self.waiting > 0 => write!(f, ", and mail is accepted"),
            None => write!(f, ", the limit is {limit}"),
        }
    }
}

/// Seconds for people.
struct Age(f64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 10.0 { write!(f, "{:.1} s", self.0) } else { write!(f, "{:.0} s", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::Outstanding;
    use super::*;

    fn part(deliveries: u64, unclaimed: u64, waiting: u64, oldest_seconds: f64) -> Outstanding {
        let (action, state) = ("activation".to_owned(), "pending".to_owned());
        let overdue = unclaimed;
        Outstanding { action, state, deliveries, overdue, unclaimed, waiting, oldest_seconds }
    }

    fn said(parts: &[Outstanding], accepted: bool) -> String {
        let promises = Promises { parts: parts.to_vec(), accepted };
        let readiness = Readiness::of(&promises, Duration::from_secs(30));
        let words = readiness.to_string();
        assert_eq!(readiness.is_ready(), words.starts_with("ready: "), "{words}");
        words
    }

    #[test]
    fn what_waits_is_red_only_while_none_is_accepted_or_nobody_collects() {
        assert_eq!(said(&[], false), "ready: no mail is outstanding");
        let one = part(1, 0, 0, 0.3);
        let words = "ready: the mail that is outstanding is 0.3 s old, the limit is 30 s";
        assert_eq!(said(&[one.clone(), part(0, 0, 0, 0.0)], false), words);
        let late = [one, part(3, 0, 1, 41.2)];
        let words = "not ready: the oldest of 4 outstanding mails is 41 s old, and none was accepted for 30 s";
        assert_eq!(said(&late, false), words);
        let words = "ready: the oldest of 4 outstanding mails is 41 s old, and mail is accepted";
        assert_eq!(said(&late, true), words);
        let words = "not ready: 2 mails have been due for longer than 30 s, and nobody collects";
        assert_eq!(said(&[part(3, 2, 3, 41.2)], true), words);
    }
}
