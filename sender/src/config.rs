//! Settings: what was said in the environment, and what is needed.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use daemon::log::LogSettings;
use daemon::postgres::Target;
use daemon::settings::{Problems, said};
use render::{Catalogue, Locales};
use serde::Deserialize;

use crate::compose::Composer;
use crate::template::{self, Templates};
use crate::transport::address::recipient;
use crate::transport::message::{Origin, mailbox};
use crate::transport::ses::{SesSettings, TimeOuts, check_source};
use crate::transport::smtp::{Login, Mechanism, Security, Smtp, SmtpSettings};

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// The variables, called as in the environment without `MAILROOM_`.
#[derive(Debug, Default, Deserialize)]
struct Said {
    database_url: Option<String>,
    database_url_file: Option<String>,
    debug: Option<String>,
    transport: Option<String>,
    from: Option<String>,
    reply_to: Option<String>,
    envelope_sender: Option<String>,
    templates: Option<String>,
    locales: Option<String>,
    base_url: Option<String>,
    file_path: Option<String>,
    smtp_host: Option<String>,
    smtp_port: Option<String>,
    smtp_username: Option<String>,
    smtp_password: Option<String>,
    smtp_password_file: Option<String>,
    smtp_auth: Option<String>,
    smtp_tls: Option<String>,
    smtp_ca_file: Option<String>,
    smtp_timeout: Option<String>,
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

/// How mail leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Amazon SES.
    Ses,
    /// A relay.
    Smtp,
    /// Files.
    File,
    /// Not at all.
    Noop,
}

impl Kind {
    const WORDS: [(&'static str, Self); 4] =
        [("ses", Self::Ses), ("smtp", Self::Smtp), ("file", Self::File), ("noop", Self::Noop)];

    fn word(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// What the sender needs.
#[derive(Debug)]
pub struct Config {
    /// Where PostgreSQL is; without one nothing can be acknowledged. A dry run has none.
    pub database: Option<Target>,
    /// Show what would be sent, send nothing, record nothing.
    pub dry_run: bool,
    /// How mail leaves.
    pub transport: Kind,
    /// The address mail comes from, as it was written.
    pub from: String,
    /// The setting that says so: `MAILROOM_FROM`, or the original's name.
    from_name: &'static str,
    /// The same, for messages of our own making.
    pub origin: Origin,
    /// The folder of templates; `None`: those that come with Mailroom, and with SES those stored there.
    pub templates: Option<PathBuf>,
    /// Languages in place of one there is no template for.
    pub locales: Locales,
    /// What links start with.
    pub base_url: Option<String>,
    /// Where the `file` transport writes.
    pub file_path: PathBuf,
    /// The relay.
    pub smtp: SmtpSettings,
    /// The SES configuration set, if one is used.
    pub ses_config_set: Option<String>,
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
        let transport =
            problems.one_of("MAILROOM_TRANSPORT", said.transport, Kind::Ses, &Kind::WORDS);
        let (from_name, from) = match (said.from, said.ses_source) {
            (Some(from), None) => ("MAILROOM_FROM", from),
            (Some(_), Some(source)) => {
                problems.push("MAILROOM_FROM", "MAILROOM_SES_SOURCE is set, too: set one of them");
                ("MAILROOM_SES_SOURCE", source)
            }
            (None, Some(source)) => ("MAILROOM_SES_SOURCE", source),
            (None, None) => {
                // The original's default, by the original's name where it is the original's transport.
                let ses = transport == Kind::Ses;
                let name = if ses { "MAILROOM_SES_SOURCE" } else { "MAILROOM_FROM" };
                (name, "noreply@localhost".to_owned())
            }
        };
        if let Some(set) = said.ses_config_set.as_deref()
            && !template::is_name(set)
        {
            problems.push(
                "MAILROOM_SES_CONFIG_SET",
                format_args!("{set:?} is not a name: up to 64 letters, digits, _ and -; or none"),
            );
        }
        let from_mailbox = match transport {
            Kind::Ses => problems.check(from_name, check_source(&from)).and(mailbox(&from).ok()),
            Kind::Smtp | Kind::File | Kind::Noop => problems.check(from_name, mailbox(&from)),
        };
        let reply_to = said
            .reply_to
            .and_then(|reply_to| problems.check("MAILROOM_REPLY_TO", mailbox(&reply_to)));
        let envelope_sender = said.envelope_sender.and_then(|address| {
            let address = recipient(&address).map_err(|why| format!("{address:?}: {why}"));
            problems.check("MAILROOM_ENVELOPE_SENDER", address)
        });
        let locales = said
            .locales
            .and_then(|locales| problems.check("MAILROOM_LOCALES", locales.parse::<Locales>()));
        let base_url =
            said.base_url.and_then(|url| problems.check("MAILROOM_BASE_URL", check_base_url(&url)));
        if transport == Kind::Ses && said.templates.is_none() {
            // SES would answer "success" to a mail whose template misses a variable, and send nothing.
            let set = [
                ("MAILROOM_BASE_URL", base_url.is_some()),
                ("MAILROOM_LOCALES", locales.is_some()),
            ];
            for (name, _) in set.into_iter().filter(|(_, set)| *set) {
                problems.push(
                    name,
                    "templates stored in SES know it only with MAILROOM_TEMPLATES, the folder they \
                     were pushed from; set both or neither",
                );
            }
        }
        let smtp = SmtpSettings {
            host: said.smtp_host.clone().unwrap_or_else(|| "localhost".to_owned()),
            port: u16::try_from(problems.number(
                "MAILROOM_SMTP_PORT",
                said.smtp_port,
                587,
                1..=65_535,
                "",
            ))
            .unwrap_or(587),
            security: problems.one_of(
                "MAILROOM_SMTP_TLS",
                said.smtp_tls,
                Security::StartTls,
                &Security::WORDS,
            ),
            ca_file: said.smtp_ca_file.map(PathBuf::from),
            login: login(
                &mut problems,
                said.smtp_username,
                said.smtp_password,
                said.smtp_password_file,
            ),
            mechanisms: match problems.one_of("MAILROOM_SMTP_AUTH", said.smtp_auth, None, &AUTH) {
                None => vec![Mechanism::Plain, Mechanism::Login],
                Some(mechanism) => vec![mechanism],
            },
            timeout: Duration::from_millis(problems.number(
                "MAILROOM_SMTP_TIMEOUT",
                said.smtp_timeout,
                10_000,
                100..=10_000,
                "ms",
            )),
        };
        if transport == Kind::Smtp && said.smtp_host.is_none() {
            problems.push("MAILROOM_SMTP_HOST", "is required with MAILROOM_TRANSPORT=smtp");
        }
        if smtp.host.contains([':', '/', '[']) && smtp.host.parse::<Ipv6Addr>().is_err() {
            problems.push(
                "MAILROOM_SMTP_HOST",
                format_args!(
                    "{:?} is not the name or the address of a host; the port is MAILROOM_SMTP_PORT",
                    smtp.host
                ),
            );
        }
        if smtp.security == Security::None && smtp.login.is_some() && !is_here(&smtp.host) {
            problems.push(
                "MAILROOM_SMTP_TLS",
                "none would send the password in the clear; use starttls or implicit",
            );
        }
        let from_mailbox = from_mailbox.or_else(|| mailbox("noreply@localhost").ok());
        let Some(from_mailbox) = from_mailbox else { return Err(problems) };
        let envelope_sender = envelope_sender.unwrap_or_else(|| from_mailbox.email.to_string());
        let config = Self {
            transport,
            from,
            from_name,
            origin: Origin { from: from_mailbox, reply_to, envelope_sender },
            templates: said.templates.map(PathBuf::from),
            locales: locales.unwrap_or_default(),
            base_url,
            file_path: said.file_path.unwrap_or_else(|| "./mail".to_owned()).into(),
            smtp,
            database: database.filter(|_| !dry_run),
            dry_run,
            ses_config_set: match said.ses_config_set.as_deref() {
                None => Some("default".to_owned()),
                Some("none") => None,
                Some(name) => Some(name.to_owned()),
            },
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
            source: self.from.clone(),
            output: self.ses_output_path.clone(),
            templates: self.ses_templates.clone(),
            reply_to: self.origin.reply_to.as_ref().map(ToString::to_string),
            time_outs: TimeOuts::default(),
        }
    }

    /// What makes letters, with the templates of the folder, or those that come with Mailroom.
    ///
    /// # Errors
    /// What is wrong with a template, and where; or that it needs `MAILROOM_BASE_URL`.
    pub fn composer(&self) -> anyhow::Result<Composer> {
        let catalogue = match &self.templates {
            Some(folder) => Catalogue::load(folder)
                .map_err(|error| anyhow::anyhow!("MAILROOM_TEMPLATES: {error}"))?,
            None => Catalogue::built_in()?,
        };
        let composer = Composer::new(catalogue, self.locales.clone(), self.base_url.clone());
        anyhow::ensure!(
            !composer.misses_base_url(),
            "MAILROOM_BASE_URL: is not set, and templates begin their links with it; set it to \
             https://example.com, say"
        );
        Ok(composer)
    }

    /// Whether letters are made here, and not by the provider, or not at all.
    pub fn renders(&self) -> bool {
        match self.transport {
            Kind::Ses => self.templates.is_some(),
            Kind::Smtp | Kind::File => true,
            Kind::Noop => self.dry_run,
        }
    }

    /// [Describes](Self::describe) the settings, if what they point to on this machine can be used.
    ///
    /// # Errors
    /// What the sender would not start with.
    pub fn check(&self) -> Result<String, Problems> {
        let mut problems = Problems::default();
        let mut note = |error: anyhow::Error| {
            let words = format!("{error:#}");
            let (name, words) = words.split_once(": ").unwrap_or(("MAILROOM_TEMPLATES", &words));
            problems.push(name, words);
        };
        let composer = self.renders().then(|| self.composer());
        match composer.transpose() {
            Ok(Some(composer)) if self.transport == Kind::Smtp && !self.dry_run => {
                let smtp = Smtp::new(self.smtp.clone(), self.origin.clone(), composer);
                smtp.map_or_else(note, drop);
            }
            Ok(_) => {}
            Err(error) => note(error),
        }
        problems.finish(self.describe())
    }

    /// The effective settings, a line each, secrets as `set`.
    pub fn describe(&self) -> String {
        let database =
            self.database.as_ref().map_or_else(|| "not set".to_owned(), Target::describe);
        let no_rate = if self.transport == Kind::Ses { "as SES says" } else { "none" };
        let rate = self.ses_rate.map_or_else(|| no_rate.to_owned(), |rate| rate.to_string());
        let or = |value: Option<String>, otherwise: &str| value.unwrap_or_else(|| otherwise.into());
        let mut lines = vec![
            ("DATABASE_URL", database),
            ("DEBUG", self.dry_run.to_string()),
            ("TRANSPORT", self.transport.word().to_owned()),
            (self.from_name.trim_start_matches("MAILROOM_"), self.from.clone()),
            ("REPLY_TO", or(self.origin.reply_to.as_ref().map(ToString::to_string), "not set")),
            (
                "TEMPLATES",
                or(
                    self.templates.as_ref().map(|folder| folder.display().to_string()),
                    if self.transport == Kind::Ses { "as stored in SES" } else { "built in" },
                ),
            ),
            ("LOCALES", self.locales.to_string()),
            ("BASE_URL", or(self.base_url.clone(), "not set")),
        ];
        lines.extend(match self.transport {
            Kind::Ses => vec![
                ("SES_CONFIG_SET", or(self.ses_config_set.clone(), "none")),
                ("SES_OUTPUT_PATH", self.ses_output_path.display().to_string()),
                ("SES_TEMPLATES", self.ses_templates.to_string()),
            ],
            Kind::Smtp => vec![
                ("ENVELOPE_SENDER", self.origin.envelope_sender.clone()),
                ("SMTP_HOST", self.smtp.host.clone()),
                ("SMTP_PORT", self.smtp.port.to_string()),
                ("SMTP_TLS", word(&Security::WORDS, self.smtp.security).to_owned()),
                (
                    "SMTP_CA_FILE",
                    or(
                        self.smtp.ca_file.as_ref().map(|file| file.display().to_string()),
                        "not set",
                    ),
                ),
                (
                    "SMTP_USERNAME",
                    or(self.smtp.login.as_ref().map(|login| login.username.clone()), "not set"),
                ),
                ("SMTP_PASSWORD", or(self.smtp.login.as_ref().map(|_| "set".into()), "not set")),
                ("SMTP_AUTH", auth_words(&self.smtp.mechanisms)),
                ("SMTP_TIMEOUT", self.smtp.timeout.as_millis().to_string()),
            ],
            Kind::File => vec![("FILE_PATH", self.file_path.display().to_string())],
            Kind::Noop => Vec::new(),
        });
        lines.extend([
            ("SES_RATE", rate),
            ("SENDER_CONCURRENCY", self.concurrency.to_string()),
            ("MAX_ATTEMPTS", self.max_attempts.to_string()),
        ]);
        let mut text = String::new();
        for (name, value) in lines {
            // Writing to a string cannot fail.
            _ = writeln!(text, "MAILROOM_{name}={value}");
        }
        text + &self.log.describe()
    }
}

/// The ways to log in; `auto` takes what the server offers.
const AUTH: [(&str, Option<Mechanism>); 4] = [
    ("auto", None),
    ("plain", Some(Mechanism::Plain)),
    ("login", Some(Mechanism::Login)),
    ("xoauth2", Some(Mechanism::Xoauth2)),
];

fn auth_words(mechanisms: &[Mechanism]) -> String {
    let words: Vec<String> =
        mechanisms.iter().map(|mechanism| mechanism.to_string().to_lowercase()).collect();
    words.join(" or ")
}

fn login(
    problems: &mut Problems,
    username: Option<String>,
    password: Option<String>,
    password_file: Option<String>,
) -> Option<Login> {
    let said = password.is_some() || password_file.is_some();
    let password = problems.value_or_file("MAILROOM_SMTP_PASSWORD", password, password_file);
    match (username, password) {
        (Some(username), Some(password)) => Some(Login { username, password }),
        (None, None) => None,
        // Why it is not known has been noted.
        (Some(_), None) if said => None,
        (Some(_), None) => {
            problems.push("MAILROOM_SMTP_PASSWORD", "is required with MAILROOM_SMTP_USERNAME");
            None
        }
        (None, Some(_)) => {
            problems.push("MAILROOM_SMTP_USERNAME", "is required with MAILROOM_SMTP_PASSWORD");
            None
        }
    }
}

/// What links start with must be absolute, and must not end the address by itself.
fn check_base_url(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.unwrap_or_default().split('/').next().unwrap_or_default();
    let plain =
        url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>{}\\^`|?#".contains(&byte));
    if host.is_empty() || !plain {
        return Err(format!("{url:?} is not of the form https://example.com"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whether what is sent to this host stays on this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
