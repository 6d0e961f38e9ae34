//! The queue in PostgreSQL: all SQL of the collector, and nothing else knows a table.

use std::time::{Duration, Instant, SystemTime};

use daemon::crash_point;
use daemon::session::{Former, Session, Sql};
use daemon::sql;
use daemon::trouble::Trouble;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::floors::{Floors, Place};
use crate::purges::Retention;

const CHECK: Sql = sql!("check");
const PRIORITIES: Sql = sql!("priorities");
const CLAIM: Sql = sql!("claim");
const SKIP: Sql = sql!("skip");
const REJECT: Sql = sql!("reject");
const RELEASE: Sql = sql!("release");
const RELABEL: Sql = sql!("relabel");
const ARM: Sql = sql!("arm");
const DISARM: Sql = sql!("disarm");
const LOOK: Sql = sql!("look");
const SWEEP: Sql = sql!("sweep");
const PRUNE: Sql = sql!("prune");
const PURGE: Sql = sql!("purge");
const REPORT: Sql = sql!("report");

// The columns of a claim, in the order of claim.sql: a name would be looked for anew in every row.
const TOKEN: usize = 0;
const NUMBER: usize = 1;
const PATH: usize = 2;
const CODE_SIGNED: usize = 3;
const SECRET: usize = 4;
const CODE: usize = 5;
const EMAIL: usize = 6;
const LOGIN: usize = 7;
const DISPATCHES: usize = 8;
const PRIORITY: usize = 9;
const DUE_AT: usize = 10;
const CLAIMED_AT: usize = 11;

/// Rows of the log that are forgotten in one go: a matter of milliseconds, since mail may be waiting.
const PURGE_ROWS: i32 = 500;

/// Every statement, for the test that prepares each against the schema.
pub const ALL: [Sql; 14] = [
    CHECK, PRIORITIES, CLAIM, SKIP, REJECT, RELEASE, RELABEL, ARM, DISARM, LOOK, SWEEP, PRUNE,
    PURGE, REPORT,
];

/// A delivery that is ours to hand over, as the database has it: nothing of it is trusted yet.
#[derive(Clone)]
pub struct Delivery {
    /// The token's number, which is the delivery's.
    pub token: i64,
    /// `actions.number`, `.path`, `.code_signed`.
    pub action: (i16, String, bool),
    /// Of any length.
    pub secret: Vec<u8>,
    /// Of any form.
    pub code: Option<Vec<u8>>,
    /// The account's address, perhaps not in UTF-8.
    pub email: Vec<u8>,
    /// The account's login, perhaps not in UTF-8.
    pub login: Vec<u8>,
    /// Times claimed since it was last begun, this one included.
    pub dispatches: i32,
    /// Its priority and due time: lower and earlier goes first.
    pub place: Place,
}

/// The answer to a claim.
pub struct Claim {
    /// Rows claimed. Fewer than asked for: nothing else is due, if `everywhere` (but for a row that has
    /// just been changed by another).
    pub examined: u32,
    /// Whether it looked everywhere, and not only above floors.
    pub everywhere: bool,
    /// Those to hand over, in that order.
    pub ours: Vec<Delivery>,
    /// The tokens of those that may not be mailed and could not be [skipped](Queue::skip) yet.
    pub barred: Vec<i64>,
    /// When the claim was made, by the database's clock.
    pub claimed_at: SystemTime,
}

/// The answer to a look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Deliveries due, counted up to the limit given.
    pub due: u32,
    /// Until the next one falls due.
    pub next_due_in: Option<Duration>,
}

/// What a sweep found and did.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// Pending again.
    pub released: i64,
    /// Of those: lost between the two halves.
    pub lost: i64,
    /// Of those: their sender ended during the call.
    pub ambiguous: i64,
    /// Given up: nobody can tell what became of them.
    pub unconfirmed: i64,
    /// Still held.
    pub held: i64,
    /// Until a row now within its grace can be released.
    pub grace_ends_in: Option<Duration>,
}

/// What died with deliveries of ours.
#[derive(Debug, Clone)]
pub struct Predecessors {
    /// The last session that worked, and any since that was lost before it could.
    pub sessions: Vec<Former>,
    /// [`Claim::claimed_at`] of the last claim whose rows went to stdout.
    pub claimed_at: SystemTime,
    /// Of what was claimed, that which may not be mailed and has not been skipped yet.
    pub barred: Vec<i64>,
}

impl Default for Predecessors {
    fn default() -> Self {
        Self { sessions: Vec::new(), claimed_at: SystemTime::UNIX_EPOCH, barred: Vec::new() }
    }
}

/// One queue, over one session.
pub struct Queue<'a> {
    session: &'a Session,
    name: &'a str,
}

impl<'a> Queue<'a> {
    /// The queue called `name`.
    pub fn new(session: &'a Session, name: &'a str) -> Self {
        Self { session, name }
    }

    /// The channel that the triggers notify, and whether the queue exists.
    pub async fn check(&self) -> Result<(String, bool), Trouble> {
        let row = self.session.one(CHECK, &[&self.name]).await?;
        Ok((row.get("channel"), row.get("queue_exists")))
    }

    /// Claims up to `limit` due deliveries, and skips those of them that may not be mailed.
    pub async fn claim(&self, limit: u32, floors: &mut Floors) -> Result<Claim, Trouble> {
        let now = Instant::now();
        if floors.are_stale(now) {
            let (backend, _) = self.me();
            let rows = self.session.rows(PRIORITIES, &[&backend, &self.name]).await?;
            floors.replace(rows.iter().map(|row| row.get("priority")).collect(), now);
        }
        let (backend, number) = self.me();
        let (priorities, due) = floors.parameters();
        let rows_max = i64::from(limit);
        let params: [&(dyn ToSql + Sync); 6] =
            [&backend, &number, &self.name, &rows_max, &priorities, &due];
        let rows = self.session.rows(CLAIM, &params).await?;
        let examined = saturating(rows.len());
        let everywhere = floors.claimed(rows.iter().map(place), examined, limit);
        let claimed_at = rows.first().map_or(SystemTime::UNIX_EPOCH, |row| row.get(CLAIMED_AT));
        let mut ours = Vec::with_capacity(rows.len());
        let mut barred: Vec<i64> = Vec::new();
        for row in &rows {
            match delivery(row) {
                Some(delivery) => ours.push(delivery),
                None => barred.push(row.get(TOKEN)),
            }
        }
        drop(rows);
        // The statement promises no order.
        ours.sort_by_key(|delivery| delivery.place);
        if !barred.is_empty() {
            crash_point!("barred");
            barred = self.skip(&barred).await?;
        }
        Ok(Claim { examined, everywhere, ours, barred, claimed_at })
    }

    /// Deals with deliveries of ours that may not be mailed. Returns those that somebody keeps locked:
    /// they are still ours, and to be skipped later.
    pub async fn skip(&self, tokens: &[i64]) -> Result<Vec<i64>, Trouble> {
        let (backend, number) = self.me();
        let rows = self.session.rows(SKIP, &[&backend, &number, &tokens]).await?;
        let mut reasons: Vec<(&str, u32)> = Vec::new();
        let mut left = Vec::new();
        for row in &rows {
            let delivery: i64 = row.get("token");
            let Some(reason) = row.get::<_, Option<&str>>("reason") else {
                left.push(delivery);
                continue;
            };
            tracing::debug!(delivery, reason, "delivery_skipped");
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, deliveries)) => *deliveries += 1,
                None => reasons.push((reason, 1)),
            }
        }
        for (reason, deliveries) in reasons {
            tracing::info!(deliveries, reason, "deliveries_skipped");
        }
        Ok(left)
    }

    /// Deliveries of ours that can never be written have failed, each with its reason.
    pub async fn reject(&self, tokens: &[i64], reasons: &[&str]) -> Result<(), Trouble> {
        let (backend, number) = self.me();
        let durability = self.session.durability();
        let params: [&(dyn ToSql + Sync); 5] = [&backend, &number, &tokens, &reasons, &durability];
        self.session.rows(REJECT, &params).await.map(drop)
    }

    /// What we dispatched and nobody began is pending again. Returns how many.
    pub async fn release(&self) -> Result<i64, Trouble> {
        let (backend, number) = self.me();
        Ok(self.session.one(RELEASE, &[&backend, &number]).await?.get("released"))
    }

    /// Takes over from a former session of ours: lines written by `claimed_at` stay on their way, rows
    /// that never became a line go back. Returns how many of each.
    pub async fn relabel(
        &self,
        former: Former,
        claimed_at: SystemTime,
    ) -> Result<(i64, i64), Trouble> {
        if !self.session.fence(former).await? {
            return Ok((0, 0));
        }
        let (backend, number) = self.me();
        let row =
            self.session.one(RELABEL, &[&backend, &number, &former.number, &claimed_at]).await?;
        Ok((row.get("kept"), row.get("released")))
    }

    /// Gives the gate back.
    pub async fn disarm(&self) -> Result<(), Trouble> {
        self.session.rows(DISARM, &[&self.session.backend(), &self.name]).await.map(drop)
    }

    /// How much is due, and when the next one is: everywhere, or, without `everywhere`, above the
    /// floors, which is good enough for who will look again soon.
    pub async fn look(
        &self,
        limit: u32,
        floors: &mut Floors,
        everywhere: bool,
    ) -> Result<Look, Trouble> {
        let (priorities, due) =
            if everywhere { Default::default() } else { floors.parameters_of_look(Instant::now()) };
        let backend = self.session.backend();
        let params: [&(dyn ToSql + Sync); 5] =
            [&backend, &self.name, &i64::from(limit), &priorities, &due];
        let row = self.session.one(LOOK, &params).await?;
        floors.looked(&row.get::<_, Vec<i16>>("priorities"));
        let due: i64 = row.get("due");
        if everywhere && due == 0 {
            floors.confirm(Instant::now());
        }
        Ok(Look { due: saturating(due), next_due_in: seconds(&row, "next_due_in") })
    }

    /// Takes the gate, then looks everywhere: two statements, because the look must see what was
    /// committed before the gate was ours, but one round trip.
    pub async fn arm_and_look(
        &self,
        limit: u32,
        floors: &mut Floors,
    ) -> Result<(bool, Look), Trouble> {
        let backend = self.session.backend();
        let params: [&(dyn ToSql + Sync); 2] = [&backend, &self.name];
        let arm = self.session.one(ARM, &params);
        // Polled in this order, so sent in this order.
        let (armed, look) = tokio::join!(biased; arm, self.look(limit, floors, true));
        Ok((armed?.get("armed"), look?))
    }

    /// Frees what the dead held and what was lost. What was being sent has this much `grace`.
    pub async fn sweep(&self, grace: Duration) -> Result<Sweep, Trouble> {
        let grace = grace.as_secs_f64();
        let (backend, number) = self.me();
        let durability = self.session.durability();
        let params: [&(dyn ToSql + Sync); 5] = [&backend, &number, &self.name, &grace, &durability];
        let row = self.session.one(SWEEP, &params).await?;
        Ok(Sweep {
            released: row.get("released"),
            lost: row.get("lost"),
            ambiguous: row.get("ambiguous"),
            unconfirmed: row.get("unconfirmed"),
            held: row.get("held"),
            grace_ends_in: seconds(&row, "grace_ends_in"),
        })
    }

    /// Counts and forgets some of what the log says: how many rows, and whether there are more.
    pub async fn purge(&self, retention: Retention) -> Result<(u64, bool), Trouble> {
        let (backend, _) = self.me();
        let (sent, others) = (retention.sent.as_secs_f64(), retention.others.as_secs_f64());
        let params: [&(dyn ToSql + Sync); 4] = [&backend, &sent, &others, &PURGE_ROWS];
        let row = self.session.one(PURGE, &params).await?;
        let rows: i32 = row.get("rows");
        Ok((u64::try_from(rows).unwrap_or_default(), row.get("more")))
    }

    /// Forgets holders that have long been gone.
    pub async fn prune(&self) -> Result<(), Trouble> {
        self.session.rows(PRUNE, &[&self.session.backend()]).await.map(drop)
    }

    /// Moves the queue's cursor, as a report.
    pub async fn report(&self, token: i64) -> Result<(), Trouble> {
        let backend = self.session.backend();
        self.session.rows(REPORT, &[&backend, &self.name, &token]).await.map(drop)
    }

    fn me(&self) -> (i32, i32) {
        (self.session.backend(), self.session.number())
    }
}

/// A row of a claim, if it may be mailed.
fn delivery(row: &Row) -> Option<Delivery> {
    Some(Delivery {
        token: row.get(TOKEN),
        action: (row.get::<_, Option<i16>>(NUMBER)?, row.get(PATH), row.get(CODE_SIGNED)),
        secret: row.get(SECRET),
        code: row.get(CODE),
        email: row.get(EMAIL),
        login: row.get(LOGIN),
        dispatches: row.get(DISPATCHES),
        place: place(row),
    })
}

fn place(row: &Row) -> Place {
    (row.get(PRIORITY), row.get(DUE_AT))
}

fn seconds(row: &Row, column: &str) -> Option<Duration> {
    // A moment later, so that it is due when we ask; and within what a clock can add.
    let wait = row.get::<_, Option<f64>>(column)?.clamp(0.0, 1e9) + 0.001;
    Some(Duration::from_secs_f64(wait))
}

fn saturating(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}
