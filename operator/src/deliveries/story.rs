//! All that is known of a mail, as the database has it.

use std::collections::HashMap;

use daemon::session::Sql;
use daemon::sql;
use serde::Serialize;

use crate::database::Database;
use crate::moments::{date, from_seconds};

const ACCOUNTS: Sql = sql!("deliveries/accounts");
const STORY: Sql = sql!("deliveries/story");
const HISTORY: Sql = sql!("deliveries/history");

/// Events of one mail, the newest: what was throttled all day is not told in full.
const EVENTS_MAX: i64 = 100;

/// Times are in microseconds since 1970.
fn maybe_date<S: serde::Serializer>(at: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
    at.map(date).serialize(to)
}

/// Whom mail goes to.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Account {
    pub(super) id: i64,
    pub(super) email: String,
    pub(super) login: String,
    pub(super) status: String,
    #[serde(serialize_with = "super::settled::as_date")]
    pub(super) created_at: i64,
}

/// A token, its delivery and what happened to it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Story {
    pub(super) token: i64,
    pub(super) action: Option<String>,
    /// Nothing is left of the token itself.
    pub(super) deleted: bool,
    #[serde(serialize_with = "maybe_date")]
    pub(super) created_at: Option<i64>,
    #[serde(serialize_with = "maybe_date")]
    pub(super) expires_at: Option<i64>,
    #[serde(serialize_with = "maybe_date")]
    pub(super) consumed_at: Option<i64>,
    pub(super) expired: bool,
    /// The account's status is none that this kind of mail is for.
    pub(super) barred: bool,
    /// As in the view `delivery_status`; `None`: handed over before deliveries were recorded, or
    /// its log was purged.
    pub(super) state: Option<String>,
    pub(super) outstanding: bool,
    #[serde(serialize_with = "maybe_date")]
    pub(super) promised_at: Option<i64>,
    #[serde(serialize_with = "maybe_date")]
    pub(super) due_at: Option<i64>,
    /// Who has it now.
    pub(super) holder: Option<String>,
    /// Oldest first.
    pub(super) events: Vec<Event>,
    #[serde(skip)]
    pub(super) account_status: Option<String>,
}

/// A row of the log.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Event {
    #[serde(serialize_with = "super::settled::as_date")]
    pub(super) at: i64,
    pub(super) attempt: i32,
    pub(super) outcome: String,
    pub(super) transport: Option<String>,
    pub(super) provider_id: Option<String>,
    pub(super) detail: Option<String>,
}

/// These accounts.
pub(super) async fn accounts(
    database: &Database,
    ids: &[i64],
) -> anyhow::Result<HashMap<i64, Account>> {
    let rows = database.rows(ACCOUNTS, &[&ids]).await?;
    let account = |row: &tokio_postgres::Row| Account {
        id: row.get("account"),
        email: row.get("email"),
        login: row.get("login"),
        status: row.get("status"),
        created_at: from_seconds(row.get("created_at")),
    };
    Ok(rows.iter().map(account).map(|account| (account.id, account)).collect())
}

/// The stories of these tokens.
pub(super) async fn stories(
    database: &Database,
    tokens: &[i64],
) -> anyhow::Result<HashMap<i64, Story>> {
    let mut events: HashMap<i64, Vec<Event>> = HashMap::new();
    for row in database.rows(HISTORY, &[&tokens, &EVENTS_MAX]).await? {
        events.entry(row.get("token")).or_default().push(Event {
            at: row.get("at"),
            attempt: row.get("attempt"),
            outcome: row.get("outcome"),
            transport: row.get("transport"),
            provider_id: row.get("provider_id"),
            detail: row.get("detail"),
        });
    }
    let mut stories = HashMap::new();
    for row in database.rows(STORY, &[&tokens]).await? {
        let token = row.get("token");
        let seconds = |name: &str| row.get::<_, Option<i64>>(name).map(from_seconds);
        let holder = row.get::<_, Option<&str>>("kind").map(|kind| {
            let (host, pid): (&str, i32) = (row.get("host"), row.get("pid"));
            format!("the {kind} {pid} on {host}")
        });
        stories.insert(
            token,
            Story {
                token,
                action: row.get("action"),
                deleted: row.get("deleted"),
                created_at: seconds("created_at"),
                expires_at: seconds("expires_at"),
                consumed_at: seconds("consumed_at"),
                expired: row.get::<_, Option<bool>>("expired").unwrap_or_default(),
                barred: row.get::<_, Option<bool>>("barred").unwrap_or_default(),
                state: row.get("state"),
                outstanding: row.get("outstanding"),
                promised_at: row.get("promised_at"),
                due_at: row.get("due_at"),
                holder,
                events: events.remove(&token).unwrap_or_default(),
                account_status: row.get("account_status"),
            },
        );
    }
    Ok(stories)
}
