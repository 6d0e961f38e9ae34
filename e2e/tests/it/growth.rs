//! What was, and what is not due yet, slows nothing down.

use daemon::session::SPARING;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::sign_up;
use crate::world::{World, stop};

const CLAIM: &str = include_str!("../../../collector/sql/claim.sql");
const SKIP: &str = include_str!("../../../collector/sql/skip.sql");
const LOOK: &str = include_str!("../../../collector/sql/look.sql");
const BEGIN: &str = include_str!("../../../sender/sql/begin.sql");
const REFUSE: &str = include_str!("../../../sender/sql/refuse.sql");
const SETTLE_SENT: &str = include_str!("../../../sender/sql/settle_sent.sql");
const SETTLE_LATE: &str = include_str!("../../../sender/sql/settle_late.sql");
const SETTLE_REST: &str = include_str!("../../../sender/sql/settle_rest.sql");

/// A claim asks for so many rows.
const LIMIT: u64 = 10;

/// Nothing tempts the planner more than tables that are known to be empty.
async fn known_to_be_empty(world: &World) {
    world.db.client().await.unwrap().batch_execute("VACUUM (ANALYZE)").await.unwrap();
}

/// A session with our statements prepared and planned, for what its tables hold now.
async fn session(world: &World) -> Client {
    let client = world.db.client().await.unwrap();
    client.batch_execute(SPARING).await.unwrap();
    let sql = format!(
        "PREPARE claim (integer, integer, text, bigint, smallint[], timestamptz[]) AS {CLAIM}
         PREPARE skip (integer, integer, bigint[]) AS {SKIP}
         PREPARE look (integer, text, bigint, smallint[], timestamptz[]) AS {LOOK}
         PREPARE begin_ (integer, integer, smallint, bytea[], text[], bigint, integer) AS {BEGIN}
         PREPARE settle (integer, integer[], text, bigint[], integer[], text[]) AS {SETTLE_SENT}
         PREPARE refuse (integer, smallint, bytea[], bigint, integer) AS {REFUSE}
         PREPARE late (integer, text, bigint[], integer[], text[]) AS {SETTLE_LATE}
         PREPARE rest (integer, integer[], text, bigint[], text[], text[], float8[], boolean[])
             AS {SETTLE_REST}
         BEGIN;
         EXPLAIN EXECUTE {CLAIM_10};
         EXPLAIN EXECUTE skip (pg_backend_pid(), 1, '{{}}');
         EXPLAIN EXECUTE {LOOK_80};
         EXPLAIN EXECUTE begin_ (pg_backend_pid(), 1, 1::smallint, '{{}}', '{{}}', 25, 10);
         EXPLAIN EXECUTE settle (pg_backend_pid(), '{{1}}', 'ses', '{{}}', '{{}}', '{{}}');
         EXPLAIN EXECUTE refuse (pg_backend_pid(), 1::smallint, '{{}}', 25, 10);
         EXPLAIN EXECUTE late (pg_backend_pid(), 'ses', '{{}}', '{{}}', '{{}}');
         EXPLAIN EXECUTE rest (pg_backend_pid(), '{{1}}', 'ses', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}');
         ROLLBACK;"
    );
    client.batch_execute(&sql).await.unwrap();
    client
}

/// Runs a prepared statement and returns the nodes of its plan, as it was executed.
async fn plan(client: &Client, execute: &str) -> Vec<Value> {
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {execute}");
    let answer = client.simple_query(&sql).await.unwrap();
    let text: String = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    let root: Value = serde_json::from_str(&text).unwrap();
    let mut nodes = Vec::new();
    flatten(&root[0]["Plan"], &mut nodes);
    nodes
}

fn flatten(node: &Value, nodes: &mut Vec<Value>) {
    for below in node["Plans"].as_array().into_iter().flatten() {
        flatten(below, nodes);
    }
    nodes.push(node.clone());
}

/// Rows that a node looked at, in all its loops. PostgreSQL tells the mean of the loops, rounded.
fn looked_at(node: &Value) -> u64 {
    let number = |key: &str| node[key].as_u64().unwrap_or_default();
    let loops = number("Actual Loops");
    ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"]
        .map(|key| (number(key) * loops).saturating_sub(loops / 2))
        .iter()
        .sum()
}

/// None of our tables is read from end to end, and no node looks at more rows than this.
fn assert_narrow(nodes: &[Value], rows_max: u64) {
    let mut tables = 0;
    for node in nodes {
        let Some(table) = node["Relation Name"].as_str() else { continue };
        let kind = node["Node Type"].as_str().unwrap();
        // A handful of rows, whichever way they are read.
        if !["deliveries", "tokens", "accounts", "delivery_log"].contains(&table)
            || kind == "ModifyTable"
        {
            continue;
        }
        tables += 1;
        let by_key = kind.starts_with("Index") || kind == "Tid Scan";
        assert!(by_key, "{kind} on {table}: {node:#}");
        let rows = looked_at(node);
        assert!(rows <= rows_max, "{rows} rows of {table} were looked at: {node:#}");
    }
    assert!(tables > 0);
    // Pages, for an index that is walked without returning anything.
    let root = nodes.last().unwrap();
    let pages = ["Shared Hit Blocks", "Shared Read Blocks"].map(|key| root[key].as_u64().unwrap());
    let pages = pages.iter().sum::<u64>();
    assert!(pages < 60 * rows_max, "{pages} pages for {rows_max} rows: {root:#}");
}

/// Without floors: the dearest.
const CLAIM_10: &str = "claim (pg_backend_pid(), 1, 'mailroom', 10, '{1,5}', '{NULL,NULL}')";
const LOOK_80: &str = "look (pg_backend_pid(), 'mailroom', 80, '{}', '{}')";

#[tokio::test]
async fn a_claim_among_50_000_expired_tokens_looks_at_what_it_takes() {
    let world = World::new().await;
    known_to_be_empty(&world).await;
    let early = session(&world).await;
    world.db.execute(&sign_up("expired", 50_000)).await.unwrap();
    world.db.execute("UPDATE tokens SET expires_at = 1").await.unwrap();
    world.db.execute(&sign_up("alive", 1)).await.unwrap();
    for client in [early, session(&world).await] {
        client.batch_execute("BEGIN").await.unwrap();
        for _ in 0..5 {
            assert_narrow(&plan(&client, CLAIM_10).await, LIMIT);
            let tokens = "SELECT array_agg(token)::text FROM deliveries WHERE holder = 1";
            let tokens: String = client.query_one(tokens, &[]).await.unwrap().get(0);
            let skip = format!("skip (pg_backend_pid(), 1, '{tokens}')");
            assert_narrow(&plan(&client, &skip).await, LIMIT);
        }
        client.batch_execute("ROLLBACK").await.unwrap();
    }

    // And once looked at, an expired one is out of the way for ever.
    let collector = world.collector().env("MAILROOM_BATCH_LIMIT", "1000");
    let pipe = testkit::Pipeline::spawn(collector, world.sender()).unwrap();
    world.mails(1).await;
    world.settled().await;
    stop(&pipe);
    let skipped = "SELECT count(*) FROM delivery_log WHERE detail = 'the token has expired'";
    assert_eq!(world.db.query_i64(skipped).await.unwrap(), 50_000);
    let log = "SELECT count(*) FROM delivery_log";
    assert_eq!(world.db.query_i64(log).await.unwrap(), 50_001);
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn nothing_looks_at_100_000_settled_mails() {
    let world = World::new().await;
    known_to_be_empty(&world).await;
    let early = session(&world).await;
    for part in 0..4 {
        let sql = sign_up(&format!("settled-{part}"), 25_000)
            + "INSERT INTO delivery_log (token, attempt, outcome, transport, provider_id)
               SELECT token, 1, 'sent', 'ses', 'id-' || token FROM deliveries;
               DELETE FROM deliveries;";
        world.db.execute(&sql).await.unwrap();
    }
    world.db.execute(&sign_up("new", 20)).await.unwrap();
    world.db.execute("VACUUM deliveries").await.unwrap();
    one_mail_after_another(early).await;
    one_mail_after_another(session(&world).await).await;
    world.db.execute("ANALYZE").await.unwrap();
    one_mail_after_another(session(&world).await).await;

    let pipe = world.pipe();
    world.mails(20).await;
    world.settled().await;
    stop(&pipe);
    assert_eq!(world.ses.mail_count(), 20);
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

/// The plan of what is then undone.
async fn undone(client: &Client, execute: &str) -> Vec<Value> {
    client.batch_execute("SAVEPOINT before").await.unwrap();
    let nodes = plan(client, execute).await;
    client.batch_execute("ROLLBACK TO before").await.unwrap();
    nodes
}

/// Look, claim, begin and settle: none looks at more than the twenty rows that wait.
async fn one_mail_after_another(client: Client) {
    client.batch_execute("BEGIN").await.unwrap();
    assert_narrow(&plan(&client, LOOK_80).await, 20);
    assert_narrow(&plan(&client, CLAIM_10).await, LIMIT);
    let lists = "SELECT array_agg(secret)::text, array_agg(email)::text FROM tokens AS t
        JOIN accounts AS a ON a.id = t.account JOIN deliveries AS d ON d.token = t.id
        WHERE d.state = 'dispatched'";
    let row = client.query_one(lists, &[]).await.unwrap();
    let (secrets, emails): (String, String) = (row.get(0), row.get(1));
    let refuse = format!("refuse (pg_backend_pid(), 1::smallint, '{secrets}', 25, 10)");
    assert_narrow(&undone(&client, &refuse).await, 20);
    let begin =
        format!("begin_ (pg_backend_pid(), 1, 1::smallint, '{secrets}', '{emails}', 25, 10)");
    assert_narrow(&plan(&client, &begin).await, 20);
    let lists = "SELECT array_agg(token)::text, array_agg(attempts)::text FROM deliveries
        WHERE state = 'sending'";
    let row = client.query_one(lists, &[]).await.unwrap();
    let (tokens, attempts): (String, String) = (row.get(0), row.get(1));
    assert_eq!(tokens.split(',').count(), 10);
    let ids = "array_fill('x'::text, '{10}')";
    let late = format!("late (pg_backend_pid(), 'ses', '{tokens}', '{attempts}', {ids})");
    assert_narrow(&undone(&client, &late).await, 20);
    let all = |value: &str| format!("array_fill({value}, '{{10}}')");
    let (again, soon, yes) = (all("'deferred'::text"), all("1::float8"), all("true"));
    let rest = format!(
        "rest (pg_backend_pid(), '{{1}}', 'ses', '{tokens}', {again}, {ids}, {soon}, {yes})"
    );
    assert_narrow(&undone(&client, &rest).await, 20);
    let settle =
        format!("settle (pg_backend_pid(), '{{1}}', 'ses', '{tokens}', '{attempts}', {ids})");
    assert_narrow(&plan(&client, &settle).await, 20);
    client.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn nobody_walks_over_100_000_deferred_deliveries() {
    let world = World::new().await;
    let early = session(&world).await;
    for part in 0..4 {
        world.db.execute(&sign_up(&format!("deferred-{part}"), 25_000)).await.unwrap();
    }
    let defer = "UPDATE deliveries SET due_at = now() + random() * interval '1 hour'
        + interval '10 minutes', attempts = 1";
    world.db.execute(defer).await.unwrap();
    world.db.execute(&sign_up("new", 20)).await.unwrap();
    world.db.execute("VACUUM deliveries").await.unwrap();
    for client in [early, session(&world).await] {
        client.batch_execute("BEGIN").await.unwrap();
        // The rows that are due, and the first that is not.
        assert_narrow(&plan(&client, LOOK_80).await, 21);
        for _ in 0..3 {
            assert_narrow(&plan(&client, CLAIM_10).await, 21);
        }
        client.batch_execute("ROLLBACK").await.unwrap();
    }

    let pipe = world.pipe();
    world.mails(20).await;
    world.db.wait_until("SELECT count(*) = 100000 FROM deliveries", crate::SOON).await.unwrap();
    stop(&pipe);
    assert_eq!(world.ses.mail_count(), 20);
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}
