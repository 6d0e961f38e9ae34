//! What the collector writes, and when.

use std::time::Duration;

use mailroom::Token;
use testkit::Pipeline;

use crate::SOON;
use crate::support::{bytea, recovery, rows_by_pgcrypto, rows_in, rows_of, sign_up};
use crate::world::{World, stop, stop_collector};

/// Longer than any test runs: whatever happens before, happens without it.
const NEVER: &str = "200000";

const ACTIVATION: &str =
    "EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZaCAuJvbeTjsK4wavjBwSAeoQ";
const RECOVERY: &str =
    "ERERERERERERERERERERERERERERERERERERERERERKjmF2MR1O6JbeBM-xniVR3nuXwLzVR2FrJMKJAm-yQuA";
const ORIGINAL: &str =
    "Qg84W2nmW8ClkDGZBdoC7UXM0BakAhmlBmR4emc4JJji0aMHLqfdM07rn1sHN8tvGk9go-hsKJMwvtqdGm5Cjw";

#[tokio::test]
async fn the_lines_are_the_originals_byte_for_byte() {
    let world = World::new().await;
    let accounts = [
        ("ada@example.com", "ada", "provisioned", "activation", ACTIVATION, "06435"),
        ("grace@example.com", "grace", "active", "password_recovery", RECOVERY, "06435"),
        ("tetsuo@example.com", "tetsuo", "provisioned", "activation", ORIGINAL, "00000"),
    ];
    let mut sql = String::from("BEGIN;");
    for (email, login, status, action, token, code) in accounts {
        let secret = bytea(Token::decode(token).unwrap().secret().as_bytes());
        sql += &format!(
            "INSERT INTO accounts (email, login, status) VALUES ('{email}', '{login}', '{status}');
             DELETE FROM deliveries WHERE token = (SELECT id FROM tokens WHERE account = lastval());
             DELETE FROM tokens WHERE account = currval('accounts_id_seq');
             INSERT INTO tokens (account, action, secret, code)
             VALUES (currval('accounts_id_seq'), '{action}', {secret}, '{code}');"
        );
    }
    world.db.execute(&(sql + "COMMIT")).await.unwrap();

    let collector = world.collector().spawn().unwrap();
    let line = collector.wait_line(1, SOON).unwrap();
    assert_eq!(
        line,
        format!(
            "2,grace@example.com,grace,{RECOVERY},06435,\
             1,ada@example.com,ada,{ACTIVATION},06435,\
             1,tetsuo@example.com,tetsuo,{ORIGINAL},00000"
        )
    );
    stop_collector(&collector);
    world.quiet(&[&collector], &[]).await;
}

#[tokio::test]
async fn every_row_is_signed_as_another_program_would_sign_it() {
    let world = World::new().await;
    world.db.execute(&sign_up("ordinary", 150)).await.unwrap();
    for n in 0..50 {
        world.db.execute(&recovery(&format!("forgetful-{n}"))).await.unwrap();
    }
    let collector = world.collector().spawn().unwrap();
    collector.wait_line(20, SOON).unwrap();
    stop_collector(&collector);
    let mut rows: Vec<String> = collector.lines().iter().flat_map(|line| rows_of(line)).collect();
    let mut expected = rows_by_pgcrypto(&world.db).await;
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);
    world.quiet(&[&collector], &[]).await;
}

#[tokio::test]
async fn what_waits_at_the_start_goes_out_in_full_batches_and_a_rest() {
    let world = World::new().await;
    world.db.execute(&sign_up("waiting", 23)).await.unwrap();
    let collector = world.collector().env("MAILROOM_BATCH_TIMEOUT", NEVER).spawn().unwrap();
    collector.wait_line(3, SOON).unwrap();
    world.asleep().await;
    stop_collector(&collector);
    let sizes: Vec<usize> = collector.lines().iter().map(|line| rows_in(line)).collect();
    assert_eq!(sizes, [10, 10, 3]);
    world.quiet(&[&collector], &[]).await;
}

#[tokio::test]
async fn accounts_made_one_at_a_time_share_a_line() {
    let world = World::new().await;
    let collector = world.collector().env("MAILROOM_BATCH_TIMEOUT", "4000").spawn().unwrap();
    world.asleep().await;
    for name in ["one", "two", "three"] {
        world.db.execute(&sign_up(name, 1)).await.unwrap();
    }
    assert_eq!(rows_in(&collector.wait_line(1, SOON).unwrap()), 3);
    stop_collector(&collector);
    assert_eq!(collector.lines().len(), 1);
    world.quiet(&[&collector], &[]).await;
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_the_time() {
    let world = World::new().await;
    let collector = world.collector().env("MAILROOM_BATCH_TIMEOUT", NEVER).spawn().unwrap();
    world.asleep().await;
    world.db.execute(&sign_up("few", 4)).await.unwrap();
    world.db.execute(&sign_up("more", 6)).await.unwrap();
    assert_eq!(rows_in(&collector.wait_line(1, SOON).unwrap()), 10);
    stop_collector(&collector);
    world.quiet(&[&collector], &[]).await;
}

/// A timer pushed back by each account would never end here.
#[tokio::test]
async fn the_time_of_a_batch_is_not_pushed_back_by_what_joins_it() {
    let world = World::new().await;
    let collector = world
        .collector()
        .env("MAILROOM_BATCH_TIMEOUT", "2000")
        .env("MAILROOM_BATCH_LIMIT", "1000")
        .spawn()
        .unwrap();
    world.asleep().await;
    let mut signed_up = 0;
    while collector.lines().is_empty() {
        signed_up += 1;
        assert!(signed_up < 600, "the batch never ends");
        world.db.execute(&sign_up(&format!("steady-{signed_up}"), 1)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop_collector(&collector);
    world.quiet(&[&collector], &[]).await;
}

/// As the original's users run it: a `dbname=…` as for psql, and only for the collector.
#[tokio::test]
async fn a_dry_run_prints_each_token_once_per_run_and_records_nothing() {
    let world = World::new().await;
    let server = testkit::shared();
    world.db.execute(&sign_up("before", 25)).await.unwrap();
    for run in 1..=2 {
        let collector = world
            .collector()
            .env("MAILROOM_DATABASE_URL", format!("dbname={}", world.db.name()))
            .env("PGHOST", server.socket_dir())
            .env("PGPORT", server.port().to_string())
            .env("PGUSER", "postgres");
        let sender = testkit::Process::new("sender").env("MAILROOM_DEBUG", "true");
        let pipe = Pipeline::spawn(collector, sender).unwrap();
        world.asleep().await;
        world.db.execute(&sign_up(&format!("during-{run}"), 5)).await.unwrap();
        let owed = rows_by_pgcrypto(&world.db).await;
        testkit::eventually(SOON, "every token is printed", || {
            printed(&pipe.sender.lines()).len() >= owed.len()
        });
        stop(&pipe);

        let mut printed = printed(&pipe.sender.lines());
        printed.sort();
        let mut tokens: Vec<String> =
            owed.iter().map(|row| row.split(',').nth(3).unwrap().to_owned()).collect();
        tokens.sort();
        assert_eq!(printed, tokens);
        // The second collector takes back what the first one had handed over.
        world.quiet(&[&pipe.collector, &pipe.sender], &["deliveries_released"]).await;
    }
    let recorded = world.db.query_i64("SELECT count(*) FROM delivery_log").await.unwrap();
    assert_eq!(recorded, 0);
    assert_eq!(world.db.query_i64("SELECT count(*) FROM deliveries").await.unwrap(), 35);
    assert_eq!(world.ses.calls().len(), 0);
}

/// The tokens in the requests that a dry run prints.
fn printed(lines: &[String]) -> Vec<String> {
    let mut tokens = Vec::new();
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let entries = line["request"]["BulkEmailEntries"].as_array().unwrap();
        let answers = line["response"]["BulkEmailEntryResults"].as_array().unwrap();
        assert_eq!(entries.len(), answers.len());
        for entry in entries {
            let data = &entry["ReplacementEmailContent"]["ReplacementTemplate"];
            let data = data["ReplacementTemplateData"].as_str().unwrap();
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            tokens.push(data["secret"].as_str().unwrap().to_owned());
        }
    }
    tokens
}
