//! What a relay's answer means for the mail, by the stage it came at; pure.
//!
//! 4xx: again; 5xx: never, if it is about this mail. Before MAIL an answer is about the connection:
//! the work is kept. Until the final dot nothing can have been sent; an answer that never comes after
//! it may mean anything.

use crate::transport::words::words;
use crate::transport::{Mail, Outcome};

/// How far a transaction got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connect,
    Greeting,
    Hello,
    StartTls,
    Auth,
    Mail,
    Recipient,
    Data,
    /// The body and its final dot are on their way.
    Body,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Connect => "connect",
            Stage::Greeting => "greeting",
            Stage::Hello => "EHLO",
            Stage::StartTls => "STARTTLS",
            Stage::Auth => "AUTH",
            Stage::Mail => "MAIL",
            Stage::Recipient => "RCPT",
            Stage::Data => "DATA",
            Stage::Body => "end of data",
        }
    }
}

/// The server said no.
pub(super) fn refused(stage: Stage, code: u16, text: &str) -> Outcome {
    let reason = match stage {
        // A server may repeat what it was told, and it was told a password.
        Stage::Auth => format!("{}: {code}", stage.name()),
        _ => words(&format!("{}: {code} {text}", stage.name())),
    };
    match (stage, code) {
        // Enough mail for now: as SES says it over SMTP.
        (Stage::Mail | Stage::Recipient | Stage::Data | Stage::Body, 454) => {
            Outcome::Throttled { late: text.to_ascii_lowercase().contains("daily"), reason }
        }
        (_, 400..=499) => Outcome::Deferred { reason },
        // Wrong credentials, or a server that wants some.
        (Stage::Auth, _) | (_, 530 | 534 | 535 | 538) => {
            Outcome::Misconfigured { reason, hold: false }
        }
        (Stage::Mail | Stage::Recipient | Stage::Data | Stage::Body, 500..=599) => {
            Outcome::Rejected { reason }
        }
        // Not about a mail: a relay that does not want us today may tomorrow.
        (_, 500..=599) => Outcome::Misconfigured { reason, hold: true },
        _ => silence(stage, &format!("an answer out of place: {code} {text}")),
    }
}

/// The server said nothing that is an answer: it hung up, took too long, or talked nonsense.
pub(super) fn silence(stage: Stage, what: &str) -> Outcome {
    let reason = match stage {
        Stage::Auth => format!("{}: no answer that is one", stage.name()),
        _ => words(&format!("{}: {what}", stage.name())),
    };
    match stage {
        Stage::Body => Outcome::Ambiguous { reason },
        Stage::Connect
        | Stage::Greeting
        | Stage::Hello
        | Stage::StartTls
        | Stage::Auth
        | Stage::Mail
        | Stage::Recipient
        | Stage::Data => Outcome::Deferred { reason },
    }
}

/// What a silence after the body means if nothing of the body was said.
pub(super) fn unsaid(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Ambiguous { reason } => Outcome::Deferred { reason },
        other => other,
    }
}

/// A mail whose turn did not come.
pub(super) fn untried() -> Outcome {
    Outcome::Untried { reason: "not started: its turn did not come in time".to_owned() }
}

/// The words without what they may repeat of the mail: its recipient's name, with us and at home.
pub(super) fn masked(outcome: Outcome, mail: &Mail) -> Outcome {
    let local = mail.email.rsplit_once('@').map_or("", |(local, _)| local);
    let mask = |reason: String| {
        [mail.login.as_str(), local].iter().fold(reason, |reason, name| without(&reason, name))
    };
    match outcome {
        Outcome::Sent { provider_id } => Outcome::Sent { provider_id: mask(provider_id) },
        Outcome::Deferred { reason } => Outcome::Deferred { reason: mask(reason) },
        Outcome::Untried { reason } => Outcome::Untried { reason },
        Outcome::Ambiguous { reason } => Outcome::Ambiguous { reason: mask(reason) },
        Outcome::Throttled { reason, late } => Outcome::Throttled { reason: mask(reason), late },
        Outcome::Rejected { reason } => Outcome::Rejected { reason: mask(reason) },
        Outcome::Misconfigured { reason, hold } => {
            Outcome::Misconfigured { reason: mask(reason), hold }
        }
    }
}

/// `text` without the whole word `name`, in whatever case. A name of one letter says nothing.
fn without(text: &str, name: &str) -> String {
    if name.len() < 2 || !name.is_ascii() {
        return text.to_owned();
    }
    let (lower, name) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
    let (mut out, mut from) = (String::new(), 0);
    while let Some(found) = lower[from..].find(&name) {
        let (start, end) = (from + found, from + found + name.len());
        let part =
            is_word(lower[..start].chars().next_back()) || is_word(lower[end..].chars().next());
        out.push_str(&text[from..start]);
        out.push_str(if part { &text[start..end] } else { "<name>" });
        from = end;
    }
    out + &text[from..]
}

/// The server is not the one we trust, or does not encrypt: nothing was said to it that matters.
pub(super) fn untrusted(what: &str) -> Outcome {
    Outcome::Misconfigured { reason: words(what), hold: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Stage; 9] = [
        Stage::Connect,
        Stage::Greeting,
        Stage::Hello,
        Stage::StartTls,
        Stage::Auth,
        Stage::Mail,
        Stage::Recipient,
        Stage::Data,
        Stage::Body,
    ];

    #[test]
    fn silence_may_mean_sent_only_after_the_body() {
        for stage in ALL {
            let ambiguous = matches!(silence(stage, "x"), Outcome::Ambiguous { .. });
            assert_eq!(ambiguous, stage == Stage::Body, "{stage:?}");
        }
    }

    #[test]
    fn a_refusal_is_never_taken_for_a_mail_that_may_have_been_sent() {
        for stage in ALL {
            for code in [421, 450, 454, 500, 530, 535, 550, 554] {
                let outcome = refused(stage, code, "no");
                assert!(!matches!(outcome, Outcome::Ambiguous { .. } | Outcome::Sent { .. }));
            }
        }
    }

    #[test]
    fn only_an_answer_about_the_mail_ends_it() {
        for stage in ALL {
            let rejected = matches!(refused(stage, 550, "no"), Outcome::Rejected { .. });
            let about_the_mail =
                matches!(stage, Stage::Mail | Stage::Recipient | Stage::Data | Stage::Body);
            assert_eq!(rejected, about_the_mail, "{stage:?}");
        }
    }

    #[test]
    fn a_password_that_is_repeated_is_not() {
        let refused = refused(Stage::Auth, 501, "syntax error in AUTH PLAIN AGFubgBzM2NyZXQ=");
        let expected = Outcome::Misconfigured { reason: "AUTH: 501".to_owned(), hold: false };
        assert_eq!(refused, expected);
    }

    #[test]
    fn a_name_is_taken_out_where_it_is_a_word() {
        assert_eq!(
            without("550 User Ann unknown (ann)", "ann"),
            "550 User <name> unknown (<name>)"
        );
        assert_eq!(without("cannot", "ann"), "cannot");
        assert_eq!(without("x unknown", "x"), "x unknown");
    }

    #[test]
    fn bad_credentials_end_the_process_and_a_throttle_slows_it() {
        for (stage, code) in [(Stage::Auth, 535), (Stage::Mail, 530)] {
            let outcome = refused(stage, code, "no");
            assert!(matches!(outcome, Outcome::Misconfigured { hold: false, .. }), "{outcome:?}");
        }
        let rate = refused(Stage::Body, 454, "Throttling failure: Maximum sending rate exceeded.");
        assert!(matches!(rate, Outcome::Throttled { late: false, .. }));
        let quota = refused(Stage::Body, 454, "Throttling failure: Daily message quota exceeded.");
        assert!(matches!(quota, Outcome::Throttled { late: true, .. }));
        assert!(matches!(refused(Stage::StartTls, 454, "no TLS now"), Outcome::Deferred { .. }));
    }
}
