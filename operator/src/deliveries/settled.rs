//! Deliveries that have ended, newest first, a bounded step of the log at a time.

use std::collections::HashSet;

use daemon::session::Sql;
use daemon::sql;
use serde::Serialize;

use crate::database::Database;
use crate::moments::{date, stamp};
use crate::output::Row;

const SETTLED: Sql = sql!("deliveries/settled");

/// Rows of the log that one statement looks at.
const STEP: i64 = 5000;

/// A delivery that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Ended {
    pub(super) token: i64,
    pub(super) action: Option<String>,
    pub(super) account: Option<i64>,
    pub(super) state: String,
    pub(super) attempts: i32,
    #[serde(serialize_with = "as_date")]
    pub(super) at: i64,
    pub(super) transport: Option<String>,
    pub(super) detail: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(super) fn as_date<S: serde::Serializer>(at: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&date(*at))
}

impl Row for Ended {
    const HEADINGS: &'static [&'static str] =
        &["TOKEN", "ACTION", "ACCOUNT", "STATE", "ATTEMPTS", "AT (UTC)", "DETAIL"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.token.to_string(),
            self.action.clone().unwrap_or_default(),
            self.account.map(|account| account.to_string()).unwrap_or_default(),
            self.state.clone(),
            self.attempts.to_string(),
            stamp(self.at),
            self.detail.clone().unwrap_or_default(),
        ]
    }
}

/// Which are meant.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) outcome: String,
    pub(super) action: Option<String>,
    pub(super) detail: Option<String>,
    /// Microseconds since 1970.
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
}

/// A walk back through the log.
pub(super) struct Settled<'a> {
    database: &'a Database,
    wanted: Wanted,
    step: i64,
    at_edge: HashSet<i64>,
    ended: bool,
}

impl<'a> Settled<'a> {
    pub(super) fn new(database: &'a Database, wanted: Wanted) -> Self {
        Self { database, wanted, step: STEP, at_edge: HashSet::new(), ended: false }
    }

    /// How far back it has looked.
    pub(super) fn reached(&self) -> Option<i64> {
        self.wanted.until
    }

    /// Those of the next step, perhaps none; `None` when there is nothing further back.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<Ended>>> {
        if self.ended {
            return Ok(None);
        }
        let Wanted { outcome, action, detail, since, until } = &self.wanted;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [outcome, since, until, action, detail, &self.step];
        let rows = self.database.rows(SETTLED, &params).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (examined, reached): (i64, Option<i64>) = (first.get("examined"), first.get("reached"));
        let mut found = Vec::new();
        for row in &rows {
            let Some(token) = row.get("token") else { continue };
            found.push(Ended {
                token,
                action: row.get("action"),
                account: row.get("account"),
                state: row.get("state"),
                attempts: row.get("attempts"),
                at: row.get("at"),
                transport: row.get("transport"),
                detail: row.get("detail"),
            });
        }
        // The next step begins where this one ends, because others may have the same time.
        found.retain(|one| !self.at_edge.contains(&one.token));
        let moved = reached != self.wanted.until;
        if moved {
            self.at_edge.clear();
        } else {
            // As many rows of one time: no step of this size gets past them.
            self.step = self.step.saturating_mul(2);
        }
        let at_edge = found.iter().filter(|one| Some(one.at) == reached).map(|one| one.token);
        self.at_edge.extend(at_edge);
        self.ended = examined < if moved { self.step } else { self.step / 2 };
        self.wanted.until = reached;
        Ok(Some(found))
    }
}
