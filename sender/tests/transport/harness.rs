//! What the tests send, and through what.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sesv2::config::Region;
use mailroom::ActionNumber;
use sender::template::Templates;
use sender::transport::ses::{Ses, SesSettings, TimeOuts};
use sender::transport::{Call, Mail, Outcome, Transport};
use tempfile::TempDir;

/// A transport, and the directory it keeps error responses in.
pub(crate) struct Rig {
    pub(crate) ses: Ses,
    pub(crate) output: TempDir,
}

impl Rig {
    pub(crate) fn new(endpoint: &str) -> Self {
        let credentials = Credentials::new("key", "secret", None, None, "test");
        Self::with_credentials(endpoint, credentials)
    }

    pub(crate) fn with_credentials(
        endpoint: &str,
        provider: impl ProvideCredentials + 'static,
    ) -> Self {
        let output = tempfile::tempdir().unwrap();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .build();
        let ses = Ses::with_config(config, settings(&output)).unwrap();
        Self { ses, output }
    }

    pub(crate) async fn send(&self, call: &Call) -> Vec<Outcome> {
        self.ses.send(call, &|| true).await
    }

    /// The texts of the error responses kept.
    pub(crate) fn kept(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.output.path().join("kept")).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

/// Time-outs short enough to be waited for.
pub(crate) fn settings(output: &TempDir) -> SesSettings {
    SesSettings {
        config_set: Some("events".into()),
        source: "Mailroom <noreply@example.com>".into(),
        output: output.path().join("kept"),
        templates: Templates::default(),
        reply_to: None,
        time_outs: TimeOuts {
            connect: Duration::from_millis(700),
            read: Duration::from_millis(900),
            operation: Duration::from_millis(1500),
        },
    }
}

/// An activation for each address.
pub(crate) fn activations(addresses: &[&str]) -> Call {
    let mails = addresses.iter().zip(1..).map(|(address, delivery)| mail(delivery, address));
    Call { action: ActionNumber::ACTIVATION, label: None, mails: mails.collect() }
}

/// `n` activations, to `u1@example.org`, `u2@example.org` and so on.
pub(crate) fn many(n: usize) -> Call {
    let addresses: Vec<_> = (1..=n).map(|i| format!("u{i}@example.org")).collect();
    activations(&addresses.iter().map(String::as_str).collect::<Vec<_>>())
}

pub(crate) fn mail(delivery: i64, address: &str) -> Mail {
    Mail {
        delivery: Some(delivery),
        email: address.into(),
        login: "ann".into(),
        token: "T".repeat(86),
        code: Some("06435".into()),
        locale: None,
        expires_at: None,
        data: None,
    }
}

/// The class of an outcome, for short expectations.
pub(crate) fn class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Sent { .. } => "sent",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Untried { .. } => "untried",
        Outcome::Ambiguous { .. } => "ambiguous",
        Outcome::Throttled { late: false, .. } => "throttled",
        Outcome::Throttled { late: true, .. } => "late",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Misconfigured { hold: false, .. } => "misconfigured",
        Outcome::Misconfigured { hold: true, .. } => "hold",
    }
}

pub(crate) fn classes(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(class).collect()
}

pub(crate) fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Sent { provider_id } => provider_id,
        Outcome::Deferred { reason }
        | Outcome::Untried { reason }
        | Outcome::Ambiguous { reason }
        | Outcome::Throttled { reason, .. }
        | Outcome::Rejected { reason }
        | Outcome::Misconfigured { reason, .. } => reason,
    }
}
