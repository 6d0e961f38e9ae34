//! Settings, from the environment.

use std::path::PathBuf;

use anyhow::Context;
use mailroom::SecretKey;
use tokio_postgres::Config;

/// What the application is told.
#[derive(Debug)]
pub struct Settings {
    /// `LISTEN`: where, `127.0.0.1:8080` unless told otherwise.
    pub listen: String,
    /// `DATABASE_URL`: as somebody who may do what `mailroom_application` may.
    pub database: Config,
    /// `MAILROOM_SECRET_KEY`: the collector's key. While it is being rotated, both, the newest first,
    /// with a blank between them.
    pub keys: Vec<SecretKey>,
    /// `MAILBOX`: for this example only, the folder that `MAILROOM_TRANSPORT=file` writes to.
    pub mailbox: Option<PathBuf>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// Names the variable that is missing or wrong, and says nothing of its value.
    pub fn from_env() -> anyhow::Result<Settings> {
        let required =
            |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        // The error of a URL may quote the URL.
        let database = required("DATABASE_URL")?.parse();
        let keys = required("MAILROOM_SECRET_KEY")?;
        Ok(Settings {
            listen: std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned()),
            database: database.ok().context("DATABASE_URL is not a connection string")?,
            keys: keys
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()
                .context("MAILROOM_SECRET_KEY")?,
            mailbox: std::env::var_os("MAILBOX").map(PathBuf::from),
        })
    }
}
