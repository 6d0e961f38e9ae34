//! Whether the halves' statements would run: each of them is prepared and planned, never run, by the
//! login that the halves have. PostgreSQL itself says then what is missing: a table, a column, a right;
//! or that a policy would hide rows.

use std::collections::BTreeSet;

use daemon::session::Sql;
use tokio_postgres::Error;

use super::Half;
use super::finding::Finding;
use super::query::{MIGRATE, failed, words};
use crate::database::Database;

/// What makes one statement not run.
enum Obstacle {
    /// Something it names is not there.
    Missing(String),
    /// This login may not.
    Denied(String),
    /// A policy would hide rows.
    Hidden(String),
    /// Anything else.
    Other(Error),
}

/// Looks at what `half` does.
pub async fn look(database: &Database, half: Half) -> Vec<Finding> {
    let mut findings = Vec::new();
    if half.collects() {
        findings.extend(statements(database, "collector", &collector::queue::ALL).await);
    }
    if half.sends() {
        findings.extend(statements(database, "sender", &sender::deliveries::ALL).await);
    }
    findings
}

async fn statements(database: &Database, half: &str, own: &[Sql]) -> Vec<Finding> {
    let check = &format!("{half}'s rights");
    let (mut missing, mut denied, mut hidden) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for sql in daemon::session::ALL.iter().chain(own) {
        match plan(database, sql).await {
            Ok(()) => continue,
            Err(Obstacle::Missing(what)) => missing.insert(what),
            Err(Obstacle::Denied(what)) => denied.insert(what),
            Err(Obstacle::Hidden(what)) => hidden.insert(what),
            Err(Obstacle::Other(error)) => return vec![failed(check, &error)],
        };
    }
    let said = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(Finding::wrong(&format!("schema for the {half}"), said(missing), MIGRATE));
    }
    if !denied.is_empty() {
        let Login { login, is_member, only_operates } = login(database, half).await;
        let other = if half == "sender" { "collector" } else { "sender" };
        let remedy = if is_member {
            format!(
                "SELECT mailroom_roles(), as the one who migrates, gives mailroom_{half} its rights"
            )
        } else if only_operates {
            "use the pipe's login (MAILROOM_DATABASE_URL of the halves): this one is an operator's"
                .to_owned()
        } else {
            format!(
                "GRANT mailroom_{half} TO {login}; or, if this login is only the {other}'s: mailroom \
                 doctor --half {other}"
            )
        };
        let detail =
            format!("the login {login} may not all that the {half} does: {}", said(denied));
        findings.push(Finding::wrong(check, detail, remedy));
    }
    if !hidden.is_empty() {
        let remedy = format!("ALTER ROLE {} BYPASSRLS", login(database, half).await.login);
        findings.push(Finding::wrong(&format!("rows for the {half}"), said(hidden), remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(check, "all its statements would run"));
    }
    findings
}

/// Plans a statement without running it. To plan it is to have its rights checked.
async fn plan(database: &Database, sql: &Sql) -> Result<(), Obstacle> {
    let parameters = database.prepare(sql.text).await.map_err(obstacle)?.params().len();
    let nulls = vec!["NULL"; parameters].join(", ");
    let arguments = if parameters == 0 { String::new() } else { format!("({nulls})") };
    let text = sql.text.trim_end().trim_end_matches(';');
    database.batch_execute(&format!("PREPARE doctor AS {text}")).await.map_err(obstacle)?;
    let planned = database.batch_execute(&format!("EXPLAIN EXECUTE doctor{arguments}")).await;
    database.batch_execute("DEALLOCATE doctor").await.map_err(obstacle)?;
    planned.map_err(obstacle)
}

fn obstacle(error: Error) -> Obstacle {
    match error.code().map(|code| code.code()) {
        Some("42P01" | "42883" | "42703" | "42704" | "3F000") => Obstacle::Missing(words(&error)),
        Some("42501") if words(&error).contains("row-level security") => {
            Obstacle::Hidden(words(&error))
        }
        Some("42501") => Obstacle::Denied(words(&error)),
        _ => Obstacle::Other(error),
    }
}

/// Who we are.
struct Login {
    login: String,
    /// It is, or belongs to, the role that has the half's rights.
    is_member: bool,
    /// It belongs to the operators, and to neither half.
    only_operates: bool,
}

async fn login(database: &Database, half: &str) -> Login {
    let role = format!("mailroom_{half}");
    let said = database.query_one(include_str!("../../sql/doctor/login.sql"), &[&role]).await;
    let Ok(row) = said else {
        return Login { login: "…".to_owned(), is_member: false, only_operates: false };
    };
    Login {
        login: row.get("login"),
        is_member: row.get("is_member"),
        only_operates: row.get("only_operates"),
    }
}
