//! What a relay's answer means for the mail, by the stage it came at; pure.
//!
//! 4xx: again; 5xx: never, if it is about this mail. Before MAIL an answer is about the connection:
//! the work is kept. Until the final dot nothing can have been sent; an answer that never comes after
//! it may mean anything.

use crate::transport::Outcome;
use crate::transport::words::words;

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
    let reason = words(&format!("{}: {code} {text}", stage.name()));
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
    let reason = words(&format!("{}: {what}", stage.name()));
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
