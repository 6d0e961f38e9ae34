//! What the provider allows. Asking is a courtesy: whatever it comes to, the rest is shown.

use std::time::Duration;

use aws_sdk_sesv2::operation::get_account::GetAccountOutput;
use sender::config::{Config, Kind};
use sender::transport::ses::TimeOuts;
use sender::transport::ses::tools::{Failure, client};
use serde::Serialize;

use crate::environment::Environment;

/// All of it, credentials included.
const WITHIN: Duration = Duration::from_secs(5);

/// What is known of the provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub(super) enum Provider {
    /// SES has answered.
    Ses(Quota),
    /// Nothing, and why not.
    Unknown {
        /// In words.
        reason: String,
    },
}

/// Amazon SES's word on the account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Quota {
    pub(super) sending_enabled: bool,
    /// Mail goes to verified addresses only.
    pub(super) sandbox: bool,
    pub(super) mails_a_second: f64,
    /// -1: no limit.
    pub(super) mails_a_day: f64,
    pub(super) sent_last_24_hours: f64,
}

impl Provider {
    /// Asks the provider of the environment's transport.
    pub(super) async fn ask(environment: &Environment) -> Self {
        let unknown = |reason: &str| Self::Unknown { reason: reason.to_owned() };
        match Config::from_vars(environment.vars()).map(|config| config.transport) {
            Err(_) => unknown("not asked: the settings of the sender are not complete here"),
            Ok(Kind::Ses) => match tokio::time::timeout(WITHIN, Box::pin(ses())).await {
                Ok(provider) => provider,
                Err(_) => unknown("no answer from SES"),
            },
            Ok(Kind::Smtp) => unknown("not asked: a relay tells no quota"),
            Ok(Kind::File | Kind::Noop) => unknown("not asked: nothing is sent"),
        }
    }
}

async fn ses() -> Provider {
    let time_outs = TimeOuts { read: WITHIN, operation: WITHIN, ..TimeOuts::default() };
    let client = client(time_outs).await;
    match client.get_account().send().await {
        Ok(account) => Provider::Ses(quota(&account)),
        Err(error) => Provider::Unknown { reason: format!("SES: {}", Failure::new(&error).reason) },
    }
}

fn quota(account: &GetAccountOutput) -> Quota {
    let quota = account.send_quota();
    Quota {
        sending_enabled: account.sending_enabled(),
        sandbox: !account.production_access_enabled(),
        mails_a_second: quota.map_or(0.0, |quota| quota.max_send_rate()),
        mails_a_day: quota.map_or(0.0, |quota| quota.max24_hour_send()),
        sent_last_24_hours: quota.map_or(0.0, |quota| quota.sent_last24_hours()),
    }
}
