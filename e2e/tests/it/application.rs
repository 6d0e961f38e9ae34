//! The application at its own work, while two pipes do theirs: none of its statements ever fails for
//! us, and every token it made is accounted for, those it deleted included.

use std::sync::Arc;
use std::time::Duration;

use testkit::{Reply, Role};
use tokio_postgres::{Client, NoTls};

use crate::SOON;
use crate::world::{World, stop};

const WRITERS: u64 = 6;
const ROUNDS: usize = 60;

/// What one transaction does to some of the writer's own accounts; their ids come in order, because
/// an application that locks them in any order deadlocks with itself.
fn deed(random: &mut fastrand::Rng, ids: &str, unique: &str) -> String {
    match random.u8(..7) {
        0 => format!("DELETE FROM accounts WHERE id = ANY ('{{{ids}}}')"),
        1 => format!(
            "UPDATE tokens SET consumed_at = extract(epoch FROM now())
             WHERE account = ANY ('{{{ids}}}') AND consumed_at IS NULL"
        ),
        2 => format!(
            "UPDATE accounts SET email = '{unique}-' || id || '@new.example'
             WHERE id = ANY ('{{{ids}}}')"
        ),
        3 => format!("UPDATE accounts SET status = 'suspended' WHERE id = ANY ('{{{ids}}}')"),
        4 => format!("UPDATE accounts SET status = 'active' WHERE id = ANY ('{{{ids}}}')"),
        5 => format!("UPDATE accounts SET status = 'provisioned' WHERE id = ANY ('{{{ids}}}')"),
        _ => format!(
            "INSERT INTO tokens (account, action)
             SELECT id, 'password_recovery' FROM accounts
             WHERE id = ANY ('{{{ids}}}') ORDER BY id"
        ),
    }
}

/// Fails with the first statement that does.
async fn writer(client: Client, number: u64) {
    let mut random = fastrand::Rng::with_seed(number);
    let mut mine: Vec<i64> = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("writer-{number}-{round}-");
        let sql = "INSERT INTO accounts (email, login)
            SELECT $1 || n || '@mail.example', $1 || n FROM generate_series(1, $2) AS n RETURNING id";
        for row in client.query(sql, &[&name, &random.i32(1..6)]).await.unwrap() {
            mine.push(row.get(0));
        }
        let mut sql = String::from("BEGIN;");
        // Each account once in a transaction, in one order: single rows and several at a time.
        let mut chosen: Vec<i64> =
            mine.iter().copied().filter(|_| random.u8(..4) == 0).take(12).collect();
        chosen.sort_unstable();
        for (n, ids) in chosen.chunks(random.usize(1..5)).enumerate() {
            let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
            sql += &deed(&mut random, &ids, &format!("{name}-{n}"));
            sql += ";";
        }
        sql += if random.u8(..8) == 0 { "ROLLBACK" } else { "COMMIT" };
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_application_fails_and_every_token_is_accounted_for() {
    let world = Arc::new(World::new().await);
    // Long enough that much happens while mails are on their way.
    world.ses.script(|_| Reply::Delay(Duration::from_millis(15)));
    let pipes = [world.pipe(), world.pipe()];
    for pipe in &pipes {
        pipe.sender.wait_for("event=connected", SOON).unwrap();
    }
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let url = world.db.url_as(Role::Application);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        writers.push(tokio::spawn(writer(client, number)));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // What was deleted on its way to the sender would be found lost in a minute or two; the next
    // collector finds it at once.
    let on_its_way = "SELECT count(*) = 0 FROM deliveries WHERE state <> 'dispatched'";
    world.db.wait_until(on_its_way, SOON).await.unwrap();
    for pipe in &pipes {
        stop(pipe);
    }
    let last = world.pipe();
    world.settled().await;
    stop(&last);

    // Deleted tokens are in the log only, so their numbers are counted; what was rolled back never was.
    let sent = "SELECT count(*) FROM delivery_log WHERE outcome = 'sent'";
    let sent = usize::try_from(world.db.query_i64(sent).await.unwrap()).unwrap();
    assert_eq!(world.ses.mail_count(), sent);
    assert!(world.ses.duplicates().is_empty());
    let lost = "SELECT coalesce(string_agg(t.id::text, ','), 'none') FROM tokens AS t
        WHERE NOT EXISTS (SELECT FROM delivery_log WHERE token = t.id
            AND outcome IN ('sent', 'skipped', 'failed', 'unconfirmed'))";
    assert_eq!(world.db.query_text(lost).await.unwrap(), "none");
    let kinds = "SELECT count(DISTINCT (outcome, detail)) FROM delivery_log";
    assert!(world.db.query_i64(kinds).await.unwrap() > 3, "much happened");
    let (a, b) = (&pipes[0], &pipes[1]);
    world.quiet(&[&a.collector, &a.sender, &b.collector, &b.sender], &[]).await;
    world.quiet(&[&last.collector, &last.sender], &["deliveries_released"]).await;
}
