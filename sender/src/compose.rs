//! From a mail to what its recipient reads: which template, in which language, with which variables.

use std::time::{SystemTime, UNIX_EPOCH};

use mailroom::ActionNumber;
use render::{Catalogue, Letter, Locale, Locales, Template, Variables};

use crate::transport::{Call, Mail, Outcome};

/// Templates, and what all mail has in common.
#[derive(Debug)]
pub struct Composer {
    catalogue: Catalogue,
    locales: Locales,
    base_url: Option<String>,
}

/// A mail with the template that suits it.
pub struct Composed<'a> {
    /// The template's locale.
    pub locale: &'a Locale,
    /// What it is filled with.
    pub variables: Variables,
    template: &'a Template,
}

impl Composer {
    /// `base_url` is what links start with; a template that needs it fails without.
    pub fn new(catalogue: Catalogue, locales: Locales, base_url: Option<String>) -> Self {
        Self { catalogue, locales, base_url }
    }

    /// Whether a template wants to know what links start with, and nobody has said it.
    pub fn misses_base_url(&self) -> bool {
        let uses = |source: &&str| source.contains("base_url");
        self.base_url.is_none()
            && self.catalogue.iter().any(|(.., template)| template.sources().iter().any(uses))
    }

    /// What comes in place of a locale there is no template for.
    pub fn locales(&self) -> &Locales {
        &self.locales
    }

    /// The template for a mail, and its variables.
    ///
    /// # Errors
    /// What stops the mail: an action without a template is a fault of the configuration.
    pub fn compose<'a>(&'a self, call: &Call, mail: &Mail) -> Result<Composed<'a>, Outcome> {
        let misconfigured = |reason| Outcome::Misconfigured { reason, hold: false };
        let Some(label) = label(call) else {
            let number = call.action;
            return Err(misconfigured(format!(
                "action {number} has no name here: only a sender with MAILROOM_DATABASE_URL, and no \
                 dry run, learns it"
            )));
        };
        let wanted: Option<Locale> = mail.locale.as_deref().and_then(|locale| locale.parse().ok());
        let found = self.catalogue.find(label, wanted.as_ref(), &self.locales);
        let Some((locale, template)) = found else {
            let default = self.locales.default_locale().map_or("en", Locale::as_str);
            return Err(misconfigured(format!(
                "there is no template {label}/{default}: add it to MAILROOM_TEMPLATES"
            )));
        };
        // The wire has a code for everything; that of an activation is signed by nobody.
        let code = mail.code.as_deref().filter(|code| !code.is_empty());
        let code = code.filter(|_| call.action != ActionNumber::ACTIVATION);
        let mut variables =
            Variables::new(&mail.login, &mail.token, code).with_locale(locale.as_str());
        if let Some(url) = &self.base_url {
            variables = variables.with_base_url(url);
        }
        if let Some(expires_at) = mail.expires_at {
            variables = variables.with_expiry(expires_at, now());
        }
        if let Some(data) = &mail.data {
            let data = serde_json::from_str(data)
                .map_err(|error| Outcome::Rejected { reason: format!("tokens.data: {error}") })?;
            variables.extend(data);
        }
        Ok(Composed { locale, variables, template })
    }

    /// What the recipient of a mail reads.
    ///
    /// # Errors
    /// As [`compose`](Composer::compose), or that a variable is missing.
    pub fn letter(&self, call: &Call, mail: &Mail) -> Result<Letter, Outcome> {
        self.compose(call, mail)?.letter()
    }
}

impl Composed<'_> {
    /// Fills the template in.
    ///
    /// # Errors
    /// A variable that is missing: this mail will never be.
    pub fn letter(&self) -> Result<Letter, Outcome> {
        self.template
            .render(&self.variables)
            .map_err(|problem| Outcome::Rejected { reason: format!("template: {problem}") })
    }
}

/// The action's label: what the database says, else those every deployment has.
fn label(call: &Call) -> Option<&str> {
    call.label.as_deref().or(match call.action {
        ActionNumber::ACTIVATION => Some("activation"),
        ActionNumber::PASSWORD_RECOVERY => Some("password_recovery"),
        _ => None,
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
