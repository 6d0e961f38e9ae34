//! The triggers that turn a sign-up into mail, and the functions among them that run with their
//! owner's rights.

use tokio_postgres::Row;

use super::finding::Finding;
use super::query::{self, MIGRATE};
use crate::database::Database;

const CHECK: &str = "triggers";

/// Bits of `pg_trigger.tgtype`.
const ROW: i32 = 1;
const BEFORE: i32 = 2;
const INSERT: i32 = 4;
const UPDATE: i32 = 16;

/// Name, table and moment of each.
const TRIGGERS: [(&str, &str, i32); 5] = [
    ("before_account_insert", "accounts", INSERT),
    ("after_token_inserted", "tokens", INSERT),
    ("before_account_status_change", "accounts", ROW | BEFORE | UPDATE),
    ("after_account_status_change", "accounts", ROW | UPDATE),
    ("after_token_consumed", "tokens", ROW | UPDATE),
];

/// Functions that run with their owner's rights, all that the migrations make.
pub const DEFINERS: [&str; 5] = [
    "mailroom_count_log",
    "mailroom_hold_accounts",
    "mailroom_purge",
    "trg_after_account_status_change",
    "trg_after_token_inserted",
];

/// What was written meanwhile.
const AFTERWARDS: &str =
    "for what was written meanwhile see docs/SCHEMA.md, Loads that bypass the triggers";

/// Looks at them.
pub async fn look(database: &Database) -> Vec<Finding> {
    let names = TRIGGERS.map(|(name, ..)| name).to_vec();
    let sql = include_str!("../../sql/doctor/triggers.sql");
    let mut findings = match query::rows(database, CHECK, sql, &[&names]).await {
        Ok(rows) => triggers(&rows),
        Err(finding) => vec![finding],
    };
    findings.extend(definers(database).await);
    findings
}

fn triggers(rows: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, table, moment) in TRIGGERS {
        let is_it =
            |row: &&Row| row.get::<_, &str>("name") == name && row.get::<_, &str>("table") == table;
        let Some(row) = rows.iter().find(is_it) else {
            findings.push(Finding::wrong(
                CHECK,
                format!("{name} on {table} is missing"),
                format!("make it anew as in migrations/2_deliveries.up.sql; {AFTERWARDS}"),
            ));
            continue;
        };
        let function = format!("trg_{name}");
        if row.get::<_, i32>("moment") != moment || row.get::<_, &str>("function") != function {
            findings.push(Finding::wrong(
                CHECK,
                format!("{name} on {table} is another one than Mailroom's"),
                format!("{MIGRATE}, or make it anew as in migrations/2_deliveries.up.sql"),
            ));
        }
        let fires = match row.get("enabled") {
            "O" | "A" => continue,
            "R" => "fires only in a replica",
            _ => "is disabled",
        };
        findings.push(Finding::wrong(
            CHECK,
            format!("{name} on {table} {fires}"),
            format!("ALTER TABLE {table} ENABLE TRIGGER {name}; {AFTERWARDS}"),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("all {} are there and enabled", TRIGGERS.len())));
    }
    findings
}

async fn definers(database: &Database) -> Vec<Finding> {
    const CHECK: &str = "functions";
    let sql = include_str!("../../sql/doctor/definers.sql");
    let rows = query::rows(database, CHECK, sql, &[&DEFINERS.as_slice()]).await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    for name in DEFINERS {
        if !rows.iter().any(|row| row.get::<_, &str>("name") == name) {
            findings.push(Finding::wrong(CHECK, format!("{name} is missing"), MIGRATE));
        }
    }
    for row in &rows {
        let (name, owner): (&str, &str) = (row.get("name"), row.get("owner"));
        let hidden: Vec<String> = row.get("hidden");
        if !row.get::<_, bool>("definer") {
            findings.push(Finding::wrong(
                CHECK,
                format!("{name} does not run with its owner's rights, or finds tables by the caller's search_path"),
                "make it anew as in migrations/2_deliveries.up.sql or 4_operations.up.sql: SECURITY DEFINER, SET search_path",
            ));
        }
        if row.get("superuser") {
            findings.push(Finding::warning(
                CHECK,
                format!("{name} runs as {owner}, a superuser"),
                "SELECT mailroom_roles(), as the one who migrates: docs/SCHEMA.md, Rights",
            ));
        } else if !row.get::<_, bool>("able") {
            findings.push(Finding::wrong(
                CHECK,
                format!("{name} runs as {owner}, who may not do what it does"),
                "SELECT mailroom_roles(), as the one who migrates: docs/SCHEMA.md, Rights",
            ));
        }
        if !hidden.is_empty() {
            findings.push(Finding::wrong(
                CHECK,
                format!("row-level security of {} would hide rows from {name}", hidden.join(", ")),
                format!("ALTER ROLE {owner} BYPASSRLS"),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            "those that run with their owner's rights have enough of them",
        ));
    }
    findings
}
