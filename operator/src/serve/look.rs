//! What is read from the database: one look, a handful of statements.

use std::time::Duration;

use daemon::session::Sql;
use daemon::sql;
use daemon::trouble::Trouble;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

/// No statement of ours takes longer: the server ends it.
const STATEMENT_MAX: &str = "SET statement_timeout = '4s'";
/// No look takes longer; then the connection is given up.
pub const LOOK_MAX: Duration = Duration::from_secs(9);

const OUTSTANDING: Sql = sql!("serve/outstanding");
const ALIVE: Sql = sql!("serve/alive");
const TOTALS: Sql = sql!("serve/totals");
const SCALE: Sql = sql!("serve/scale");
const SCHEMA_VERSION: Sql = sql!("serve/schema_version");
const COUNT_LOG: Sql = sql!("count_log");

/// The mails of one action in one state that are promised and not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Outstanding {
    /// The action's name.
    pub action: String,
    /// pending, dispatched or sending.
    pub state: String,
    /// How many.
    pub deliveries: u64,
    /// How many could have been handed over for longer than the limit.
    pub overdue: u64,
    /// Those of them in whose queue nobody holds anything.
    pub unclaimed: u64,
    /// How many are promised for longer than the limit.
    pub waiting: u64,
    /// How long ago the oldest was promised; zero if there is none.
    pub oldest_seconds: f64,
}

/// All that is promised and not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Promises {
    /// By action and state, also where there is nothing.
    pub parts: Vec<Outstanding>,
    /// Whether a provider has accepted any mail within the limit.
    pub accepted: bool,
}

/// How often something happened, ever.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// The action's name, or `unknown`.
    pub action: String,
    /// sent, skipped, failed and so on.
    pub outcome: String,
    /// Of those sent: which of [`Account::bounds`], from 0, is the first not less than the time they
    /// took; as many as there are bounds for those that took longer.
    pub bucket: usize,
    /// How often.
    pub count: u64,
    /// Of those sent: the time they took, all together.
    pub seconds: f64,
}

/// What happened, and who is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Never less than in an earlier look.
    pub totals: Vec<Total>,
    /// Upper bounds of the buckets in seconds, ascending.
    pub bounds: Vec<f64>,
    /// All outcomes there are.
    pub outcomes: Vec<String>,
    /// How many collectors and senders are alive.
    pub holders: Vec<(String, u64)>,
    /// The schema's version, if a migrator has recorded it.
    pub schema_version: Option<i64>,
}

/// Prepares a connection for looks.
///
/// # Errors
/// When the server refuses, or is gone.
pub async fn prepare(client: &Client) -> Result<(), Trouble> {
    let done = client.batch_execute(STATEMENT_MAX).await;
    done.map_err(|error| Trouble::from_postgres("statement_timeout", &error))
}

/// What is outstanding, and what of it for longer than `ready_age`.
///
/// # Errors
/// When the server refuses, or is gone.
pub async fn promises(client: &Client, ready_age: Duration) -> Result<Promises, Trouble> {
    let age = ready_age.as_secs_f64();
    let rows = query(client, &OUTSTANDING, &[(&age, Type::FLOAT8)]).await?;
    let parts = rows.iter().map(|row| {
        Ok(Outstanding {
            action: field(row, 0)?,
            state: field(row, 1)?,
            deliveries: whole(field(row, 2)?)?,
            overdue: whole(field(row, 3)?)?,
            unclaimed: whole(field(row, 4)?)?,
            waiting: whole(field(row, 5)?)?,
            oldest_seconds: field(row, 6)?,
        })
    });
    let parts = parts.collect::<Result<_, Trouble>>()?;
    let accepted = rows.first().map_or(Ok(false), |row| field(row, 7))?;
    Ok(Promises { parts, accepted })
}

/// What happened, and who is there.
///
/// # Errors
/// When the server refuses, or is gone.
pub async fn account(client: &Client) -> Result<Account, Trouble> {
    let totals = query(client, &TOTALS, &[]).await?;
    let totals = totals.iter().map(total).collect::<Result<_, _>>()?;
    let scale = query(client, &SCALE, &[]).await?;
    let scale = scale.first().ok_or_else(|| Trouble::broken("scale: no row"))?;
    let holders = query(client, &ALIVE, &[]).await?;
    let holders: Result<_, Trouble> =
        holders.iter().map(|row| Ok((field(row, 0)?, whole(field(row, 1)?)?))).collect();
    let schema_version = match query(client, &SCHEMA_VERSION, &[]).await {
        Ok(rows) => rows.first().map(|row| field(row, 0)).transpose()?,
        // There is no such table, or we may not look: no reason to say nothing of the rest.
        Err(trouble) if trouble.will_not_mend() => None,
        Err(trouble) => return Err(trouble),
    };
    Ok(Account {
        totals,
        bounds: field(scale, 0)?,
        outcomes: field(scale, 1)?,
        holders: holders?,
        schema_version,
    })
}

/// Adds a stretch of what is settled for good to the totals. Returns whether there is more.
///
/// # Errors
/// When the server refuses, or is gone.
pub async fn count_log(client: &Client) -> Result<bool, Trouble> {
    let rows = query(client, &COUNT_LOG, &[]).await?;
    rows.first().map_or(Ok(false), |row| field(row, 0))
}

fn total(row: &Row) -> Result<Total, Trouble> {
    let bucket: i32 = field(row, 2)?;
    Ok(Total {
        action: field(row, 0)?,
        outcome: field(row, 1)?,
        bucket: usize::try_from(bucket).map_err(|_| Trouble::broken("a bucket below zero"))?,
        count: whole(field(row, 3)?)?,
        seconds: field(row, 4)?,
    })
}

/// Unnamed, so that a pooler in between does no harm.
async fn query(
    client: &Client,
    sql: &Sql,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, Trouble> {
    let rows = client.query_typed(sql.text, params).await;
    rows.map_err(|error| Trouble::from_postgres(sql.name, &error))
}

fn field<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> Result<T, Trouble> {
    row.try_get(index).map_err(|error| Trouble::from_postgres("read a row", &error))
}

fn whole(count: i64) -> Result<u64, Trouble> {
    u64::try_from(count).map_err(|_| Trouble::broken("a count below zero"))
}
