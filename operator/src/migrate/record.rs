//! golang-migrate's table, `schema_migrations`: at most one row, the version, and whether a file was
//! begun and not ended.

use anyhow::{Context, anyhow};
use daemon::exit::{Exit, ExitExt};
use tokio_postgres::Client;

use super::files::ALL;
use super::lock::Locks;
use super::plan::{Version, number};

const BEGIN: &str = include_str!("../../sql/migrate/begin.sql");

/// The table of one database. Its name cannot be a parameter of a statement, so those are made here.
#[derive(Debug)]
pub(super) struct Record {
    table: String,
    locks: Locks,
    is_there: bool,
    has_accounts: bool,
}

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// The version last begun.
    pub(super) version: Version,
    /// Whether it was not ended.
    pub(super) dirty: bool,
}

impl Record {
    /// Finds it in the schema where new tables go.
    ///
    /// # Errors
    /// When there is no such schema.
    pub(super) async fn find(client: &Client) -> anyhow::Result<Self> {
        let row = client.query_one(BEGIN, &[]).await.context("look for schema_migrations")?;
        let (Some(schema), Some(table)) = (row.get("schema"), row.get("record")) else {
            return Err(anyhow!(
                "search_path names no schema that exists: CREATE SCHEMA, or set another"
            ))
            .exit(Exit::Config);
        };
        let locks = Locks::of(schema, row.get("database"));
        let (is_there, has_accounts) = (row.get("is_recorded"), row.get("has_accounts"));
        Ok(Self { table, locks, is_there, has_accounts })
    }

    /// What keeps others from it.
    pub(super) fn locks(&self) -> Locks {
        self.locks
    }

    /// Makes the table. Only under the locks.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(super) async fn create(&mut self, client: &Client) -> anyhow::Result<()> {
        if !self.is_there {
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {} (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)",
                self.table
            );
            client.batch_execute(&sql).await.context("create schema_migrations")?;
            self.is_there = true;
        }
        Ok(())
    }

    /// Reads it.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(super) async fn read(&self, client: &Client) -> anyhow::Result<State> {
        let nothing = State { version: None, dirty: false };
        if !self.is_there {
            return Ok(nothing);
        }
        let sql = format!("SELECT version, dirty FROM {} LIMIT 1", self.table);
        let row = client.query_opt(&sql, &[]).await.context("read schema_migrations")?;
        Ok(row.map_or(nothing, |row| State {
            version: Some(row.get(0)).filter(|&version: &i64| version >= 0),
            dirty: row.get(1),
        }))
    }

    /// Writes it. Nothing applied is no row, unless it is dirty: then it is -1.
    ///
    /// # Errors
    /// PostgreSQL's, or that the locks are not ours.
    pub(super) async fn write(&self, client: &mut Client, state: State) -> anyhow::Result<()> {
        const DOING: &str = "write schema_migrations";
        let mut sql = format!("TRUNCATE {}", self.table);
        if state.version.is_some() || state.dirty {
            let (version, dirty) = (number(state.version), state.dirty);
            sql += &format!(
                "; INSERT INTO {} (version, dirty) VALUES ({version}, {dirty})",
                self.table
            );
        }
        let transaction = client.transaction().await.context(DOING)?;
        self.locks.check(&transaction).await?;
        transaction.batch_execute(&sql).await.context(DOING)?;
        transaction.commit().await.context(DOING)
    }

    /// Whether files may be run from here.
    ///
    /// # Errors
    /// When a person must look first.
    pub(super) fn check(&self, state: State) -> anyhow::Result<()> {
        let words = if state.dirty {
            dirty(state.version)
        } else if !is_known(state.version) {
            unknown(number(state.version))
        } else if state.version.is_none() && self.has_accounts {
            "there is a table accounts, and schema_migrations says that nothing is applied. If it is \
             Mailroom's, migrated without golang-migrate, say which version it has: mailroom migrate force V"
                .to_owned()
        } else {
            return Ok(());
        };
        Err(anyhow!(words)).exit(Exit::Config)
    }
}

/// Whether this program has a migration of that number.
pub(super) fn is_known(version: Version) -> bool {
    version.is_none_or(|version| ALL.iter().any(|migration| migration.version == version))
}

/// What is said of a version that is not among ours.
pub(super) fn unknown(version: i64) -> String {
    let ours = ALL.last().map_or(-1, |last| last.version);
    format!(
        "version {version} is not known to this mailroom, whose last is {ours}: use the release that \
         applied it, or a later one"
    )
}

/// What is said of a database where a file was begun and not ended: golang-migrate's words, and the
/// remedy. It is not known whether that file went up or down.
pub(super) fn dirty(version: Version) -> String {
    let at = ALL.iter().position(|migration| Some(migration.version) == version);
    let above = ALL.get(at.map_or(0, |at| at + 1)).filter(|_| at.is_some() || version.is_none());
    let below = at.and_then(|at| at.checked_sub(1)).and_then(|at| ALL.get(at));
    let v = number(version);
    let mut words = format!(
        "Dirty database version {v}. Fix and force version.\n\
         A file was begun and not ended. Look at what it did; then say where the database is:\n  \
         mailroom migrate force {v}   if that file is done"
    );
    if at.is_some() {
        let below = number(below.map(|below| below.version));
        words +=
            &format!("\n  mailroom migrate force {below}   if it went up to {v}, and is undone");
    }
    if let Some(above) = above {
        let above = above.version;
        words += &format!(
            "\n  mailroom migrate force {above}   if it went down from {above}, and is undone"
        );
    }
    words + "\nA file that is one transaction and failed is undone."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_dirty_version_begins_like_golang_migrate_and_names_the_neighbours() {
        let said = dirty(Some(1));
        assert!(said.starts_with("Dirty database version 1. Fix and force version.\n"), "{said}");
        for remedy in ["force 1 ", "force 0 ", "force 2 "] {
            assert!(said.contains(&format!("mailroom migrate {remedy}")), "{said}");
        }
        let said = dirty(None);
        assert!(said.contains("force -1 ") && said.contains("force 0 "), "{said}");
        assert!(!said.contains("went up"), "{said}");
        let said = dirty(Some(i64::MAX));
        assert!(!said.contains("went"), "{said}");
    }
}
