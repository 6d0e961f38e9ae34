//! Whether mail flows: decided from what is outstanding. Pure.

use std::fmt;
use std::time::Duration;

use super::look::Outstanding;

/// What is outstanding, all together, against the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Readiness {
    deliveries: u64,
    overdue: u64,
    oldest_seconds: f64,
    limit: Duration,
}

impl Readiness {
    /// From a look; its `overdue` must be of the same limit.
    pub fn of(outstanding: &[Outstanding], limit: Duration) -> Self {
        Self {
            deliveries: outstanding.iter().map(|part| part.deliveries).sum(),
            overdue: outstanding.iter().map(|part| part.overdue).sum(),
            oldest_seconds: outstanding.iter().map(|part| part.oldest_seconds).fold(0.0, f64::max),
            limit,
        }
    }

    /// Whether no mail is older than the limit.
    pub fn is_ready(&self) -> bool {
        self.overdue == 0
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
        match self.deliveries {
            0 => return f.write_str("ready: no mail is outstanding"),
            _ if !self.is_ready() => f.write_str("not ready: ")?,
            _ => f.write_str("ready: ")?,
        }
        match self.deliveries {
            1 => write!(f, "the mail that is outstanding is {oldest} old")?,
            many => write!(f, "the oldest of {many} outstanding mails is {oldest} old")?,
        }
        write!(f, ", the limit is {limit}")
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
    use super::*;

    fn outstanding(deliveries: u64, overdue: u64, oldest_seconds: f64) -> Outstanding {
        let (action, state) = ("activation".to_owned(), "pending".to_owned());
        Outstanding { action, state, deliveries, overdue, oldest_seconds }
    }

    fn said(outstanding: &[Outstanding]) -> (bool, String) {
        let readiness = Readiness::of(outstanding, Duration::from_secs(30));
        (readiness.is_ready(), readiness.to_string())
    }

    #[test]
    fn the_oldest_mail_of_all_decides() {
        assert_eq!(said(&[]), (true, "ready: no mail is outstanding".to_owned()));
        let one = outstanding(1, 0, 0.3);
        let words = "ready: the mail that is outstanding is 0.3 s old, the limit is 30 s";
        assert_eq!(said(&[one.clone(), outstanding(0, 0, 0.0)]), (true, words.to_owned()));
        let words = "not ready: the oldest of 4 outstanding mails is 41 s old, the limit is 30 s";
        assert_eq!(said(&[one, outstanding(3, 1, 41.2)]), (false, words.to_owned()));
    }
}
