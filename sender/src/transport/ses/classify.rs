//! What each answer of SES means for the mails of the call. Pure: statuses, codes and causes in,
//! outcomes out. What is not known is ambiguous.

use super::call_error::{CallError, Kind};
use super::meaning::{Meaning, meaning};
use crate::transport::Outcome;
use crate::transport::words::{message_id, words};

/// The result of one entry, as SES gives it.
pub(super) struct EntryResult<'a> {
    pub(super) status: Option<&'a str>,
    pub(super) error: Option<&'a str>,
    pub(super) message_id: Option<&'a str>,
}

/// What a failed call means for its mails.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of them share this outcome.
    All(Outcome),
    /// One of them was refused and with it the whole call; which one is not said.
    OneOf { reason: String },
    /// Not sent, the credentials have expired: load them anew and repeat the call once.
    Expired { reason: String },
    /// Not sent, our clock is wrong; the SDK has learnt by how much: repeat the call once.
    Clock { reason: String },
}

/// The outcome of one entry of an answered call. `source` is the sender's address.
pub(super) fn entry(result: &EntryResult<'_>, source: &str) -> Outcome {
    let status = result.status.unwrap_or("no status");
    let text = result.error.unwrap_or_default();
    let reason = reason(status, text);
    match meaning(status, text, source) {
        Some(Meaning::Accepted) => {
            Outcome::Sent { provider_id: message_id(result.message_id.unwrap_or_default()) }
        }
        Some(Meaning::Retry) => Outcome::Deferred { reason },
        Some(Meaning::Throttled { late }) => Outcome::Throttled { reason, late },
        Some(Meaning::Permanent) => Outcome::Rejected { reason },
        Some(Meaning::Configuration { hold }) => Outcome::Misconfigured { reason, hold },
        Some(Meaning::Ambiguous | Meaning::Expired | Meaning::Clock) | None => {
            Outcome::Ambiguous { reason }
        }
    }
}

/// What a failed call means. `source` is the sender's address.
pub(super) fn call(error: &CallError, source: &str) -> Verdict {
    let reason = || reason(&error.label(), &error.text);
    let all = |outcome: fn(String) -> Outcome| Verdict::All(outcome(reason()));
    match error.kind {
        Kind::NotSent => all(|reason| Outcome::Deferred { reason }),
        Kind::NotBuilt => all(|reason| Outcome::Misconfigured { reason, hold: false }),
        Kind::TimedOut | Kind::Cut => all(|reason| Outcome::Ambiguous { reason }),
        Kind::Answered => {
            let code = error.code.as_deref();
            match code.and_then(|code| meaning(code, &error.text, source)) {
                Some(Meaning::Retry) => all(|reason| Outcome::Deferred { reason }),
                Some(Meaning::Throttled { late }) => {
                    Verdict::All(Outcome::Throttled { reason: reason(), late })
                }
                Some(Meaning::Permanent) => Verdict::OneOf { reason: reason() },
                Some(Meaning::Configuration { hold }) => {
                    Verdict::All(Outcome::Misconfigured { reason: reason(), hold })
                }
                Some(Meaning::Expired) => Verdict::Expired { reason: reason() },
                Some(Meaning::Clock) => Verdict::Clock { reason: reason() },
                Some(Meaning::Accepted | Meaning::Ambiguous) => {
                    all(|reason| Outcome::Ambiguous { reason })
                }
                None => Verdict::All(by_status(error.status, code.is_some(), reason())),
            }
        }
    }
}

/// An answer whose code says nothing to us, or that has none: perhaps not from SES at all.
fn by_status(status: Option<u16>, has_code: bool, reason: String) -> Outcome {
    match status {
        Some(429) => Outcome::Throttled { reason, late: false },
        Some(404) => Outcome::Misconfigured { reason, hold: false },
        Some(401 | 403) if has_code => Outcome::Misconfigured { reason, hold: false },
        // A proxy on the way wants something of us: it did not pass the call on.
        Some(300..=399 | 401 | 403 | 407) => Outcome::Misconfigured { reason, hold: true },
        Some(_) | None => Outcome::Ambiguous { reason },
    }
}

fn reason(label: &str, text: &str) -> String {
    if text.is_empty() { words(label) } else { words(&format!("{label}: {text}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "Mailroom <noreply@example.com>";

    /// The class of an answer, as the table of providers' answers names it.
    fn class(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Sent { .. } => "accepted",
            Outcome::Deferred { .. } => "retry",
            Outcome::Untried { .. } => "untried",
            Outcome::Ambiguous { .. } => "ambiguous",
            Outcome::Throttled { late: false, .. } => "throttled",
            Outcome::Throttled { late: true, .. } => "throttled, late",
            Outcome::Rejected { .. } => "permanent",
            Outcome::Misconfigured { hold: false, .. } => "configuration",
            Outcome::Misconfigured { hold: true, .. } => "configuration, hold",
        }
    }

    fn verdict(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::All(outcome) => class(outcome),
            Verdict::OneOf { .. } => "bisect",
            Verdict::Expired { .. } => "refresh",
            Verdict::Clock { .. } => "clock",
        }
    }

    #[test]
    fn every_status_of_an_entry_has_its_class() {
        for (status, error, expected) in [
            ("SUCCESS", "", "accepted"),
            ("TRANSIENT_FAILURE", "", "retry"),
            ("ACCOUNT_THROTTLED", "Maximum sending rate exceeded.", "throttled"),
            ("ACCOUNT_DAILY_QUOTA_EXCEEDED", "", "throttled, late"),
            ("ACCOUNT_THROTTLED", "Daily message quota exceeded.", "throttled, late"),
            ("MESSAGE_REJECTED", "Email address is on the suppression list", "permanent"),
            ("MESSAGE_REJECTED", "Email address is not verified: ann@example.org", "permanent"),
            (
                "MESSAGE_REJECTED",
                "Email address is not verified. The following identities failed the check in \
                 region US-EAST-1: noreply@example.com, ann@example.org",
                "configuration",
            ),
            ("INVALID_PARAMETER", "Missing final '@domain'", "permanent"),
            ("FAILED", "", "ambiguous"),
            ("SOMETHING_NEW", "", "ambiguous"),
            ("MAIL_FROM_DOMAIN_NOT_VERIFIED", "", "configuration"),
            ("CONFIGURATION_SET_NOT_FOUND", "", "configuration"),
            ("TEMPLATE_NOT_FOUND", "", "configuration"),
            ("INVALID_SENDING_POOL_NAME", "", "configuration"),
            ("ACCOUNT_SUSPENDED", "", "configuration"),
            ("ACCOUNT_SENDING_PAUSED", "", "configuration, hold"),
            ("CONFIGURATION_SET_SENDING_PAUSED", "", "configuration, hold"),
        ] {
            let result = EntryResult { status: Some(status), error: Some(error), message_id: None };
            assert_eq!(class(&entry(&result, SOURCE)), expected, "{status} {error}");
        }
        let none = EntryResult { status: None, error: None, message_id: Some("id") };
        assert_eq!(class(&entry(&none, SOURCE)), "ambiguous");
    }

    #[test]
    fn every_answer_to_a_call_has_its_class() {
        for (status, code, text, expected) in [
            (429, "TooManyRequestsException", "", "throttled"),
            (429, "", "", "throttled"),
            (400, "ThrottlingException", "Maximum sending rate exceeded.", "throttled"),
            (400, "Throttling", "Maximum sending rate exceeded.", "throttled"),
            (400, "ThrottlingException", "Daily message quota exceeded.", "throttled, late"),
            (400, "LimitExceededException", "", "throttled, late"),
            (400, "MailFromDomainNotVerifiedException", "", "configuration"),
            (400, "MAIL_FROM_DOMAIN_NOT_VERIFIED", "", "configuration"),
            (400, "CONFIGURATION_SET_NOT_FOUND", "", "configuration"),
            (400, "ConfigurationSetDoesNotExistException", "", "configuration"),
            (400, "TEMPLATE_NOT_FOUND", "", "configuration"),
            (400, "BadRequestException", "Template welcome does not exist", "configuration"),
            (400, "INVALID_SENDING_POOL_NAME", "", "configuration"),
            (400, "AccountSuspendedException", "", "configuration"),
            (404, "NotFoundException", "Template welcome does not exist", "configuration"),
            (404, "", "", "configuration"),
            (403, "AccessDeniedException", "User is not authorized", "configuration"),
            (403, "InvalidSignatureException", "does not match", "configuration"),
            (403, "SignatureDoesNotMatch", "", "configuration"),
            (403, "UnrecognizedClientException", "", "configuration"),
            (403, "InvalidClientTokenId", "", "configuration"),
            (403, "SomethingNewException", "", "configuration"),
            (403, "", "", "configuration, hold"),
            (407, "", "", "configuration, hold"),
            (302, "", "", "configuration, hold"),
            (400, "SendingPausedException", "", "configuration, hold"),
            (400, "ACCOUNT_SENDING_PAUSED", "", "configuration, hold"),
            (400, "CONFIGURATION_SET_SENDING_PAUSED", "", "configuration, hold"),
            (400, "MessageRejected", "Illegal content", "bisect"),
            (
                400,
                "MessageRejected",
                "Email address is not verified: noreply@example.com",
                "configuration",
            ),
            (400, "BadRequestException", "Illegal address", "bisect"),
            (403, "ExpiredTokenException", "", "refresh"),
            (403, "ExpiredToken", "", "refresh"),
            (403, "RequestExpired", "", "refresh"),
            (403, "InvalidSignatureException", "Signature expired: 2026 is now", "clock"),
            (403, "RequestTimeTooSkewed", "", "clock"),
            (500, "InternalFailure", "", "ambiguous"),
            (500, "", "", "ambiguous"),
            (503, "ServiceUnavailable", "", "ambiguous"),
            (503, "", "", "ambiguous"),
            (400, "", "", "ambiguous"),
            (400, "SomethingNewException", "", "ambiguous"),
            (200, "", "not JSON", "ambiguous"),
        ] {
            let error = CallError {
                kind: Kind::Answered,
                status: Some(status),
                code: Some(code.to_owned()).filter(|code| !code.is_empty()),
                text: text.to_owned(),
            };
            assert_eq!(verdict(&call(&error, SOURCE)), expected, "{status} {code} {text}");
        }
    }

    #[test]
    fn every_call_without_an_answer_has_its_class() {
        for (kind, expected) in [
            (Kind::NotSent, "retry"),
            (Kind::NotBuilt, "configuration"),
            (Kind::TimedOut, "ambiguous"),
            (Kind::Cut, "ambiguous"),
        ] {
            let error = CallError { kind, status: None, code: None, text: "why".into() };
            assert_eq!(verdict(&call(&error, SOURCE)), expected, "{kind:?}");
        }
    }

    #[test]
    fn the_reason_has_the_providers_words_and_no_address() {
        let result = EntryResult {
            status: Some("MESSAGE_REJECTED"),
            error: Some("ann@example.org is on the suppression list"),
            message_id: None,
        };
        let reason = "MESSAGE_REJECTED: <address> is on the suppression list".to_owned();
        assert_eq!(entry(&result, SOURCE), Outcome::Rejected { reason });
    }
}
