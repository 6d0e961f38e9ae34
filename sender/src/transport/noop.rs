//! Accepts every mail and sends none: for trying out all the rest.
//!
//! Events:
//! * `mail_not_sent` (debug): `delivery`, `domain`.

use std::time::Duration;

use super::{Call, Outcome, SendRate, Transport};

/// As many as a large batch has: nothing is gained by asking PostgreSQL more often.
const MAILS_PER_CALL_MAX: usize = 500;

/// Nothing can take long; tokens must live a moment all the same.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// The transport that does nothing.
#[derive(Debug, Default)]
pub struct Noop;

impl Transport for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn mails_per_call_max(&self) -> usize {
        MAILS_PER_CALL_MAX
    }

    fn call_timeout(&self) -> Duration {
        CALL_TIMEOUT
    }

    async fn send_rate(&self) -> SendRate {
        SendRate::Unknown
    }

    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        if !go() {
            let reason = "held back".to_owned();
            return vec![Outcome::Untried { reason }; call.mails.len()];
        }
        let outcome = |mail: &super::Mail| {
            let domain = mail.email.rsplit_once('@').map_or("", |(_, domain)| domain);
            tracing::debug!(delivery = mail.delivery, domain, "mail_not_sent");
            Outcome::Sent { provider_id: String::new() }
        };
        call.mails.iter().map(outcome).collect()
    }
}
