//! The way out: what mail is made of, and where it goes.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use sender::config::{Config, Kind};
use sender::transport::Outcome;
use sender::transport::smtp::{SmtpSettings, probe};

use super::finding::{Finding, Report};
use super::pipe::Action;
use super::{ses, templates};
use crate::environment::Environment;

/// What is to be looked at.
pub struct Way<'a> {
    /// The sender's settings, if they are all well-formed.
    pub settings: Option<&'a Config>,
    /// Where they come from.
    pub environment: &'a Environment,
    /// The kinds of mail.
    pub actions: &'a [Action],
    /// Between the beginnings of two calls about templates.
    pub pace: Duration,
}

impl Way<'_> {
    /// Looks, and says what is found.
    ///
    /// # Errors
    /// When the reader of stdout is gone.
    pub async fn look(&self, report: &mut Report<'_, '_>) -> anyhow::Result<()> {
        const CHECK: &str = "transport";
        let Some(settings) = self.settings else {
            let detail = "the sender's settings are not well-formed";
            return report.say([Finding::skipped(CHECK, detail, "mend them first")]);
        };
        if settings.dry_run {
            let detail = "MAILROOM_DEBUG is on: mail is shown and not sent";
            report.say([Finding::wrong(CHECK, detail, "MAILROOM_DEBUG=false")])?;
        }
        report.say(templates::look(self, settings))?;
        match settings.transport {
            Kind::Ses => Box::pin(ses::look(self, settings, report)).await,
            Kind::Smtp => {
                report.say(from(settings))?;
                report.say([smtp(&settings.smtp).await])
            }
            Kind::File => report.say([
                Finding::warning(CHECK, "file: mail goes into files only", REMEDY),
                writable("files", "MAILROOM_FILE_PATH", &settings.file_path),
            ]),
            Kind::Noop => report.say([Finding::wrong(
                CHECK,
                "noop: mail is counted and goes nowhere",
                REMEDY,
            )]),
        }
    }
}

const REMEDY: &str = "MAILROOM_TRANSPORT=ses or smtp";

/// Whether files can be made there, or the folder, which the sender makes if need be.
pub fn writable(check: &str, setting: &str, folder: &Path) -> Finding {
    let place = folder.display();
    match write(folder) {
        Ok(()) => Finding::ok(check, format!("{place} can be written to")),
        Err(error) => Finding::wrong(
            check,
            format!("{place} cannot be written to: {error}"),
            format!("set {setting} to a folder that this user may write to"),
        ),
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    let file = there.join(format!(".doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&file)?;
    fs::remove_file(file)
}

/// Nobody can answer an address that is on every machine, and few relays take mail from it.
fn from(settings: &Config) -> Option<Finding> {
    let here = settings.from.contains("@localhost");
    here.then(|| {
        let detail = format!("mail comes from {}", settings.from);
        Finding::warning("SMTP", detail, "set MAILROOM_FROM to an address of yours")
    })
}

async fn smtp(settings: &SmtpSettings) -> Finding {
    const CHECK: &str = "SMTP";
    let place = format!("{}:{}", settings.host, settings.port);
    match Box::pin(probe(settings)).await {
        Ok(()) => {
            let done =
                if settings.login.is_some() { "logged in" } else { "connected, without login" };
            Finding::ok(CHECK, format!("{place}: {done}"))
        }
        Err(outcome) => refused(CHECK, &place, &outcome),
    }
}

/// What a relay's or provider's no says of the set-up.
pub fn refused(check: &str, place: &str, outcome: &Outcome) -> Finding {
    let (reason, lasting) = match outcome {
        Outcome::Sent { provider_id } => {
            return Finding::ok(check, format!("{place}: {provider_id}"));
        }
        Outcome::Rejected { reason } | Outcome::Misconfigured { reason, .. } => (reason, true),
        Outcome::Deferred { reason }
        | Outcome::Untried { reason }
        | Outcome::Ambiguous { reason }
        | Outcome::Throttled { reason, .. } => (reason, false),
    };
    let begins = |what: &str| reason.starts_with(what);
    let remedy = if begins("AUTH") {
        "check MAILROOM_SMTP_USERNAME, MAILROOM_SMTP_PASSWORD and MAILROOM_SMTP_AUTH"
    } else if begins("TLS") || begins("STARTTLS") || begins("MAILROOM_SMTP_CA_FILE") {
        "MAILROOM_SMTP_TLS says how it is encrypted, MAILROOM_SMTP_CA_FILE which certificates to trust"
    } else if begins("connect") || begins("greeting") {
        "do MAILROOM_SMTP_HOST and MAILROOM_SMTP_PORT lead to the relay, and does a firewall let it pass?"
    } else if lasting {
        "docs/OPERATIONS.md says what each answer of a provider means"
    } else {
        "try again"
    };
    let detail = if place.is_empty() { reason.clone() } else { format!("{place}: {reason}") };
    if lasting {
        Finding::wrong(check, detail, remedy)
    } else {
        Finding::away(check, detail, remedy)
    }
}
