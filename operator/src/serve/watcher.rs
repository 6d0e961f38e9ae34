//! Looks at the database for those who ask: one connection, one look at a time, at most one a second
//! however many ask. While the database is away the answer says so at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use daemon::backoff::Backoff;
use daemon::exit::{Exit, ExitExt};
use daemon::postgres::Target;
use daemon::trouble::Trouble;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::connecting::connecting;
use super::look::{self, Account, LOOK_MAX, Promises};
use super::readiness::Readiness;
use crate::database::Database;

/// A look is good for so long.
const FRESH: Duration = Duration::from_secs(1);
/// While something goes on failing, it is said again this often.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// Between two attempts to connect …
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// … or none, after a connection that lived so long.
const GOOD: Duration = Duration::from_secs(5);
/// Those who ask while a look is under way wait here.
const ASKS_MAX: usize = 64;

/// What a look came to.
#[derive(Debug, Default)]
pub struct Seen {
    /// What is outstanding, if that could be read.
    pub promises: Option<Promises>,
    /// What happened and who is there, if that could be read.
    pub account: Option<Account>,
    /// How long it took.
    pub took: Duration,
    /// How many looks, up to this one, did not see everything.
    pub errors: u64,
}

impl Seen {
    /// Whether everything could be read.
    pub fn is_whole(&self) -> bool {
        self.promises.is_some() && self.account.is_some()
    }
}

type Ask = oneshot::Sender<Arc<Seen>>;

/// The asking side.
#[derive(Debug, Clone)]
pub struct Watcher {
    asks: mpsc::Sender<Ask>,
}

impl Watcher {
    /// What there is to be seen, not older than a second. None when nobody looks any more.
    pub async fn seen(&self) -> Option<Arc<Seen>> {
        let (ask, answer) = oneshot::channel();
        self.asks.send(ask).await.ok()?;
        answer.await.ok()
    }
}

/// The looking side.
pub struct Watching<'a> {
    target: &'a Target,
    ready_age: Duration,
    asks: mpsc::Receiver<Ask>,
    backoff: Backoff,
    /// Before the next attempt to connect.
    wait: Duration,
    connected_before: bool,
    /// The last look, and when.
    last: Option<(Instant, Arc<Seen>)>,
    errors: u64,
    was_ready: bool,
    connecting_said: Reminder,
    looking_said: Reminder,
}

/// A watcher of the database at `target`, for whom mail shall not wait for longer than `ready_age`.
pub fn watcher(target: &Target, ready_age: Duration) -> (Watcher, Watching<'_>) {
    let (sender, asks) = mpsc::channel(ASKS_MAX);
    let watching = Watching {
        target,
        ready_age,
        asks,
        backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
        wait: Duration::ZERO,
        connected_before: false,
        last: None,
        errors: 0,
        was_ready: true,
        connecting_said: Reminder::default(),
        looking_said: Reminder::default(),
    };
    (Watcher { asks: sender }, watching)
}

impl Watching<'_> {
    /// Looks whenever somebody asks, until nobody can any more.
    ///
    /// # Errors
    /// When the first connection fails for what waiting does not mend: [`Exit::Config`].
    pub async fn run(mut self) -> anyhow::Result<()> {
        loop {
            let Some(database) = self.connect().await? else { return Ok(()) };
            if !self.stay(database).await? {
                return Ok(());
            }
        }
    }

    /// Connects, however long it takes. None: nobody can ask any more.
    async fn connect(&mut self) -> anyhow::Result<Option<Database>> {
        loop {
            let mut connecting = connecting(self.target, self.wait);
            let connected = loop {
                tokio::select! {
                    connected = &mut connecting => break connected,
                    ask = self.asks.recv() => match ask {
                        Some(ask) => _ = ask.send(self.away()),
                        None => return Ok(None),
                    },
                }
            };
            match connected {
                Ok(database) => {
                    tracing::info!(server = database.server(), "connected");
                    self.connecting_said = Reminder::default();
                    return Ok(Some(database));
                }
                Err(failure) if !self.connected_before && failure.will_not_mend() => {
                    let error = failure.into_error().context("connect to PostgreSQL");
                    return Err(error.exit(Exit::Config));
                }
                Err(failure) => {
                    if self.connecting_said.is_due() {
                        tracing::warn!(error = %failure.into_error(), "connection_failed");
                    }
                }
            }
            self.wait = self.backoff.next(fastrand::f64());
        }
    }

    /// Answers as long as the connection is good. False: nobody can ask any more.
    async fn stay(&mut self, mut database: Database) -> anyhow::Result<bool> {
        let opened = Instant::now();
        match self.look(&database).await {
            Err(Fault::Refused(trouble)) if !self.connected_before && trouble.will_not_mend() => {
                return Err(trouble).exit(Exit::Config);
            }
            _ => self.connected_before = true,
        }
        let reason = loop {
            let ask = tokio::select! {
                () = database.ended() => break "the connection was closed",
                ask = self.asks.recv() => ask,
            };
            let Some(ask) = ask else { return Ok(false) };
            let looked = if self.is_fresh() { Ok(()) } else { self.look(&database).await };
            if let Some((_, seen)) = &self.last {
                _ = ask.send(seen.clone());
            }
            if matches!(looked, Err(Fault::Unanswered)) {
                break "the server does not answer";
            }
        };
        tracing::warn!(reason, "connection_lost");
        self.last = None;
        self.wait = if opened.elapsed() < GOOD {
            // Whoever closes it at once shall not make us spin.
            self.backoff.next(fastrand::f64())
        } else {
            self.backoff.reset();
            Duration::ZERO
        };
        Ok(true)
    }

    /// Looks, and keeps what was seen.
    async fn look(&mut self, database: &Database) -> Result<(), Fault> {
        let start = Instant::now();
        let mut seen = Seen::default();
        let looked = within(async {
            seen.promises = Some(look::promises(database, self.ready_age).await?);
            seen.account = Some(look::account(database).await?);
            Ok(())
        })
        .await;
        seen.took = start.elapsed();
        tracing::debug!(ms = daemon::log::ms(seen.took), whole = seen.is_whole(), "looked");
        match &looked {
            Ok(()) => self.looking_said = Reminder::default(),
            Err(fault) => {
                if self.looking_said.is_due() {
                    tracing::warn!(error = %fault, "look_failed");
                }
            }
        }
        if let Some(promises) = &seen.promises {
            self.note(Readiness::of(promises, self.ready_age));
        }
        self.keep(seen);
        looked
    }

    /// Says when readiness turns.
    fn note(&mut self, readiness: Readiness) {
        let (stop, deliveries) = (readiness.stop(), readiness.deliveries());
        let oldest_ms = (readiness.oldest_seconds() * 1000.0) as u64;
        match (self.was_ready, stop) {
            (true, Some(stop)) => {
                tracing::warn!(deliveries, oldest_ms, reason = stop.word(), "not_ready");
            }
            (false, None) => tracing::info!(deliveries, oldest_ms, "ready"),
            (true, None) | (false, Some(_)) => {}
        }
        self.was_ready = stop.is_none();
    }

    /// What is seen while there is no connection.
    fn away(&mut self) -> Arc<Seen> {
        match &self.last {
            Some((_, seen)) if self.is_fresh() => seen.clone(),
            _ => self.keep(Seen::default()),
        }
    }

    fn is_fresh(&self) -> bool {
        self.last.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH)
    }

    fn keep(&mut self, mut seen: Seen) -> Arc<Seen> {
        self.errors += u64::from(!seen.is_whole());
        seen.errors = self.errors;
        let seen = Arc::new(seen);
        self.last = Some((Instant::now(), seen.clone()));
        seen
    }
}

impl std::fmt::Debug for Watching<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").field("last", &self.last).finish_non_exhaustive()
    }
}

/// When to say something that goes on again: not more than once a minute.
#[derive(Debug, Default)]
struct Reminder(Option<Instant>);

impl Reminder {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() >= REMIND_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Why something could not be read.
#[derive(Debug)]
enum Fault {
    Refused(Trouble),
    Unanswered,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(trouble) => trouble.fmt(f),
            Self::Unanswered => write!(f, "no answer within {} s", LOOK_MAX.as_secs()),
        }
    }
}

/// Bounds what a server that has fallen silent would hold up.
async fn within<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Fault> {
    match timeout(LOOK_MAX, work).await {
        Ok(done) => done.map_err(Fault::Refused),
        Err(_) => Err(Fault::Unanswered),
    }
}
