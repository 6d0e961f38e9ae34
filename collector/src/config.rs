//! Settings: what was said in the environment, and what is needed.

use std::ffi::OsString;
use std::time::Duration;

use daemon::log::LogSettings;
use daemon::postgres::Target;
use daemon::settings::{Problems, said};
use mailroom::SecretKey;
use serde::Deserialize;

use crate::purges::Retention;

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// PostgreSQL cuts longer identifiers short.
const CHANNEL_BYTES_MAX: usize = 63;

const HOUR_SECONDS: u64 = 60 * 60;

/// The variables, called as in the environment without `MAILROOM_`.
#[derive(Debug, Default, Deserialize)]
struct Said {
    database_url: Option<String>,
    database_url_file: Option<String>,
    secret_key: Option<String>,
    secret_key_file: Option<String>,
    channel_name: Option<String>,
    queue_name: Option<String>,
    healthcheck_interval: Option<String>,
    batch_timeout: Option<String>,
    batch_limit: Option<String>,
    purge: Option<String>,
    purge_sent_hours: Option<String>,
    purge_others_hours: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
}

/// What the collector needs.
#[derive(Debug)]
pub struct Config {
    /// Where PostgreSQL is.
    pub database: Target,
    /// Signs the tokens.
    pub secret_key: SecretKey,
    /// The channel to LISTEN on.
    pub channel: String,
    /// The queue to serve.
    pub queue: String,
    /// The longest time without asking PostgreSQL anything.
    pub healthcheck_interval: Duration,
    /// How long a batch waits to become full.
    pub batch_timeout: Duration,
    /// Rows of a batch.
    pub batch_limit: u32,
    /// How long the delivery log is kept; `None`: it is somebody else's to purge.
    pub retention: Option<Retention>,
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
        let database = problems
            .required_or_file("MAILROOM_DATABASE_URL", said.database_url, said.database_url_file)
            .and_then(|url| problems.check("MAILROOM_DATABASE_URL", Target::from_env(&url)))
            .map(|target| target.with_application_name("mailroom-collector"));
        let secret_key = problems
            .required_or_file("MAILROOM_SECRET_KEY", said.secret_key, said.secret_key_file)
            .and_then(|key| problems.check("MAILROOM_SECRET_KEY", key.parse()));
        let channel = said.channel_name.unwrap_or_else(|| "token_insert".to_owned());
        if channel.len() > CHANNEL_BYTES_MAX || channel.contains('\0') {
            problems.push(
                "MAILROOM_CHANNEL_NAME",
                format_args!("is not an identifier of at most {CHANNEL_BYTES_MAX} bytes"),
            );
        }
        let mut millis = |name: &str, value, default, range| {
            Duration::from_millis(problems.number(name, value, default, range, "ms"))
        };
        let day = 24 * 60 * 60 * 1000;
        let healthcheck_interval =
            millis("MAILROOM_HEALTHCHECK_INTERVAL", said.healthcheck_interval, 270_000, 100..=day);
        let batch_timeout = millis("MAILROOM_BATCH_TIMEOUT", said.batch_timeout, 5_000, 0..=day);
        if healthcheck_interval < batch_timeout {
            problems.push(
                "MAILROOM_HEALTHCHECK_INTERVAL",
                format_args!(
                    "{} ms is less than MAILROOM_BATCH_TIMEOUT, {} ms; give at least as much",
                    healthcheck_interval.as_millis(),
                    batch_timeout.as_millis()
                ),
            );
        }
        let most = mailroom::line::ROWS_PER_LINE_MAX as u64;
        let batch_limit =
            problems.number("MAILROOM_BATCH_LIMIT", said.batch_limit, 10, 1..=most, "rows");
        let retention =
            retention(&mut problems, said.purge, said.purge_sent_hours, said.purge_others_hours);
        let log = LogSettings::from_said(&mut problems, said.log, said.log_format);
        let (Some(database), Some(secret_key)) = (database, secret_key) else {
            return Err(problems);
        };
        problems.finish(Self {
            database,
            secret_key,
            channel,
            queue: said.queue_name.unwrap_or_else(|| "mailroom".to_owned()),
            healthcheck_interval,
            batch_timeout,
            batch_limit: u32::try_from(batch_limit).unwrap_or(u32::MAX),
            retention,
            log,
        })
    }

    /// The effective settings, a line each, secrets as `set`.
    pub fn describe(&self) -> String {
        let purge = self.retention.map_or_else(
            || "MAILROOM_PURGE=false\n".to_owned(),
            |Retention { sent, others }| {
                let hours = |kept: Duration| kept.as_secs() / HOUR_SECONDS;
                format!(
                    "MAILROOM_PURGE=true\nMAILROOM_PURGE_SENT_HOURS={}\n\
                     MAILROOM_PURGE_OTHERS_HOURS={}\n",
                    hours(sent),
                    hours(others)
                )
            },
        );
        format!(
            "MAILROOM_DATABASE_URL={}\nMAILROOM_SECRET_KEY=set\nMAILROOM_CHANNEL_NAME={}\n\
             MAILROOM_QUEUE_NAME={}\nMAILROOM_HEALTHCHECK_INTERVAL={}\nMAILROOM_BATCH_TIMEOUT={}\n\
             MAILROOM_BATCH_LIMIT={}\n{purge}{}",
            self.database.describe(),
            self.channel,
            self.queue,
            self.healthcheck_interval.as_millis(),
            self.batch_timeout.as_millis(),
            self.batch_limit,
            self.log.describe(),
        )
    }
}

/// The hours are checked whether they are used or not.
fn retention(
    problems: &mut Problems,
    purge: Option<String>,
    sent: Option<String>,
    others: Option<String>,
) -> Option<Retention> {
    let mut kept = |name, said, default| {
        let hours = problems.number(name, said, default, 1..=876_000, "h");
        Duration::from_secs(hours * HOUR_SECONDS)
    };
    let sent = kept("MAILROOM_PURGE_SENT_HOURS", sent, 720);
    let others = kept("MAILROOM_PURGE_OTHERS_HOURS", others, 2160);
    problems.flag("MAILROOM_PURGE", purge, false).then_some(Retention { sent, others })
}
