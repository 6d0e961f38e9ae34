//! What the database says.

use daemon::session::Sql;
use daemon::sql;
use serde::Serialize;
use tokio_postgres::Row;

use crate::database::{Database, failed};
use crate::moments::date;

const CLOCK: Sql = sql!("clock");
const DEPTH: Sql = sql!("status/depth");
const RATES: Sql = sql!("status/rates");
const HOLDERS: Sql = sql!("status/holders");
const VERSION: Sql = sql!("status/version");

/// The database at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) at: String,
    pub(super) server: String,
    /// `None`: nothing keeps it, or it is not ours to read.
    pub(super) schema: Option<Schema>,
    pub(super) deliveries: Vec<Depth>,
    pub(super) log: Vec<Rate>,
    pub(super) holders: Vec<Holder>,
}

/// The migration the schema is at.
#[derive(Debug, Serialize)]
pub(super) struct Schema {
    pub(super) version: i64,
    pub(super) dirty: bool,
}

/// How much is outstanding of one kind, in one state.
#[derive(Debug, Serialize)]
pub(super) struct Depth {
    pub(super) action: String,
    pub(super) state: String,
    pub(super) deliveries: i64,
    /// Could be handed over now.
    pub(super) due: i64,
    /// Could have been for a minute.
    pub(super) overdue: i64,
    /// Since the oldest was promised.
    pub(super) oldest_seconds: f64,
}

/// How many events of an outcome there were in the last minutes.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    pub(super) outcome: String,
    pub(super) last_minute: i64,
    pub(super) last_5_minutes: i64,
    pub(super) last_15_minutes: i64,
}

/// A collector or sender that lives.
#[derive(Debug, Serialize)]
pub(super) struct Holder {
    pub(super) kind: String,
    pub(super) host: String,
    pub(super) pid: i32,
    pub(super) version: String,
    pub(super) since: String,
    pub(super) dispatched: i64,
    pub(super) sending: i64,
    #[serde(skip)]
    pub(super) age: i64,
}

impl Snapshot {
    pub(super) async fn take(database: &Database) -> anyhow::Result<Self> {
        let now: i64 = database.one(CLOCK, &[]).await?.get("now");
        let holder = |row: &Row| {
            let started: i64 = row.get("started");
            Holder {
                kind: row.get("kind"),
                host: row.get("host"),
                pid: row.get("pid"),
                version: row.get("version"),
                since: date(started),
                dispatched: row.get("dispatched"),
                sending: row.get("sending"),
                age: now - started,
            }
        };
        Ok(Self {
            at: date(now),
            server: database.server().to_owned(),
            schema: schema(database).await?,
            deliveries: database.rows(DEPTH, &[]).await?.iter().map(depth).collect(),
            log: database.rows(RATES, &[]).await?.iter().map(rate).collect(),
            holders: database.rows(HOLDERS, &[]).await?.iter().map(holder).collect(),
        })
    }
}

fn depth(row: &Row) -> Depth {
    Depth {
        action: row.get("action"),
        state: row.get("state"),
        deliveries: row.get("deliveries"),
        due: row.get("due"),
        overdue: row.get("overdue"),
        oldest_seconds: row.get("oldest"),
    }
}

fn rate(row: &Row) -> Rate {
    Rate {
        outcome: row.get("outcome"),
        last_minute: row.get("one"),
        last_5_minutes: row.get("five"),
        last_15_minutes: row.get("fifteen"),
    }
}

async fn schema(database: &Database) -> anyhow::Result<Option<Schema>> {
    match database.attempt(VERSION, &[]).await {
        Ok(rows) => Ok(rows
            .first()
            .map(|row| Schema { version: row.get("version"), dirty: row.get("dirty") })),
        // There is no such table where the migrations were run by hand.
        Err(trouble) if trouble.will_not_mend() => Ok(None),
        Err(trouble) => Err(failed(trouble)),
    }
}
