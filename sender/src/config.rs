//! Settings: what was said in the environment, and what is needed.

use std::ffi::OsString;
use std::path::PathBuf;

use daemon::log::LogSettings;
use daemon::postgres::Target;
use daemon::settings::{Problems, said};
use serde::Deserialize;

use crate::template::{self, Templates};
use crate::transport::ses::{SesSettings, TimeOuts, check_source};

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// The variables, called as in the environment without `MAILROOM_`.
#[derive(Debug, Default, Deserialize)]
struct Said {
    database_url: Option<String>,
    database_url_file: Option<String>,
    debug: Option<String>,
    ses_config_set: Option<String>,
    ses_source: Option<String>,
    ses_output_path: Option<String>,
    ses_templates: Option<String>,
    ses_rate: Option<String>,
    sender_concurrency: Option<String>,
    max_attempts: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
}

/// What the sender needs.
#[derive(Debug)]
pub struct Config {
    /// Where PostgreSQL is; without one nothing can be acknowledged. A dry run has none.
    pub database: Option<Target>,
    /// Show what would be sent, send nothing, record nothing.
    pub dry_run: bool,
    /// The SES configuration set, if one is used.
    pub ses_config_set: Option<String>,
    /// The sender's address.
    pub ses_source: String,
    /// Where error responses are kept.
    pub ses_output_path: PathBuf,
    /// The stored template of each action.
    pub ses_templates: Templates,
    /// Recipients a second; `None`: as the provider says.
    pub ses_rate: Option<f64>,
    /// Calls in flight at once.
    pub concurrency: usize,
    /// Attempts whose outcome is not known, until a delivery is given up.
    pub max_attempts: u32,
    /// What is logged.
    pub log: LogSettings,
}

impl Config {
    /// From environment variables.
    ///
    /// # Errors
    /// Every bad setting.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Problems> {
        let said: Said = said(vars)?;
        let mut problems = Problems::default();
        let dry_run = problems.flag("MAILROOM_DEBUG", said.debug, false);
        let database = problems
            .value_or_file("MAILROOM_DATABASE_URL", said.database_url, said.database_url_file)
            .and_then(|url| problems.check("MAILROOM_DATABASE_URL", Target::from_env(&url)))
            .map(|target| target.with_application_name("mailroom-sender"));
        let templates = said
            .ses_templates
            .map_or_else(|| Ok(Templates::default()), |templates| Templates::parse(&templates));
        let ses_rate = said.ses_rate.is_some().then(|| {
            problems.float(
                "MAILROOM_SES_RATE",
                said.ses_rate,
                1.0,
                0.1..=1e6,
                "recipients a second",
            )
        });
        let most = 16;
        let concurrency = problems.number(
            "MAILROOM_SENDER_CONCURRENCY",
            said.sender_concurrency,
            2,
            1..=most,
            "",
        );
        let max_attempts =
            problems.number("MAILROOM_MAX_ATTEMPTS", said.max_attempts, 10, 1..=1000, "");
        let ses_templates = problems.check(template::SETTING, templates);
        let ses_source = said.ses_source.unwrap_or_else(|| "noreply@localhost".to_owned());
        if let Some(set) = said.ses_config_set.as_deref()
            && !template::is_name(set)
        {
            problems.push(
                "MAILROOM_SES_CONFIG_SET",
                format_args!("{set:?} is not a name: up to 64 letters, digits, _ and -; or none"),
            );
        }
        problems.check("MAILROOM_SES_SOURCE", check_source(&ses_source));
        let config = Self {
            database: database.filter(|_| !dry_run),
            dry_run,
            ses_config_set: match said.ses_config_set.as_deref() {
                None => Some("default".to_owned()),
                Some("none") => None,
                Some(name) => Some(name.to_owned()),
            },
            ses_source,
            ses_output_path: said.ses_output_path.unwrap_or_else(|| "./output".to_owned()).into(),
            ses_templates: ses_templates.unwrap_or_default(),
            ses_rate,
            concurrency: usize::try_from(concurrency).unwrap_or(1),
            max_attempts: u32::try_from(max_attempts).unwrap_or(u32::MAX),
            log: LogSettings::from_said(&mut problems, said.log, said.log_format),
        };
        problems.finish(config)
    }

    /// What the SES transport is told.
    pub fn ses(&self) -> SesSettings {
        SesSettings {
            config_set: self.ses_config_set.clone(),
            source: self.ses_source.clone(),
            output: self.ses_output_path.clone(),
            templates: self.ses_templates.clone(),
            time_outs: TimeOuts::default(),
        }
    }

    /// The effective settings, a line each, secrets as `set`.
    pub fn describe(&self) -> String {
        let database =
            self.database.as_ref().map_or_else(|| "not set".to_owned(), Target::describe);
        let rate = self.ses_rate.map_or_else(|| "as SES says".to_owned(), |rate| rate.to_string());
        format!(
            "MAILROOM_DATABASE_URL={database}\nMAILROOM_DEBUG={}\nMAILROOM_SES_CONFIG_SET={}\n\
             MAILROOM_SES_SOURCE={}\nMAILROOM_SES_OUTPUT_PATH={}\nMAILROOM_SES_TEMPLATES={}\n\
             MAILROOM_SES_RATE={rate}\nMAILROOM_SENDER_CONCURRENCY={}\nMAILROOM_MAX_ATTEMPTS={}\n{}",
            self.dry_run,
            self.ses_config_set.as_deref().unwrap_or("none"),
            self.ses_source,
            self.ses_output_path.display(),
            self.ses_templates,
            self.concurrency,
            self.max_attempts,
            self.log.describe(),
        )
    }
}
