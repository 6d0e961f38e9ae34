//! What the double's account is set up with: identities, configuration sets, and what one may ask.
//!
//! Until told otherwise every identity is verified, and every configuration set is there.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Response;
use serde_json::{Value, json};

use super::Ses;
use super::answer::{self, Payload};
use super::state::Shared;

/// Where GetEmailIdentity lives.
const IDENTITIES: &str = "/v2/email/identities/";
/// Where GetConfigurationSet lives.
const CONFIGURATION_SETS: &str = "/v2/email/configuration-sets/";

/// What is there; `None`: whatever is asked for.
#[derive(Debug, Default)]
pub(super) struct Setup {
    /// Whether each is verified.
    identities: Option<BTreeMap<String, bool>>,
    /// Whether each may send.
    configuration_sets: Option<BTreeMap<String, bool>>,
    /// The operations that these credentials may not call.
    pub(super) denied: BTreeSet<String>,
}

impl Ses {
    /// From now on these identities, addresses or domains, are there and no others; each is verified or
    /// not.
    pub fn set_identities(&self, identities: &[(&str, bool)]) {
        self.shared.lock().setup.identities = Some(owned(identities));
    }

    /// From now on these configuration sets are there and no others; each may send or not.
    pub fn set_configuration_sets(&self, sets: &[(&str, bool)]) {
        self.shared.lock().setup.configuration_sets = Some(owned(sets));
    }

    /// Refuses an operation from now on, as to credentials whose policy does not have it:
    /// `GetEmailIdentity`, `GetConfigurationSet`, `GetEmailTemplate` or `GetAccount`.
    pub fn deny(&self, operation: &str) {
        self.shared.lock().setup.denied.insert(operation.to_owned());
    }

    /// Changes what GetAccount says.
    pub fn change_account(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.shared.lock().account.body);
    }
}

fn owned(all: &[(&str, bool)]) -> BTreeMap<String, bool> {
    all.iter().map(|(name, yes)| ((*name).to_owned(), *yes)).collect()
}

/// That `operation` is denied, if it is.
pub(super) fn denied(shared: &Shared, operation: &str) -> Option<Response<Payload>> {
    let denied = shared.lock().setup.denied.contains(operation);
    let message = format!("User is not authorized to perform: ses:{operation}");
    denied.then(|| answer::error(403, "AccessDeniedException", &message))
}

/// Answers a question about an identity or a configuration set; `None`: it is about neither.
pub(super) fn handle(path: &str, shared: &Shared) -> Option<Response<Payload>> {
    let missing =
        |what: &str| answer::error(404, "NotFoundException", &format!("{what} not found"));
    let is = |known: &Option<BTreeMap<String, bool>>, name: &str| match known {
        None => Some(true),
        Some(known) => known.get(name).copied(),
    };
    if let Some(name) = path.strip_prefix(IDENTITIES) {
        let name = name.replace("%40", "@");
        return Some(denied(shared, "GetEmailIdentity").unwrap_or_else(|| {
            match is(&shared.lock().setup.identities, &name) {
                None => missing("identity"),
                Some(verified) => answer::json(
                    200,
                    &json!({
                        "IdentityType": if name.contains('@') { "EMAIL_ADDRESS" } else { "DOMAIN" },
                        "VerifiedForSendingStatus": verified,
                        "VerificationStatus": if verified { "SUCCESS" } else { "PENDING" },
                    }),
                ),
            }
        }));
    }
    let name = path.strip_prefix(CONFIGURATION_SETS)?;
    Some(denied(shared, "GetConfigurationSet").unwrap_or_else(|| {
        match is(&shared.lock().setup.configuration_sets, name) {
            None => missing("configuration set"),
            Some(sends) => answer::json(
                200,
                &json!({
                    "ConfigurationSetName": name,
                    "SendingOptions": { "SendingEnabled": sends },
                }),
            ),
        }
    }))
}
