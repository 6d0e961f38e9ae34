//! Settings: the variables that the sender has, as far as they concern templates.

use std::ffi::OsString;
use std::path::PathBuf;

use daemon::settings::{Problems, said};
use render::{Locale, Locales};
use sender::template::{SETTING, Templates};
use serde::Deserialize;

/// The variables, called as in the environment without `MAILROOM_`.
#[derive(Debug, Default, Deserialize)]
struct Said {
    templates: Option<String>,
    locales: Option<String>,
    base_url: Option<String>,
    ses_templates: Option<String>,
}

/// What the commands need.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where templates are, unless the command line says it.
    pub folder: PathBuf,
    /// The locale that every action must have.
    pub default_locale: Locale,
    /// What links in previews begin with.
    pub base_url: String,
    /// What SES calls the templates of an action.
    pub names: Templates,
}

impl Settings {
    /// From environment variables.
    ///
    /// # Errors
    /// Every bad setting.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Problems> {
        let said: Said = said(vars)?;
        let mut problems = Problems::default();
        let locales = said.locales.map(|locales| locales.parse::<Locales>());
        let locales = problems.check("MAILROOM_LOCALES", locales.transpose()).flatten();
        let names = Templates::parse(&said.ses_templates.unwrap_or_default());
        let names = problems.check(SETTING, names).unwrap_or_default();
        let base_url = said.base_url.unwrap_or_else(|| "https://example.com".to_owned());
        let locales = locales.unwrap_or_default();
        let Some(default_locale) = locales.default_locale().cloned() else { return Err(problems) };
        problems.finish(Self {
            folder: said.templates.unwrap_or_else(|| "./templates".to_owned()).into(),
            default_locale,
            base_url,
            names,
        })
    }
}
