//! Environment variables, taken down once: each command reads its own settings from them.

use std::ffi::OsString;

use daemon::postgres::Target;
use daemon::settings::{Problems, said};
use serde::Deserialize;

/// The variables of the process.
#[derive(Clone)]
pub struct Environment(Vec<(OsString, OsString)>);

#[derive(Debug, Default, Deserialize)]
struct Said {
    database_url: Option<String>,
    database_url_file: Option<String>,
}

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Those of somebody else.
    pub fn of(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(vars.into_iter().collect())
    }

    /// All of them, for [`daemon::settings::said`].
    pub fn vars(&self) -> impl Iterator<Item = (OsString, OsString)> + use<> {
        self.0.clone().into_iter()
    }

    /// Where PostgreSQL is.
    ///
    /// # Errors
    /// When `MAILROOM_DATABASE_URL` is missing or wrong.
    pub fn database(&self) -> Result<Target, Problems> {
        let said: Said = said(self.vars())?;
        let mut problems = Problems::default();
        let target = problems
            .required_or_file("MAILROOM_DATABASE_URL", said.database_url, said.database_url_file)
            .and_then(|url| problems.check("MAILROOM_DATABASE_URL", Target::from_env(&url)));
        let Some(target) = target else { return Err(problems) };
        problems.finish(target.with_application_name("mailroom"))
    }
}

impl std::fmt::Debug for Environment {
    /// Values may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
