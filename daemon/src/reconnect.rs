//! One session after another: for ever, with a back-off, except that the first one fails for what
//! waiting does not mend.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::backoff::Backoff;
use crate::exit::{Exit, ExitExt};
use crate::postgres::Target;
use crate::session::{Identity, OpenError, Session, Sql};

const FIRST: Duration = Duration::from_millis(100);
/// While PostgreSQL stays away, it is said again this often.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// A session that lived so long was a good one, and the back-off starts over.
const GOOD: Duration = Duration::from_secs(5);

/// Opens sessions.
#[derive(Debug)]
pub struct Reconnect<'a> {
    target: &'a Target,
    identity: Identity,
    channel: Option<&'a str>,
    statements: &'static [Sql],
    backoff: Backoff,
    /// When the last session was opened.
    opened: Option<Instant>,
}

impl<'a> Reconnect<'a> {
    /// Sessions with `target`, registered as `identity`, that LISTEN on `channel` if there is one and
    /// have all `statements` prepared. Between two attempts at most `wait_max` passes.
    pub fn new(
        target: &'a Target,
        identity: Identity,
        channel: Option<&'a str>,
        statements: &'static [Sql],
        wait_max: Duration,
    ) -> Self {
        let backoff = Backoff::new(FIRST, wait_max);
        Self { target, identity, channel, statements, backoff, opened: None }
    }

    /// Whether a session has been opened before.
    pub fn is_first(&self) -> bool {
        self.opened.is_none()
    }

    /// The next session.
    ///
    /// # Errors
    /// The first one's, when waiting would not mend it: [`Exit::Config`].
    pub async fn open(&mut self) -> anyhow::Result<Session> {
        let mut reported: Option<Instant> = None;
        // One that ended at once was no good: wait, so that a fault cannot spin.
        let mut wait = match self.opened {
            Some(opened) if opened.elapsed() < GOOD => true,
            Some(_) => {
                self.backoff.reset();
                false
            }
            None => false,
        };
        loop {
            if wait {
                tokio::time::sleep(self.backoff.next(fastrand::f64())).await;
            }
            let error = match self.attempt().await {
                Ok(session) => {
                    tracing::info!(holder = session.number(), "connected");
                    self.opened = Some(Instant::now());
                    return Ok(session);
                }
                Err(error) => error,
            };
            if self.is_first() && error.will_not_mend() {
                return Err(anyhow!(error).context("connect to PostgreSQL").exit(Exit::Config));
            }
            if reported.is_none_or(|at| at.elapsed() >= REMIND_EVERY) {
                tracing::warn!(error = %error, "connection_failed");
                reported = Some(Instant::now());
            }
            wait = true;
        }
    }

    async fn attempt(&self) -> Result<Session, OpenError> {
        let session = Session::open(self.target, &self.identity, self.channel).await?;
        session.prepare(self.statements).await.map_err(OpenError::Register)?;
        Ok(session)
    }
}
