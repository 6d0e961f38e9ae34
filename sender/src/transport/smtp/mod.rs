//! Any relay, by SMTP: one transaction a mail, over connections that are kept.
//!
//! Stages are driven one by one, because what an answer means depends on where it came: until the
//! end of the body nothing can have been sent, and after it silence may mean anything. Where the
//! server offers PIPELINING, MAIL, RCPT and DATA travel together; body and final dot always do.
//!
//! Logs no events; what went wrong is in the outcome's words.

mod connect;
mod meaning;
mod replies;
mod settings;
mod transaction;
mod wire;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustls::ClientConfig;

use self::connect::Connection;
pub use self::settings::{Login, Mechanism, Security, SmtpSettings};
use self::transaction::Limits;
use super::message::{Message, Origin};
use super::{Call, Outcome, SendRate, Transport};
use crate::compose::Composer;

/// Mails of one call. They go one after another, and are recorded together: so many may be sent twice
/// if we are killed. What a stop finds not started goes back.
const MAILS_PER_CALL_MAX: usize = 10;

/// A mail is started only so soon after its call.
const START_WITHIN: Duration = Duration::from_secs(5);

/// Its body leaves only so soon after the call: what may be accepted later, another sender may have
/// been given meanwhile.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A connection that has rested longer is not used again: servers close them after some minutes.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// The SMTP transport.
pub struct Smtp {
    settings: SmtpSettings,
    origin: Origin,
    composer: Composer,
    tls: Option<Arc<ClientConfig>>,
    idle: RefCell<Vec<Connection>>,
}

impl Smtp {
    /// A transport to the relay of `settings`. Connects to nothing yet.
    ///
    /// # Errors
    /// If there are no certificates to trust, or not those that `settings` names.
    pub fn new(settings: SmtpSettings, origin: Origin, composer: Composer) -> anyhow::Result<Self> {
        let tls = trusted(&settings).map_err(|reason| anyhow::anyhow!(reason))?;
        Ok(Self { settings, origin, composer, tls, idle: RefCell::default() })
    }

    /// One that rests, else a new one. One that has rested for long is left to the server, which closes
    /// it, or has.
    async fn connection(&self, limits: Limits) -> Result<Connection, Outcome> {
        while let Some(connection) = self.pop_idle() {
            if connection.rested() < IDLE_MAX {
                return Ok(connection);
            }
        }
        let patience = limits.before_the_body();
        Connection::open(&self.settings, self.tls.as_ref(), patience).await
    }

    fn pop_idle(&self) -> Option<Connection> {
        self.idle.borrow_mut().pop()
    }

    /// Sends one mail. A server may hang up on a connection that has been used: then, and only if it
    /// has not heard of this mail, another one is tried.
    ///
    /// # Errors
    /// What stops every mail: there is no connection to be had.
    async fn send_one(
        &self,
        kept: &mut Option<Connection>,
        message: &Message,
        limits: Limits,
        go: &dyn Fn() -> bool,
    ) -> Result<Outcome, Outcome> {
        loop {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.connection(limits).await?,
            };
            let sent = connection.transact(message, limits, go).await;
            if sent.usable {
                *kept = Some(connection);
            } else if sent.untouched {
                continue;
            }
            return Ok(sent.outcome);
        }
    }
}

/// Whom we trust, where the connection is encrypted.
fn trusted(settings: &SmtpSettings) -> Result<Option<Arc<ClientConfig>>, String> {
    match settings.security {
        Security::None => Ok(None),
        Security::StartTls | Security::Implicit => {
            let config = daemon::tls::verifying(settings.ca_file.as_deref());
            config.map(Some).map_err(|error| format!("MAILROOM_SMTP_CA_FILE: {error}"))
        }
    }
}

/// Opens a connection as for mail, TLS and login included, and says goodbye. No mail is sent.
///
/// # Errors
/// What mail would have come to.
pub async fn probe(settings: &SmtpSettings) -> Result<(), Outcome> {
    let misconfigured = |reason| Outcome::Misconfigured { reason, hold: false };
    let tls = trusted(settings).map_err(misconfigured)?;
    Connection::open(settings, tls.as_ref(), settings.timeout).await?.quit().await;
    Ok(())
}

impl Transport for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn mails_per_call_max(&self) -> usize {
        MAILS_PER_CALL_MAX
    }

    fn call_timeout(&self) -> Duration {
        BODY_WITHIN + self.settings.timeout
    }

    async fn send_rate(&self) -> SendRate {
        SendRate::Unknown
    }

    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        let started = Instant::now();
        let limits = Limits { answer: self.settings.timeout, body_by: started + BODY_WITHIN };
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(call.mails.len());
        let mut connection = None;
        for mail in &call.mails {
            let message = match self.composer.letter(call, mail) {
                Ok(letter) => Message::new(&self.origin, mail, &letter),
                Err(outcome) => {
                    outcomes.push(outcome);
                    continue;
                }
            };
            let message = match message {
                Ok(message) => message,
                Err(reason) => {
                    outcomes.push(Outcome::Rejected { reason });
                    continue;
                }
            };
            if started.elapsed() > START_WITHIN || !go() {
                outcomes.push(meaning::untried());
                continue;
            }
            match self.send_one(&mut connection, &message, limits, go).await {
                Ok(outcome) => outcomes.push(meaning::masked(outcome, mail)),
                Err(outcome) => {
                    outcomes.resize(call.mails.len(), outcome);
                    break;
                }
            }
        }
        if let Some(connection) = connection {
            self.idle.borrow_mut().push(connection.rest());
        }
        outcomes
    }

    async fn finish(&self) {
        join_all(self.idle.take().into_iter().map(Connection::quit)).await;
    }
}
