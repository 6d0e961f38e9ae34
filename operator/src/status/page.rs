//! The status as a page for people.

use std::fmt::Write as _;

use super::Status;
use super::provider::{Provider, Quota};
use super::snapshot::{Depth, Holder, Rate, Schema};
use crate::moments::age;
use crate::output::{Output, Row, printable};

impl Row for Depth {
    const HEADINGS: &'static [&'static str] =
        &["ACTION", "STATE", "DELIVERIES", "DUE", "OVERDUE", "OLDEST"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.action.clone(),
            self.state.clone(),
            self.deliveries.to_string(),
            self.due.to_string(),
            self.overdue.to_string(),
            #[expect(clippy::cast_possible_truncation, reason = "microseconds since a promise")]
            age((self.oldest_seconds * 1e6) as i64),
        ]
    }
}

impl Row for Rate {
    const HEADINGS: &'static [&'static str] = &["A MINUTE", "LAST 1", "LAST 5", "LAST 15"];

    fn cells(&self) -> Vec<String> {
        let tenths = |count: i64, minutes: i64| {
            let tenths = (count * 10 + minutes / 2) / minutes;
            format!("{}.{}", tenths / 10, tenths % 10)
        };
        vec![
            self.outcome.clone(),
            self.last_minute.to_string(),
            tenths(self.last_5_minutes, 5),
            tenths(self.last_15_minutes, 15),
        ]
    }
}

impl Row for Holder {
    const HEADINGS: &'static [&'static str] = &["ALIVE", "HOST", "PID", "VERSION", "FOR", "HOLDS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.host.clone(),
            self.pid.to_string(),
            self.version.clone(),
            age(self.age),
            (self.dispatched + self.sending).to_string(),
        ]
    }
}

/// All of it, as text.
pub(super) fn of(status: &Status) -> anyhow::Result<String> {
    let Status { snapshot, provider } = status;
    let mut page = format!("{} at {}\n", snapshot.server, snapshot.at);
    writeln!(page, "schema: {}", schema(snapshot.schema.as_ref()))?;
    writeln!(page, "provider: {}\n", words(provider))?;
    if snapshot.deliveries.is_empty() {
        page.push_str("Nothing is outstanding.\n");
    } else {
        page.push_str(&table(&snapshot.deliveries)?);
    }
    page.push('\n');
    let active: Vec<&Rate> = snapshot.log.iter().filter(|rate| rate.last_15_minutes > 0).collect();
    if active.is_empty() {
        page.push_str("Nothing happened in the last 15 minutes.\n");
    } else {
        page.push_str(&table(&active)?);
    }
    page.push('\n');
    for (kind, consequence) in
        [("collector", "nothing is handed over"), ("sender", "nothing is recorded as sent")]
    {
        if !snapshot.holders.iter().any(|holder| holder.kind == kind) {
            writeln!(page, "No {kind} lives here: {consequence}.")?;
        }
    }
    if !snapshot.holders.is_empty() {
        page.push_str(&table(&snapshot.holders)?);
    }
    Ok(page)
}

impl<R: Row> Row for &R {
    const HEADINGS: &'static [&'static str] = R::HEADINGS;

    fn cells(&self) -> Vec<String> {
        (*self).cells()
    }
}

fn table<R: Row>(rows: &[R]) -> anyhow::Result<String> {
    let mut text = Vec::new();
    Output::to(&mut text).rows(rows, false)?;
    Ok(String::from_utf8(text)?)
}

fn schema(schema: Option<&Schema>) -> String {
    match schema {
        None => "its version is not known".to_owned(),
        Some(Schema { version, dirty: false }) => format!("version {version}"),
        Some(Schema { version, dirty: true }) => {
            format!("version {version} is dirty: a migration failed half-way; mailroom migrate")
        }
    }
}

fn words(provider: &Provider) -> String {
    let Quota { sending_enabled, sandbox, mails_a_second, mails_a_day, sent_last_24_hours } =
        match provider {
            Provider::Unknown { reason } => return printable(reason).into_owned(),
            Provider::Ses(quota) => quota,
        };
    let mut words = format!("SES, {mails_a_second} mails a second, {sent_last_24_hours} ");
    if *mails_a_day < 0.0 {
        words.push_str("sent in the last 24 hours, without a limit");
    } else {
        let _ = write!(words, "of {mails_a_day} sent in the last 24 hours");
    }
    if !sending_enabled {
        words.push_str("; SENDING IS PAUSED");
    }
    if *sandbox {
        words.push_str("; in the sandbox: only verified addresses get mail");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::snapshot::Snapshot;

    fn status() -> Status {
        let holder = |kind: &str, age| Holder {
            kind: kind.to_owned(),
            host: "mail-1".to_owned(),
            pid: 12,
            version: "0.1.0".to_owned(),
            since: String::new(),
            dispatched: 40,
            sending: 2,
            age,
        };
        let rate = |outcome: &str, counts: [i64; 3]| Rate {
            outcome: outcome.to_owned(),
            last_minute: counts[0],
            last_5_minutes: counts[1],
            last_15_minutes: counts[2],
        };
        Status {
            snapshot: Snapshot {
                at: "2030-01-02T03:04:05Z".to_owned(),
                server: "localhost:5432/app".to_owned(),
                schema: Some(Schema { version: 5, dirty: false }),
                deliveries: vec![Depth {
                    action: "activation".to_owned(),
                    state: "pending".to_owned(),
                    deliveries: 1200,
                    due: 1100,
                    overdue: 3,
                    oldest_seconds: 125.4,
                }],
                log: vec![rate("sent", [60, 299, 900]), rate("failed", [0, 0, 0])],
                holders: vec![holder("collector", 90_000_000_000)],
            },
            provider: Provider::Ses(Quota {
                sending_enabled: true,
                sandbox: false,
                mails_a_second: 14.0,
                mails_a_day: 50_000.0,
                sent_last_24_hours: 120.0,
            }),
        }
    }

    #[test]
    fn a_page_says_what_is_outstanding_and_who_is_missing() {
        insta::assert_snapshot!(of(&status()).unwrap(), @r#"
        localhost:5432/app at 2030-01-02T03:04:05Z
        schema: version 5
        provider: SES, 14 mails a second, 120 of 50000 sent in the last 24 hours

        ACTION      STATE    DELIVERIES  DUE   OVERDUE  OLDEST
        activation  pending  1200        1100  3        2m 5s

        A MINUTE  LAST 1  LAST 5  LAST 15
        sent      60      59.8    60.0

        No sender lives here: nothing is recorded as sent.
        ALIVE      HOST    PID  VERSION  FOR      HOLDS
        collector  mail-1  12   0.1.0    1day 1h  42
        "#);
    }

    #[test]
    fn the_provider_is_told_in_words() {
        let quota = Quota {
            sending_enabled: false,
            sandbox: true,
            mails_a_second: 1.0,
            mails_a_day: -1.0,
            sent_last_24_hours: 3.0,
        };
        assert_eq!(
            words(&Provider::Ses(quota)),
            "SES, 1 mails a second, 3 sent in the last 24 hours, without a limit; SENDING IS \
             PAUSED; in the sandbox: only verified addresses get mail"
        );
        let unknown = Provider::Unknown { reason: "not asked".to_owned() };
        assert_eq!(words(&unknown), "not asked");
        assert!(schema(Some(&Schema { version: 2, dirty: true })).contains("dirty"));
        assert!(schema(None).contains("not known"));
    }
}
