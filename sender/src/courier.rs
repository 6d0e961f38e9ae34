//! One call from permit to record: wait for the rate, begin the rows, send, settle.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use daemon::crash_point;
use daemon::exit::{Exit, ExitExt};
use daemon::log::ms;
use daemon::shutdown::Shutdown;
use mailroom::line::Row;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::config::Config;
use crate::deliveries::{Begun, Details, Settlement};
use crate::ledger::{Beginning, Ledger};
use crate::plan::Planned;
use crate::rate::{Bucket, Permit};
use crate::retry::{self, Next};
use crate::transport::{Call, Mail, Outcome, Transport};

/// A call starts so soon after its rows were asked for, or not at all: a process that was stopped in
/// between may have been given up by everyone else.
const BEGIN_TO_CALL_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub struct Courier<'a, T> {
    config: &'a Config,
    transport: &'a T,
    ledger: Option<&'a Ledger>,
    bucket: &'a RefCell<Bucket>,
    /// Wakes those who wait for a permit when it may have come nearer: the end of a hold, say.
    freed: Notify,
    calls: Cell<u64>,
    /// Calls that are being carried and have no answer yet.
    under_way: Cell<usize>,
    answered: Notify,
}

/// Counts a call from its start until it has been answered.
struct UnderWay<'a> {
    calls: &'a Cell<usize>,
    answered: &'a Notify,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.calls.set(self.calls.get() - 1);
        self.answered.notify_one();
    }
}

impl<'a, T: Transport> Courier<'a, T> {
    /// Carries calls over `transport`, recorded in `ledger`, as fast as `bucket` lets it.
    pub fn new(
        config: &'a Config,
        transport: &'a T,
        ledger: Option<&'a Ledger>,
        bucket: &'a RefCell<Bucket>,
    ) -> Self {
        Self {
            config,
            transport,
            ledger,
            bucket,
            freed: Notify::new(),
            calls: Cell::new(0),
            under_way: Cell::new(0),
            answered: Notify::new(),
        }
    }

    /// How many calls have no answer yet. Those that only wait to be recorded do not count: the
    /// provider need not wait for the disk.
    pub fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// Waits until a call has been answered, or ended without one.
    pub async fn answered(&self) {
        self.answered.notified().await;
    }

    /// How many mails a call may have: what the provider takes, and no more than a second's worth, so
    /// that one call does not exceed the rate by itself.
    pub fn call_max(&self) -> usize {
        let most = self.transport.mails_per_call_max();
        match self.bucket.borrow().rate() {
            // Saturating: a rate beyond usize is no limit.
            Some(rate) => most.min(rate.ceil() as usize).max(1),
            None => most,
        }
    }

    /// Carries one call. A stop that is asked for before the rows have begun leaves them where they
    /// are; later, the call is finished.
    ///
    /// # Errors
    /// When this process cannot go on: the configuration is wrong, or nothing can be recorded. The
    /// rows are pending again, or stay ours until our session ends.
    pub fn carry(
        &self,
        planned: Planned,
        shutdown: &Shutdown,
    ) -> impl Future<Output = anyhow::Result<()>> {
        self.under_way.set(self.under_way.get() + 1);
        let under_way = UnderWay { calls: &self.under_way, answered: &self.answered };
        self.carry_on(planned, under_way, shutdown)
    }

    async fn carry_on(
        &self,
        planned: Planned,
        under_way: UnderWay<'_>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        let wanted = u32::try_from(planned.rows.len()).unwrap_or(u32::MAX);
        let permit = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            permit = self.permit(wanted) => permit,
        };
        crash_point!("permitted");
        let Some(ledger) = self.ledger else {
            return self.carry_unrecorded(&planned, permit, shutdown).await;
        };
        let margin = (self.transport.call_timeout() + BEGIN_TO_CALL_MAX).as_secs();
        let margin = i64::try_from(margin).unwrap_or(i64::MAX);
        let beginning = loop {
            let beginning = tokio::select! {
                beginning = ledger.begin(&planned, margin, self.config.max_attempts) => beginning?,
                () = while_away(ledger, shutdown) => return Ok(()),
            };
            crash_point!("begun");
            if !beginning.is_lost() {
                break beginning;
            }
            // Provably not sent: they go back when the next session takes over, and are asked for
            // again. A crash of PostgreSQL may even have undone the begin, and then nobody else knows
            // that their line has been read.
        };
        let begun = beginning.begun.len();
        let unused = wanted.saturating_sub(u32::try_from(begun).unwrap_or(u32::MAX));
        self.bucket.borrow_mut().give_back(unused);
        if begun < planned.rows.len() {
            tracing::info!(rows = planned.rows.len(), begun, "rows_not_begun");
        }
        if begun == 0 {
            self.not_used(permit);
            return Ok(());
        }
        if unused > 0 {
            self.freed.notify_waiters();
        }
        ledger.started(&beginning.begun);
        let (settlements, misconfigured) =
            self.send_begun(planned, beginning, permit, shutdown).await;
        drop(under_way);
        ledger.settle(self.transport.name(), settlements).await?;
        crash_point!("settled");
        misconfigured.map_or(Ok(()), |reason| Err(anyhow!(reason).exit(Exit::Config)))
    }

    /// Sends what was begun. Returns what becomes of each mail, and what is wrong with our
    /// configuration, if something is.
    async fn send_begun(
        &self,
        planned: Planned,
        mut beginning: Beginning,
        permit: Permit,
        shutdown: &Shutdown,
    ) -> (Vec<Settlement>, Option<String>) {
        let call = call(planned, &mut beginning.begun);
        crash_point!("call_due");
        // Asked before each call to the provider, and there may be several.
        let fresh = || beginning.is_fresh(BEGIN_TO_CALL_MAX) && !shutdown.is_requested();
        let outcomes = self.send(&call, &fresh, permit).await;
        crash_point!("answered");
        let misconfigured = misconfigured(&outcomes);
        let settlements: Vec<Settlement> = beginning
            .begun
            .iter()
            .zip(outcomes)
            .map(|(begun, outcome)| Settlement {
                token: begun.token,
                attempt: begun.attempt,
                next: retry::next(
                    outcome,
                    u32::try_from(begun.attempt).unwrap_or(u32::MAX),
                    u32::try_from(begun.ambiguities).unwrap_or(u32::MAX),
                    self.config.max_attempts,
                    fastrand::f64(),
                ),
            })
            .collect();
        report(&call, &settlements);
        (settlements, misconfigured)
    }

    /// Without a database nothing is recorded, so what was provably not sent is tried again here,
    /// while the others wait in the pipe.
    async fn carry_unrecorded(
        &self,
        planned: &Planned,
        mut permit: Permit,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        let mut rows: Vec<&Row> = planned.rows.iter().collect();
        for attempt in 1.. {
            let mails = rows.iter().map(|row| mail((*row).clone())).collect();
            let call = Call { action: planned.action, label: None, mails };
            let outcomes = self.send(&call, &|| true, permit).await;
            if let Some(reason) = misconfigured(&outcomes) {
                return Err(anyhow!(reason).exit(Exit::Config));
            }
            let mut wait = Duration::ZERO;
            let mut again = Vec::new();
            for (row, outcome) in rows.into_iter().zip(outcomes) {
                let tried = !matches!(outcome, Outcome::Untried { .. });
                let tried_enough = tried && attempt >= self.config.max_attempts;
                let next = retry::next(outcome, attempt, 0, 1, fastrand::f64());
                match next {
                    Next::Again { after, .. } if !tried_enough => {
                        wait = wait.max(after);
                        again.push(row);
                    }
                    Next::Again { reason, .. } | Next::Failed { reason } => {
                        tracing::warn!(domain = domain(&row.email), reason, "mail_given_up");
                    }
                    Next::Sent { .. } => {}
                }
            }
            if again.is_empty() {
                break;
            }
            tracing::info!(mails = again.len(), wait_ms = ms(wait), "mails_deferred");
            rows = again;
            let permitted = async {
                sleep(wait).await;
                self.permit(u32::try_from(rows.len()).unwrap_or(u32::MAX)).await
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => {
                    tracing::warn!(mails = rows.len(), "mails_abandoned");
                    break;
                }
                granted = permitted => permit = granted,
            }
        }
        Ok(())
    }

    async fn send(&self, call: &Call, go: &dyn Fn() -> bool, permit: Permit) -> Vec<Outcome> {
        let number = self.calls.get() + 1;
        self.calls.set(number);
        let mails = call.mails.len();
        tracing::info!(call = number, action = call.action.get(), mails, "call_started");
        let started = Instant::now();
        let outcomes = self.transport.send(call, go).await;
        let ms = started.elapsed().as_millis();
        let sent = outcomes.iter().filter(|o| matches!(o, Outcome::Sent { .. })).count();
        tracing::info!(call = number, sent, not_sent = mails - sent, ms, "call_ended");
        self.learn(&outcomes, permit);
        outcomes
    }

    /// What the outcomes say about the rate.
    fn learn(&self, outcomes: &[Outcome], permit: Permit) {
        let now = Instant::now();
        let mut bucket = self.bucket.borrow_mut();
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Untried { .. })) {
            bucket.not_used(permit, now);
            self.freed.notify_waiters();
        }
        let accepted = outcomes.iter().filter(|o| matches!(o, Outcome::Sent { .. })).count();
        if accepted > 0 {
            bucket.accepted(u32::try_from(accepted).unwrap_or(u32::MAX), permit, now);
            self.freed.notify_waiters();
        }
        // After that: a call that was partly accepted has met the limit all the same.
        for outcome in outcomes {
            match outcome {
                Outcome::Throttled { late: false, .. } => bucket.throttled(now),
                Outcome::Throttled { late: true, .. }
                | Outcome::Misconfigured { hold: true, .. } => {
                    bucket.late(now);
                }
                Outcome::Sent { .. }
                | Outcome::Deferred { .. }
                | Outcome::Ambiguous { .. }
                | Outcome::Rejected { .. }
                | Outcome::Untried { .. }
                | Outcome::Misconfigured { hold: false, .. } => {}
            }
        }
    }

    /// Nothing was sent with it; others wait.
    fn not_used(&self, permit: Permit) {
        self.bucket.borrow_mut().not_used(permit, Instant::now());
        self.freed.notify_waiters();
    }

    /// Waits until so many recipients may be sent to.
    async fn permit(&self, recipients: u32) -> Permit {
        loop {
            let freed = self.freed.notified();
            let asked = self.bucket.borrow_mut().take(recipients, Instant::now());
            match asked {
                Ok(permit) => return permit,
                Err(wait) => tokio::select! {
                    () = sleep(wait) => {}
                    () = freed => {}
                },
            }
        }
    }
}

/// Resolves when a stop is asked for while there is no session to begin in.
async fn while_away(ledger: &Ledger, shutdown: &Shutdown) {
    shutdown.requested().await;
    ledger.away().await;
}

/// What was begun, with what the line does not say.
fn call(planned: Planned, begun: &mut [Begun]) -> Call {
    let Planned { action, rows } = planned;
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    let label = begun.first().map(|begun| begun.details.label.clone());
    let mails = begun.iter_mut().filter_map(|begun| {
        let row = rows.get_mut(begun.place)?.take()?;
        let Details { locale, data, expires_at, .. } = std::mem::take(&mut begun.details);
        Some(Mail { delivery: Some(begun.token), locale, data, expires_at, ..mail(row) })
    });
    Call { action, label, mails: mails.collect() }
}

/// What the line says.
fn mail(row: Row) -> Mail {
    Mail {
        delivery: None,
        token: row.token.encode(),
        code: row.code.map(|code| code.as_str().to_owned()),
        email: row.email,
        login: row.login,
        locale: None,
        expires_at: None,
        data: None,
    }
}

/// What is wrong with our configuration, unless it may mend by itself.
fn misconfigured(outcomes: &[Outcome]) -> Option<String> {
    outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Misconfigured { reason, hold: false } => Some(reason.clone()),
        _ => None,
    })
}

/// Says of what was not sent why: one line for all mails of the call that share a reason and come
/// again, one for each that has failed. What was sent is in the call's own line.
fn report(call: &Call, settlements: &[Settlement]) {
    let mut again: Vec<(&str, &str, u32)> = Vec::new();
    for (mail, settlement) in call.mails.iter().zip(settlements) {
        let (delivery, domain) = (settlement.token, domain(&mail.email));
        match &settlement.next {
            Next::Sent { .. } => {}
            Next::Again { after, word, reason, .. } => {
                let again_in_ms = ms(*after);
                match again.iter_mut().find(|(w, r, _)| w == word && r == reason) {
                    Some((_, _, mails)) => *mails += 1,
                    None => again.push((word, reason, 1)),
                }
                tracing::debug!(
                    delivery,
                    domain,
                    outcome = word,
                    again_in_ms,
                    reason,
                    "mail_deferred"
                );
            }
            Next::Failed { reason } => {
                tracing::warn!(delivery, domain, reason, "mail_failed");
            }
        }
    }
    for (outcome, reason, mails) in again {
        tracing::warn!(mails, outcome, reason, "mails_again");
    }
}

fn domain(email: &str) -> &str {
    email.rsplit_once('@').map_or("", |(_, domain)| domain)
}
