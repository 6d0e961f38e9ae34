//! Nothing is read in full, however large the log is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::time::{Duration, Instant};

use daemon::session::SPARING;
use serde_json::Value;
use testkit::{Database, Postgres};

use crate::support::{Ran, finish};
use crate::world::{process, said};

/// Accounts, so tokens and outstanding deliveries.
const ACCOUNTS: u32 = 20_000;

/// Pages of 8 kB that a statement may touch, for each row of the log that it is about: the row, and a
/// few levels of each index on the way to it and to its token.
const PAGES_A_ROW: i64 = 16;

/// Ten million rows are added up, 5,000 at a time or fewer, by a debug build.
const PURGED_WITHIN: Duration = Duration::from_secs(600);

/// A statement, what it is given, and how many rows it is about at most.
struct Plan {
    file: &'static str,
    given: &'static str,
    rows: i64,
}

const fn plan(file: &'static str, given: &'static str, rows: i64) -> Plan {
    Plan { file, given, rows }
}

/// Every statement of `status` and `deliveries`.
const PLANS: [Plan; 20] = [
    plan("clock", "", 0),
    plan("status/version", "", 1),
    plan("status/holders", "", 2000),
    // One pass over what is outstanding.
    plan("status/depth", "", 2000),
    plan("status/rates", "", 2000),
    plan("deliveries/find", "19000, 'u19000@example.com', 'u19000@example.com', 10", 10),
    plan("deliveries/find", "NULL, 'U19000', 'U19000', 10", 10),
    plan("deliveries/find", "NULL, 'nobody', 'nobody', 10", 1),
    plan("deliveries/accounts", "'{19000}'", 1),
    plan("deliveries/story", "'{19000, 18999}'", 12),
    plan("deliveries/history", "'{19000, 18999}', 100", 30),
    plan("deliveries/outstanding", "NULL, NULL, NULL, NULL, -1, 50", 50),
    plan("deliveries/outstanding", "'pending', 'activation', 0, NULL, 10000, 500", 500),
    plan("deliveries/settled", "'sent', NULL, NULL, NULL, NULL, 1000", 1000),
    plan("deliveries/settled", "'failed', 0, NULL, 'activation', 'refused', 1000", 1000),
    plan("deliveries/verdicts", "'{1, 2, 3, 40000}', 'failed', false, false, false, false", 20),
    plan("deliveries/states", "'{1, 2, 40000}'", 3),
    plan("deliveries/take", "'{1, 2, 3, 20001}', true", 30),
    plan("deliveries/requeue", "'{1, 2, 3}', '{4}', 900", 30),
    plan("deliveries/cancel", "'{1, 2, 3, 40000}'", 30),
];

/// A log of so many rows, of the last thirty days, of ever the same tokens, never analysed.
async fn fill(db: &Database, rows: u64) {
    let accounts = format!(
        "INSERT INTO accounts (email, login)
         SELECT 'u' || n || '@example.com', 'u' || n FROM generate_series(1, {ACCOUNTS}) AS n"
    );
    db.execute(&accounts).await.unwrap();
    let log = format!(
        "SET synchronous_commit = off;
         INSERT INTO delivery_log (at, token, action, promised_at, attempt, outcome, transport, detail)
         SELECT
             now() - interval '30 days' * (({rows} - n)::float8 / {rows}), 30000 + n / 2, 'activation',
             now() - interval '30 days', 1,
             (ARRAY['deferred', 'sent', 'deferred', 'failed', 'throttled', 'sent']::delivery_outcome[])[1 + n % 6],
             'ses', CASE n % 2 WHEN 1 THEN 'connect: refused' ELSE 'rejected' END
         FROM generate_series(1, {rows}) AS n;
         INSERT INTO delivery_log (token, action, attempt, outcome)
         SELECT n, 'activation', 1, 'ambiguous' FROM generate_series(1, {ACCOUNTS}) AS n"
    );
    db.execute(&log).await.unwrap();
}

async fn explain(client: &tokio_postgres::Client, plan: &Plan) -> Value {
    let path = format!("{}/sql/{}.sql", env!("CARGO_MANIFEST_DIR"), plan.file);
    let sql = std::fs::read_to_string(path).unwrap();
    let given = if plan.given.is_empty() { String::new() } else { format!("({})", plan.given) };
    let sql = format!(
        "BEGIN; PREPARE asked AS {sql};
         EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked{given};
         DEALLOCATE asked; ROLLBACK"
    );
    let messages = client.simple_query(&sql.replace(";\n;", ";")).await;
    let messages = messages.unwrap_or_else(|error| panic!("{}: {error:?}", plan.file));
    let text = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    serde_json::from_str(text.unwrap()).unwrap()
}

fn scans(node: &Value, found: &mut Vec<String>) {
    if node["Node Type"] == "Seq Scan" || node["Node Type"] == "Bitmap Heap Scan" {
        found.push(node["Relation Name"].as_str().unwrap_or_default().to_owned());
    }
    for below in node["Plans"].as_array().into_iter().flatten() {
        scans(below, found);
    }
}

/// Looks at every plan; how long each took, in milliseconds, and how many pages it touched.
async fn look(db: &Database) -> Vec<String> {
    let client = db.client().await.unwrap();
    client.batch_execute(SPARING).await.unwrap();
    let mut told = Vec::new();
    for plan in &PLANS {
        let explained = explain(&client, plan).await;
        let node = &explained[0]["Plan"];
        let mut found = Vec::new();
        scans(node, &mut found);
        // These are small, or what is outstanding, which some are about as a whole.
        found.retain(|name| {
            !["actions", "deliveries", "holders", "schema_migrations", "pg_database"]
                .contains(&name.as_str())
        });
        assert_eq!(found, [""; 0], "{}: {explained:#}", plan.file);
        let pages =
            ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| node[name].as_i64().unwrap());
        let pages: i64 = pages.iter().sum();
        let bound = 100 + PAGES_A_ROW * plan.rows;
        assert!(pages <= bound, "{}: {pages} pages, not {bound}: {explained:#}", plan.file);
        told.push(format!("{} {} ms {pages} pages", plan.file, explained[0]["Execution Time"]));
    }
    told
}

/// So many rows were read in sequential scans.
async fn read_in_full(db: &Database) -> i64 {
    let sql = "SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_user_tables
        WHERE relname IN ('delivery_log', 'tokens', 'accounts')";
    db.execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
    db.query_i64(sql).await.unwrap()
}

/// Runs every command; what each said first, and for how long it ran.
async fn run_all(db: &Database) -> Vec<String> {
    let before = read_in_full(db).await;
    let commands: [&[&str]; 9] = [
        &["status"],
        &["deliveries", "list"],
        &["deliveries", "list", "--state", "failed", "--action", "password_recovery"],
        &["deliveries", "list", "--state", "sent"],
        &["deliveries", "show", "u19000@example.com"],
        &["deliveries", "requeue", "--state", "failed", "--since", "1h", "--dry-run"],
        &["deliveries", "requeue", "token:18000", "--even-sent", "--dry-run"],
        &["deliveries", "cancel", "--action", "activation", "--limit", "1000", "--yes"],
        &[
            "deliveries",
            "requeue",
            "--state",
            "failed",
            "--limit",
            "1000",
            "--since",
            "10m",
            "--yes",
        ],
    ];
    let mut told = Vec::new();
    for args in commands {
        let start = Instant::now();
        let Ran { code, out, err } = finish(process(db, args));
        assert!(code == 0 || args.contains(&"token:18000"), "{args:?}: {out:?} {err}");
        let first = out.first().cloned().unwrap_or_default();
        told.push(format!("{}: {:?}: {first}", args.join(" "), start.elapsed()));
    }
    assert_eq!(read_in_full(db).await, before, "something was read in full");
    told
}

#[tokio::test]
async fn nothing_is_read_in_full() {
    let server = Postgres::start().unwrap();
    let db = Database::fresh_on(&server).await.unwrap();
    fill(&db, 200_000).await;
    look(&db).await;
    run_all(&db).await;
    let before = read_in_full(&db).await;
    let deleted = said(&db, &["purge", "--sent", "20d", "--batch", "5000"]);
    // Of the first ten days, what is not `failed`: five of six.
    assert!(deleted.starts_with("deleted 5555"), "{deleted}");
    assert_eq!(read_in_full(&db).await, before, "the purge has read something in full");
    // Where they were analysed, the plans are no worse.
    db.execute("ANALYZE").await.unwrap();
    look(&db).await;
}

#[tokio::test]
#[ignore = "takes minutes and 2 GB of disk: cargo test -p mailroom-operator --test it -- --ignored ten_million"]
async fn ten_million_rows_are_no_different() {
    let server = Postgres::start().unwrap();
    let db = Database::fresh_on(&server).await.unwrap();
    fill(&db, 10_000_000).await;
    for line in look(&db).await.into_iter().chain(run_all(&db).await) {
        println!("{line}");
    }
    // The first time it adds up all there is.
    for round in ["first", "second"] {
        let sent = if round == "first" { "29d" } else { "28d" };
        let start = Instant::now();
        let purge = process(&db, &["purge", "--sent", sent, "--batch", "5000"]).spawn().unwrap();
        assert_eq!(purge.wait(PURGED_WITHIN).unwrap(), 0, "{}", purge.stderr());
        println!("{round} purge: {:?}: {:?}", start.elapsed(), purge.lines());
    }
}
