//! A question to the database whose failure is a finding, too.

use std::error::Error as _;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::finding::Finding;
use crate::database::Database;

/// The rows.
///
/// # Errors
/// What to say if there are none to be had.
pub async fn rows(
    database: &Database,
    check: &str,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Finding> {
    database.query(sql, params).await.map_err(|error| failed(check, &error))
}

/// The one row.
///
/// # Errors
/// As [`rows`].
pub async fn row(
    database: &Database,
    check: &str,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Row, Finding> {
    let rows = rows(database, check, sql, params).await?;
    let one = rows.into_iter().next();
    one.ok_or_else(|| Finding::skipped(check, "PostgreSQL gave no answer", ""))
}

/// What a statement that failed says of what was to be looked at.
pub fn failed(check: &str, error: &Error) -> Finding {
    match error.code().map(|code| code.code()) {
        Some("42501") => Finding::skipped(
            check,
            format!("this login may not look: {}", words(error)),
            "GRANT mailroom_operator TO it, or look with a login that may",
        ),
        Some("42P01" | "42883" | "42703" | "42704" | "3F000") => {
            Finding::wrong(check, words(error), MIGRATE)
        }
        Some("57014") => Finding::away(
            check,
            "PostgreSQL did not answer in time",
            "who holds a lock? SELECT * FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
        ),
        Some(_) => Finding::wrong(check, words(error), "PostgreSQL's log may say more"),
        None => Finding::away(check, words(error), "look at PostgreSQL's log"),
    }
}

/// What mends a schema.
pub const MIGRATE: &str = "mailroom migrate up";

/// In words: PostgreSQL's own, without those that quote values of rows.
pub fn words(error: &Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => said.message().to_owned(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
