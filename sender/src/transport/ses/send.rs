//! Sending the entries of one template: one call if it can be, halves if SES refuses the whole for
//! one of them, and no repeat of a call that may have been accepted.

use std::ops::Range;

use aws_sdk_sesv2::types::{BulkEmailEntry, BulkEmailEntryResult};

use super::call_error::CallError;
use super::classify::{self, EntryResult, Verdict};
use super::transmitting::Transmitting;
use super::{Ses, request, settings};
use crate::transport::Outcome;

impl Ses {
    /// Sends in as few calls as can be. When SES refuses a call for one of its mails, the halves are
    /// sent apart until that mail is alone.
    pub(super) async fn send_entries(
        &self,
        template: &str,
        entries: &[BulkEmailEntry],
        go: &dyn Fn() -> bool,
    ) -> Vec<Outcome> {
        let mut outcomes = vec![None; entries.len()];
        let mut parts: Vec<Range<usize>> = std::iter::once(0..entries.len()).collect();
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.send_part(template, &entries[part.clone()], go).await {
                Part::Each(each) => {
                    let stop = each.iter().find(|outcome| stops(outcome)).cloned();
                    for (place, outcome) in part.zip(each) {
                        outcomes[place] = Some(outcome);
                    }
                    if let Some(outcome) = stop {
                        return not_tried(outcomes, &outcome);
                    }
                }
                Part::All(outcome) => {
                    outcomes[part].fill(Some(outcome.clone()));
                    return not_tried(outcomes, &outcome);
                }
                Part::OneOf { reason } if part.len() == 1 => {
                    outcomes[part].fill(Some(Outcome::Rejected { reason }));
                }
                Part::OneOf { reason } => {
                    tracing::warn!(mails = part.len(), reason, "call_bisected");
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
            }
        }
        not_tried(outcomes, &Outcome::Deferred { reason: "not tried".to_owned() })
    }

    /// One call, repeated at most once, after credentials that had expired or a wrong clock.
    async fn send_part(
        &self,
        template: &str,
        entries: &[BulkEmailEntry],
        go: &dyn Fn() -> bool,
    ) -> Part {
        let mut repeated = false;
        loop {
            if !go() {
                return Part::All(Outcome::Untried { reason: "held back".to_owned() });
            }
            let error = match self.send_once(template, entries).await {
                Ok(each) => return Part::Each(each),
                Err(error) => error,
            };
            match classify::call(&error, &self.settings.source) {
                Verdict::All(outcome) => return Part::All(outcome),
                Verdict::OneOf { reason } => return Part::OneOf { reason },
                Verdict::Expired { reason } | Verdict::Clock { reason } if repeated => {
                    return Part::All(Outcome::Deferred { reason });
                }
                Verdict::Expired { reason } => {
                    tracing::warn!(mails = entries.len(), reason, "call_repeated");
                    self.renew_credentials().await;
                }
                Verdict::Clock { reason } => {
                    tracing::warn!(mails = entries.len(), reason, "call_repeated");
                }
            }
            repeated = true;
        }
    }

    async fn send_once(
        &self,
        template: &str,
        entries: &[BulkEmailEntry],
    ) -> Result<Vec<Outcome>, CallError> {
        let client = self.client.borrow().clone();
        let transmitting = Transmitting::default();
        let request = request::request(&client, &self.settings, template, entries.to_vec());
        let sending = request.customize().interceptor(transmitting.clone()).send();
        let output = match Box::pin(sending).await {
            Ok(output) => output,
            Err(error) => {
                if let Some(response) = error.raw_response() {
                    self.kept.keep(response);
                }
                return Err(CallError::new(&error, transmitting.begun()));
            }
        };
        let results = output.bulk_email_entry_results();
        if results.len() != entries.len() {
            let reason = format!("{} results for {} mails", results.len(), entries.len());
            return Ok(vec![Outcome::Ambiguous { reason }; entries.len()]);
        }
        let outcome = |result: &BulkEmailEntryResult| {
            let result = EntryResult {
                status: result.status().map(|status| status.as_str()),
                error: result.error(),
                message_id: result.message_id(),
            };
            classify::entry(&result, &self.settings.source)
        };
        Ok(results.iter().map(outcome).collect())
    }

    /// Drops the cached credentials, and reads the environment and the files anew.
    async fn renew_credentials(&self) {
        let config = match &self.given {
            Some(config) => config.clone(),
            None => settings::from_environment(&self.http, self.region.clone()).await,
        };
        self.client.replace(settings::client(&config, &self.http, self.settings.time_outs));
    }
}

/// How the call for a part of the mails went.
enum Part {
    Each(Vec<Outcome>),
    All(Outcome),
    OneOf { reason: String },
}

/// Whether an outcome of one mail says that the next call is better not made now.
fn stops(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Throttled { .. } | Outcome::Misconfigured { .. } => true,
        Outcome::Sent { .. }
        | Outcome::Deferred { .. }
        | Outcome::Ambiguous { .. }
        | Outcome::Rejected { .. }
        | Outcome::Untried { .. } => false,
    }
}

/// Completes the outcomes: what was not tried because of `cause` was provably not sent.
fn not_tried(outcomes: Vec<Option<Outcome>>, cause: &Outcome) -> Vec<Outcome> {
    let outcome = match cause {
        Outcome::Ambiguous { reason } => Outcome::Deferred { reason: reason.clone() },
        other => other.clone(),
    };
    outcomes.into_iter().map(|known| known.unwrap_or_else(|| outcome.clone())).collect()
}
