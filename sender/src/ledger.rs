//! What this sender has begun and not yet settled, across the sessions it lives through.
//!
//! A call outlives the session that began its rows; its result must not be lost, and its rows must
//! not be sent again while it runs. So after a reconnect, in this order: the former session is ended
//! for good; results in hand are recorded; rows of calls still under way follow us to the new number
//! and all others go back; only then does anything new begin.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use daemon::crash_point;
use daemon::exit::{Exit, ExitExt};
use daemon::postgres::Target;
use daemon::reconnect::Reconnect;
use daemon::session::{Former, Identity, Session};
use daemon::trouble::Trouble;
use tokio::sync::watch;

use crate::deliveries::{self, Begun, Settlement};
use crate::plan::Planned;

/// Durable: the result of a send is on disk before it counts.
const IDENTITY: Identity =
    Identity { kind: "sender", version: env!("CARGO_PKG_VERSION"), durable: true };

/// The longest wait between two attempts to reach PostgreSQL: short, because what is in a call must
/// be ours again before a sweep's 30 s have passed.
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// How far the connection is.
#[derive(Debug, Clone)]
enum Phase {
    /// There is none.
    Away,
    /// Results can be recorded; nothing begins yet.
    Settling(Arc<Session>),
    /// All is open.
    Ready(Arc<Session>),
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    phase: watch::Sender<Phase>,
    /// Every holder number this process has had.
    numbers: RefCell<Vec<i32>>,
    /// Tokens of calls that have started and whose results are not recorded.
    in_call: RefCell<HashSet<i64>>,
    /// Calls that have results and are not recorded.
    unrecorded: watch::Sender<usize>,
    /// Sessions of ours whose statements may still take effect and whose rows are not taken over yet.
    formers: RefCell<Vec<Former>>,
    /// Whether a begin has ever been answered: until then a right that is missing is a fault of the
    /// settings, and nothing is in hand that would be lost with us.
    has_begun: Cell<bool>,
}

/// What a call has begun.
#[derive(Debug)]
pub struct Beginning {
    /// The rows that may be sent.
    pub begun: Vec<Begun>,
    session: Arc<Session>,
    asked_at: Instant,
}

impl Beginning {
    /// Whether a call to the provider may start now: the session that began the rows lives, and this
    /// process has not been stopped for so long that it may have died without our noticing.
    pub fn is_fresh(&self, within: Duration) -> bool {
        self.session.is_open() && self.asked_at.elapsed() < within
    }

    /// Whether the session has ended, so that the rows go back by themselves.
    pub fn is_lost(&self) -> bool {
        !self.session.is_open()
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Away),
            numbers: RefCell::default(),
            in_call: RefCell::default(),
            unrecorded: watch::Sender::new(0),
            formers: RefCell::default(),
            has_begun: Cell::default(),
        }
    }
}

impl Ledger {
    /// Keeps a session open; returns only when that is hopeless.
    ///
    /// # Errors
    /// When the first connection fails for what waiting does not mend, or the database is behind a
    /// transaction pooler: [`Exit::Config`].
    pub async fn keep(&self, database: &Target) -> anyhow::Error {
        let mut sessions =
            Reconnect::new(database, IDENTITY, None, &deliveries::ALL, RECONNECT_MAX);
        loop {
            let session = match sessions.open().await {
                Ok(session) => Arc::new(session),
                Err(error) => return error,
            };
            self.numbers.borrow_mut().push(session.number());
            match self.recover(&session).await {
                Ok(()) => {
                    self.formers.replace(vec![session.former()]);
                    self.phase.send_replace(Phase::Ready(Arc::clone(&session)));
                    session.closed().await;
                    tracing::warn!("connection_lost");
                }
                Err(trouble) if trouble.is_pooled() => {
                    return anyhow!(trouble).exit(Exit::Config);
                }
                Err(trouble) => tracing::warn!(error = %trouble, "connection_lost"),
            }
            self.phase.send_replace(Phase::Away);
        }
    }

    /// Takes over from the former sessions: the last one that was ready, and any since that was lost on
    /// the way here. If we die in here, the next session of ours, or a collector's sweep, finds the
    /// rows as they are.
    async fn recover(&self, session: &Arc<Session>) -> Result<(), Trouble> {
        let formers = self.formers.borrow().clone();
        self.formers.borrow_mut().push(session.former());
        if formers.is_empty() {
            return Ok(());
        }
        let mut ours = Vec::new();
        for former in formers {
            if session.fence(former).await? {
                ours.push(former);
            }
        }
        crash_point!("fenced");
        self.phase.send_replace(Phase::Settling(Arc::clone(session)));
        let mut unrecorded = self.unrecorded.subscribe();
        tokio::select! {
            _ = unrecorded.wait_for(|calls| *calls == 0) => {}
            () = session.closed() => return Err(Trouble::lost("the connection was closed")),
        }
        crash_point!("results_recorded");
        for former in ours {
            let in_call: Vec<i64> = self.in_call.borrow().iter().copied().collect();
            let (kept, returned) = deliveries::relabel(session, former.number, &in_call).await?;
            tracing::info!(former = former.number, kept, returned, "took_over");
        }
        Ok(())
    }

    /// Begins the rows of one call, when there is a session to begin them in. An answer that never
    /// came is asked for again: what it began goes back when the session has been replaced.
    ///
    /// # Errors
    /// What another session would not mend.
    pub async fn begin(
        &self,
        planned: &Planned,
        margin_seconds: i64,
        ambiguities_max: u32,
    ) -> anyhow::Result<Beginning> {
        loop {
            let session = self.session(|phase| matches!(phase, Phase::Ready(_))).await;
            let asked_at = Instant::now();
            let asked = deliveries::begin(&session, planned, margin_seconds, ambiguities_max).await;
            match asked {
                Ok(mut begun) => {
                    self.has_begun.set(true);
                    // A crash of PostgreSQL may undo a begin whose call is still under way.
                    begun.retain(|begun| !self.in_call.borrow().contains(&begun.token));
                    return Ok(Beginning { begun, session, asked_at });
                }
                Err(trouble) if trouble.is_broken() => {
                    // These rows cannot be asked for: an address that the database cannot hold, say.
                    let rows = planned.rows.len();
                    tracing::warn!(rows, error = %trouble, "rows_refused");
                    return Ok(Beginning { begun: Vec::new(), session, asked_at });
                }
                Err(trouble) if trouble.will_not_mend() && !self.has_begun.get() => {
                    return Err(anyhow!(trouble).exit(Exit::Config));
                }
                Err(trouble) => self.replace(&session, trouble)?,
            }
        }
    }

    /// The call of these tokens starts now; their rows are kept through a reconnect.
    pub fn started(&self, begun: &[Begun]) {
        self.in_call.borrow_mut().extend(begun.iter().map(|begun| begun.token));
    }

    /// Records results, for as long as it takes. Only then are they forgotten here.
    ///
    /// # Errors
    /// What another session would not mend.
    pub async fn settle(
        &self,
        transport: &str,
        mut settlements: Vec<Settlement>,
    ) -> anyhow::Result<()> {
        self.unrecorded.send_modify(|calls| *calls += 1);
        let mut plain = false;
        let recorded = loop {
            let session = self.session(|phase| !matches!(phase, Phase::Away)).await;
            let numbers = self.numbers.borrow().clone();
            match deliveries::settle(&session, &numbers, transport, &settlements).await {
                Ok(()) => break Ok(()),
                Err(trouble) if trouble.is_broken() && !plain => {
                    // What happened counts more than the provider's words.
                    tracing::warn!(error = %trouble, "statement_failed");
                    settlements.iter_mut().for_each(Settlement::without_words);
                    plain = true;
                }
                Err(trouble) if trouble.is_broken() => {
                    break Err(anyhow!(trouble).context("record results"));
                }
                Err(trouble) => {
                    if let Err(error) = self.replace(&session, trouble) {
                        break Err(error);
                    }
                }
            }
        };
        let mut in_call = self.in_call.borrow_mut();
        for settlement in &settlements {
            in_call.remove(&settlement.token);
        }
        self.unrecorded.send_modify(|calls| *calls -= 1);
        recorded
    }

    /// Calls whose results are not recorded yet.
    pub fn unrecorded(&self) -> usize {
        *self.unrecorded.borrow()
    }

    /// Waits until there is no session to begin in.
    pub async fn away(&self) {
        let mut phase = self.phase.subscribe();
        // An error would mean that we are gone.
        _ = phase.wait_for(|phase| !matches!(phase, Phase::Ready(_))).await;
    }

    async fn session(&self, fits: impl Fn(&Phase) -> bool) -> Arc<Session> {
        let mut phase = self.phase.subscribe();
        loop {
            let current = phase.borrow_and_update().clone();
            match current {
                Phase::Settling(session) | Phase::Ready(session)
                    if session.is_open() && fits(&phase.borrow()) =>
                {
                    return session;
                }
                _ => _ = phase.changed().await,
            }
        }
    }

    /// Gives a session up after a failed statement, or says that another one would not help.
    fn replace(&self, session: &Session, trouble: Trouble) -> anyhow::Result<()> {
        if trouble.is_pooled() {
            return Err(anyhow!(trouble).exit(Exit::Config));
        }
        if session.is_open() {
            tracing::warn!(error = %trouble, "statement_failed");
            session.close();
        }
        Ok(())
    }
}
