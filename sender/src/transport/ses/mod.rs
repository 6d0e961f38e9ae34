//! Amazon SES v2, by `SendBulkEmail` and stored templates.
//!
//! SES has no idempotency token, so nothing here repeats a call that may have been accepted. A call
//! is repeated only after an answer that says it was refused: in halves, to find the one mail that
//! SES refused the others for; and once after credentials that had expired.
//!
//! Events (and those of `kept`):
//! * `ses_ready` (info): `region`, `endpoint`.
//! * `send_rate_unknown` (info; warn if no call can be made at all): `reason`.
//! * `call_bisected` (warn): `mails`, `reason`.
//! * `call_repeated` (warn): `mails`, `reason`: after expired credentials or a wrong clock.

mod call_error;
mod classify;
mod kept;
mod meaning;
mod request;
mod send;
mod settings;
pub mod tools;
mod transmitting;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::{Region, SharedHttpClient};
use aws_sdk_sesv2::types::BulkEmailEntry;

use self::call_error::{CallError, Kind};
use self::kept::Kept;
pub use self::settings::{SesSettings, TimeOuts, check_source};
use super::words::words;
use super::{Call, Mail, Outcome, SendRate, Transport};
use crate::compose::Composer;
use crate::template;

/// Entries of one call (an SES limit).
const MAILS_PER_CALL_MAX: usize = 50;

/// The SES transport.
pub struct Ses {
    settings: SesSettings,
    http: SharedHttpClient,
    /// The configuration this was given, or `None`: the environment's, which can be read anew.
    given: Option<SdkConfig>,
    region: Option<Region>,
    client: RefCell<Client>,
    kept: Kept,
    composer: Option<Composer>,
}

impl Ses {
    /// A transport configured by the environment, the profile files and the machine, as AWS's own
    /// tools are. Makes no call to SES yet, and needs no credentials until it does. Fails if the
    /// settings cannot be right.
    pub async fn connect(settings: SesSettings) -> anyhow::Result<Self> {
        settings.check()?;
        let http = settings::http_client();
        let config = settings::from_environment(&http, None).await;
        let kept = Kept::create(&settings.output);
        tracing::info!(
            region = config.region().map(AsRef::as_ref).unwrap_or_default(),
            endpoint = config.endpoint_url().unwrap_or_default(),
            "ses_ready"
        );
        Ok(Self { given: None, ..Self::new(http, config, settings, kept) })
    }

    /// A transport with a configuration of its own: credentials, region and endpoint are those of
    /// `config`, and the environment is not read.
    pub fn with_config(config: SdkConfig, settings: SesSettings) -> anyhow::Result<Self> {
        settings.check()?;
        let kept = Kept::create(&settings.output);
        Ok(Self::new(settings::http_client(), config, settings, kept))
    }

    /// Likewise, over another HTTP client, which is not expected to bring errors to keep.
    pub(super) fn over(
        http: SharedHttpClient,
        config: SdkConfig,
        settings: SesSettings,
    ) -> anyhow::Result<Self> {
        settings.check()?;
        let kept = Kept::new(&settings.output);
        Ok(Self::new(http, config, settings, kept))
    }

    fn new(http: SharedHttpClient, config: SdkConfig, settings: SesSettings, kept: Kept) -> Self {
        let client = settings::client(&config, &http, settings.time_outs);
        let region = config.region().cloned();
        let (given, client) = (Some(config), RefCell::new(client));
        Self { settings, http, given, region, client, kept, composer: None }
    }
}

impl Ses {
    /// Has mail rendered here first, from the templates that SES's were pushed from: SES answers
    /// "success" where a variable is missing, and sends nothing.
    #[must_use]
    pub fn with_composer(self, composer: Option<Composer>) -> Self {
        Self { composer, ..self }
    }

    /// The template and the entry of a mail, or what stops it.
    fn entry(&self, call: &Call, mail: &Mail) -> Result<(String, BulkEmailEntry), Outcome> {
        let names = &self.settings.templates;
        let Some(name) = names.name(call.action, call.label.as_deref()) else {
            let reason =
                format!("action {} has no template: set {}", call.action, template::SETTING);
            return Err(Outcome::Misconfigured { reason, hold: false });
        };
        let rejected = |reason| Outcome::Rejected { reason };
        let (name, data) = match &self.composer {
            None => (name.into_owned(), template::data(call.action, mail).map_err(rejected)?),
            Some(composer) => {
                let composed = composer.compose(call, mail)?;
                composed.letter()?;
                let default = composer.locales().default_locale();
                let name = template::localised(&name, composed.locale, default);
                (name, composed.variables.as_value().to_string())
            }
        };
        let entry = request::entry(call.action, mail, data).map_err(rejected)?;
        Ok((name, entry))
    }

    /// What of ours SES may mean: it does not always say.
    fn blame(&self, template: &str, reason: &str) -> String {
        let set = self.settings.config_set.as_deref().unwrap_or("none");
        format!("{reason} (template {template}, configuration set {set})")
    }
}

impl Transport for Ses {
    fn name(&self) -> &'static str {
        "ses"
    }

    fn mails_per_call_max(&self) -> usize {
        MAILS_PER_CALL_MAX
    }

    fn call_timeout(&self) -> Duration {
        self.settings.time_outs.operation
    }

    async fn send_rate(&self) -> SendRate {
        let client = self.client.borrow().clone();
        let reason = match Box::pin(client.get_account().send()).await {
            Ok(account) => match account.send_quota().map(|quota| quota.max_send_rate()) {
                Some(rate) if rate > 0.0 => return SendRate::Known(rate),
                Some(_) | None => "the account has no maximum send rate".to_owned(),
            },
            Err(error) => {
                let error = CallError::new(&error, true);
                let reason = words(&format!("{}: {}", error.label(), error.text));
                if error.kind == Kind::NotBuilt {
                    // Nor will mail be sent: better heard of now than with the first one.
                    tracing::warn!(reason, "send_rate_unknown");
                    return SendRate::Unknown;
                }
                reason
            }
        };
        tracing::info!(reason, "send_rate_unknown");
        SendRate::Unknown
    }

    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; call.mails.len()];
        // One call has one template, and a template has one language.
        let mut groups: BTreeMap<String, Vec<(usize, BulkEmailEntry)>> = BTreeMap::new();
        for (place, mail) in call.mails.iter().enumerate() {
            match self.entry(call, mail) {
                Ok((template, entry)) => groups.entry(template).or_default().push((place, entry)),
                Err(outcome) => outcomes[place] = Some(outcome),
            }
        }
        for (template, group) in groups {
            let (places, entries): (Vec<usize>, Vec<BulkEmailEntry>) = group.into_iter().unzip();
            let sent = self.send_entries(&template, &entries, go).await;
            for (place, outcome) in places.into_iter().zip(sent) {
                outcomes[place] = Some(match outcome {
                    Outcome::Misconfigured { reason, hold } => {
                        Outcome::Misconfigured { reason: self.blame(&template, &reason), hold }
                    }
                    other => other,
                });
            }
        }
        let not_tried = || Outcome::Deferred { reason: "not tried".to_owned() };
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(not_tried)).collect()
    }
}
