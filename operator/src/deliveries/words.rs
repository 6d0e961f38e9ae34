//! What happened to a mail, in words that somebody who helps users can read.

use super::story::{Account, Event, Story};
use crate::moments::{age, stamp};
use crate::output::printable;

/// Whom it is about. `None`: the account was deleted.
pub(super) fn account(account: Option<&Account>) -> Vec<String> {
    let Some(account) = account else {
        return vec!["The account was deleted.".to_owned()];
    };
    let Account { id, email, login, status, created_at } = account;
    let (email, login) = (printable(email), printable(login));
    vec![
        format!("Account {id}: {email}, login {login}"),
        format!("{status}, made {}", stamp(*created_at)),
    ]
}

/// A mail, from its making to what can be done now. All times are UTC.
pub(super) fn story(story: &Story, now: i64) -> Vec<String> {
    let action = story.action.as_deref().unwrap_or("of an action that is not known any more");
    let mut lines =
        vec![format!("Token {}: {action}", story.token), format!("  {}", link(story, now))];
    lines.push(format!("  {}", state(story, now)));
    lines.extend(story.events.iter().map(|one| format!("  {}", event(one))));
    lines.extend(advice(story).map(|advice| format!("  {advice}")));
    lines
}

/// What has become of the link itself.
fn link(story: &Story, now: i64) -> String {
    if story.deleted {
        return "The token was deleted; this is what is left.".to_owned();
    }
    let made = story.created_at.map(stamp).unwrap_or_default();
    let used = story.consumed_at.map(|at| format!("was used at {}", stamp(at)));
    let fate = used.unwrap_or_else(|| match story.expires_at {
        Some(at) if story.expired => format!("expired at {}, {} ago", stamp(at), age(now - at)),
        Some(at) => format!("works until {}, for {} more", stamp(at), age(at - now)),
        None => "never expires".to_owned(),
    });
    format!("Made {made} (times are UTC); its link {fate}.")
}

/// What state its mail is in now.
fn state(story: &Story, now: i64) -> String {
    let holder = printable(story.holder.as_deref().unwrap_or("somebody who is gone"));
    let waits = story.promised_at.map(|at| age(now - at)).unwrap_or_default();
    let words = match story.state.as_deref() {
        None => "not known: it was handed over before deliveries were recorded, or its log was \
            purged"
            .to_owned(),
        Some("pending") => match story.due_at {
            Some(due) if due > now => {
                format!("waiting; it is tried again at {}, in {}", stamp(due), age(due - now))
            }
            _ => format!("waiting for a collector, {waits} after it was asked for"),
        },
        Some("dispatched") => format!("handed over to a sender by {holder}"),
        Some("sending") => format!("being sent right now by {holder}"),
        Some("sent") => "sent: the provider has accepted it".to_owned(),
        Some("skipped") => "not sent, because it must not be".to_owned(),
        Some("failed") => "not sent, and given up".to_owned(),
        Some("unconfirmed") => "may have been sent: nobody confirmed it".to_owned(),
        Some(other) => format!("no longer outstanding; it was {other} last"),
    };
    format!("State: {words}.")
}

/// One thing that happened.
fn event(event: &Event) -> String {
    let at = stamp(event.at);
    let detail = event.detail.as_deref().map(|detail| printable(detail.trim_end_matches('.')));
    let detail = detail.as_deref();
    let because = |words: &str| match detail {
        Some(detail) => format!("{words}: {detail}"),
        None => words.to_owned(),
    };
    let words = match event.outcome.as_str() {
        "sent" => {
            // Not every transport has one.
            let id = event.provider_id.as_deref().filter(|id| !id.is_empty());
            let id = id.map(|id| format!(", as {}", printable(id)));
            let through = event.transport.as_deref().map(|name| format!(" ({})", printable(name)));
            let (id, through) = (id.unwrap_or_default(), through.unwrap_or_default());
            format!("the provider{through} accepted it{id}")
        }
        "skipped" => because("not sent"),
        "failed" => because("given up"),
        "unconfirmed" => because("it may or may not have been sent, and is not tried again"),
        "ambiguous" => {
            let detail = detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("the provider did not answer{detail}; it may or may not have been sent")
        }
        "throttled" => because("not sent, the provider wants less for now"),
        // Also what an operator or a sweep did: its detail says so.
        "deferred" if event.transport.is_none() => detail.unwrap_or("put off").to_owned(),
        "deferred" => because("not sent yet"),
        other => because(other),
    };
    // Only what went through a transport was an attempt at sending it.
    if event.transport.is_some() {
        format!("Attempt {}, {at}: {words}.", event.attempt)
    } else {
        format!("{at}: {words}.")
    }
}

/// What can be done about it, if something can.
fn advice(story: &Story) -> Option<String> {
    let ended = matches!(story.state.as_deref(), Some("skipped" | "failed" | "unconfirmed"));
    if !ended || story.outstanding || story.deleted || story.consumed_at.is_some() {
        return None;
    }
    if story.barred {
        let status = story.account_status.as_deref();
        // The account's trigger sees to it.
        let held = story.state.as_deref() == Some("skipped") && !story.expired && status.is_some();
        let unless = if held { ". If that changes while its link works, it is sent" } else { "" };
        let status = status.unwrap_or("deleted");
        return Some(format!("The account is {status}, so this mail is not for it{unless}."));
    }
    let extend = if story.expired { " --extend 15m" } else { "" };
    let token = story.token;
    Some(format!("To send it again: mailroom deliveries requeue token:{token}{extend}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const NOW: i64 = 1_700_000_000 * SECOND;

    fn at(ago: i64) -> i64 {
        NOW - ago * SECOND
    }

    fn happened(ago: i64, attempt: i32, outcome: &str, transport: bool, detail: &str) -> Event {
        Event {
            at: at(ago),
            attempt,
            outcome: outcome.to_owned(),
            transport: transport.then(|| "ses".to_owned()),
            provider_id: (outcome == "sent").then(|| "0100-abc".to_owned()),
            detail: (!detail.is_empty()).then(|| detail.to_owned()),
        }
    }

    fn of(state: &str) -> Story {
        Story {
            token: 812,
            action: Some("activation".to_owned()),
            created_at: Some(at(300)),
            expires_at: Some(at(-600)),
            state: Some(state.to_owned()),
            ..Story::default()
        }
    }

    #[test]
    fn a_mail_that_took_some_attempts_is_told_from_the_first_to_the_last() {
        let told = Story {
            events: vec![
                happened(290, 1, "throttled", true, "Maximum sending rate exceeded."),
                happened(280, 1, "deferred", true, "connect: refused"),
                happened(270, 2, "ambiguous", true, "no answer within 15 s"),
                happened(200, 2, "deferred", false, "requeued by an operator"),
                happened(190, 3, "sent", true, ""),
            ],
            ..of("sent")
        };
        insta::assert_snapshot!(story(&told, NOW).join("\n"), @r#"
        Token 812: activation
          Made 2023-11-14 22:08:20 (times are UTC); its link works until 2023-11-14 22:23:20, for 10m more.
          State: sent: the provider has accepted it.
          Attempt 1, 2023-11-14 22:08:30: not sent, the provider wants less for now: Maximum sending rate exceeded.
          Attempt 1, 2023-11-14 22:08:40: not sent yet: connect: refused.
          Attempt 2, 2023-11-14 22:08:50: the provider did not answer (no answer within 15 s); it may or may not have been sent.
          2023-11-14 22:10:00: requeued by an operator.
          Attempt 3, 2023-11-14 22:10:10: the provider (ses) accepted it, as 0100-abc.
        "#);
    }

    #[test]
    fn a_mail_without_a_providers_id_is_told_without_one() {
        let sent = Event { provider_id: Some(String::new()), ..happened(9, 1, "sent", true, "") };
        let told = story(&Story { events: vec![sent], ..of("sent") }, NOW).join("\n");
        assert!(told.contains("the provider (ses) accepted it."), "{told}");
    }

    #[test]
    fn what_can_be_done_is_said_only_where_something_can() {
        let failed =
            Story { events: vec![happened(9, 1, "failed", true, "rejected")], ..of("failed") };
        insta::assert_snapshot!(story(&failed, NOW).join("\n"), @r#"
        Token 812: activation
          Made 2023-11-14 22:08:20 (times are UTC); its link works until 2023-11-14 22:23:20, for 10m more.
          State: not sent, and given up.
          Attempt 1, 2023-11-14 22:13:11: given up: rejected.
          To send it again: mailroom deliveries requeue token:812
        "#);
        let expired = Story { expired: true, expires_at: Some(at(90)), ..of("skipped") };
        insta::assert_snapshot!(story(&expired, NOW).join("\n"), @r#"
        Token 812: activation
          Made 2023-11-14 22:08:20 (times are UTC); its link expired at 2023-11-14 22:11:50, 1m 30s ago.
          State: not sent, because it must not be.
          To send it again: mailroom deliveries requeue token:812 --extend 15m
        "#);
        let barred = Story {
            barred: true,
            account_status: Some("suspended".to_owned()),
            events: vec![happened(9, 0, "skipped", false, "the account is suspended")],
            ..of("skipped")
        };
        insta::assert_snapshot!(story(&barred, NOW).join("\n"), @r#"
        Token 812: activation
          Made 2023-11-14 22:08:20 (times are UTC); its link works until 2023-11-14 22:23:20, for 10m more.
          State: not sent, because it must not be.
          2023-11-14 22:13:11: not sent: the account is suspended.
          The account is suspended, so this mail is not for it. If that changes while its link works, it is sent.
        "#);
        let too_late = Story { expired: true, ..barred };
        let told = story(&too_late, NOW).join("\n");
        assert!(told.ends_with("so this mail is not for it."), "{told}");
        for done in [
            of("sent"),
            of("pending"),
            Story { consumed_at: Some(at(5)), ..of("unconfirmed") },
            Story { deleted: true, ..of("failed") },
        ] {
            assert_eq!(advice(&done), None);
        }
    }

    #[test]
    fn each_state_has_words() {
        let held = |state: &str| Story {
            holder: Some("the sender 12 on mail-1".to_owned()),
            promised_at: Some(at(61)),
            ..of(state)
        };
        let words = |told: Story| state(&told, NOW);
        assert_eq!(
            words(held("pending")),
            "State: waiting for a collector, 1m 1s after it was asked for."
        );
        let later = Story { due_at: Some(at(-40)), ..held("pending") };
        assert_eq!(
            words(later),
            "State: waiting; it is tried again at 2023-11-14 22:14:00, in 40s."
        );
        assert!(
            words(held("dispatched"))
                .ends_with("handed over to a sender by the sender 12 on mail-1.")
        );
        assert!(words(held("sending")).contains("right now by the sender 12"));
        assert!(words(of("unconfirmed")).contains("may have been sent"));
        assert!(words(Story::default()).contains("before deliveries were recorded"));
        assert!(words(of("deferred")).contains("no longer outstanding; it was deferred last"));
    }

    #[test]
    fn the_account_comes_first() {
        let ada = Account {
            id: 7,
            email: "ada@example.com".to_owned(),
            login: "ada".to_owned(),
            status: "provisioned".to_owned(),
            created_at: NOW,
        };
        assert_eq!(
            account(Some(&ada)),
            ["Account 7: ada@example.com, login ada", "provisioned, made 2023-11-14 22:13:20"]
        );
        assert_eq!(account(None), ["The account was deleted."]);
    }
}
