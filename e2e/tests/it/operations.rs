//! Day after day: tokens used up, totals kept, the log purged.

use testkit::{Database, Role};

use crate::SOON;
use crate::support::{accounts, recovery, sign_up};
use crate::world::{World, stop};

/// `account|refusal` of using up this token as the application, each in a transaction of its own.
async fn consume(db: &Database, token: &str, action: &str) -> String {
    db.query_text(&format!(
        "SELECT concat_ws('|', c.account, c.refusal)
         FROM consume_token((SELECT secret FROM tokens WHERE {token}), '{action}') AS c"
    ))
    .await
    .unwrap()
}

#[tokio::test]
async fn a_token_is_used_up_once_and_why_not_is_told() {
    let db = Database::fresh().await.unwrap();
    db.execute(&sign_up("used", 4)).await.unwrap();
    db.execute(&recovery("active")).await.unwrap();
    let status = "SELECT status FROM accounts WHERE id = 1";
    assert_eq!(consume(&db, "id = 1", "password_recovery").await, "unknown", "another action's");
    assert_eq!(db.query_text(status).await.unwrap(), "provisioned");
    assert_eq!(consume(&db, "id = 1", "activation").await, "1");
    assert_eq!(db.query_text(status).await.unwrap(), "active");
    assert_eq!(consume(&db, "id = 1", "activation").await, "used");
    assert_eq!(consume(&db, "id = 99", "activation").await, "unknown");

    db.execute("UPDATE tokens SET expires_at = extract(epoch FROM now()) - 1 WHERE id = 2")
        .await
        .unwrap();
    assert_eq!(consume(&db, "id = 2", "activation").await, "expired");
    db.execute("UPDATE accounts SET status = 'suspended' WHERE id = 3").await.unwrap();
    assert_eq!(consume(&db, "id = 3", "activation").await, "ineligible");
    let left = "SELECT count(*) FROM tokens WHERE id IN (2, 3) AND consumed_at IS NULL";
    assert_eq!(db.query_i64(left).await.unwrap(), 2);

    db.execute("UPDATE tokens SET data = '{\"plan\": 7}' WHERE id = 5").await.unwrap();
    let role = Role::Application;
    let data = format!(
        "SET LOCAL ROLE {role}; CREATE TEMP TABLE got ON COMMIT DROP AS
         SELECT * FROM consume_token((SELECT secret FROM tokens WHERE id = 5), 'password_recovery');
         DO $$ BEGIN ASSERT (SELECT data ->> 'plan' = '7' AND refusal IS NULL FROM got); END $$"
    );
    db.execute(&data).await.unwrap();
}

/// Of all who try at once, one succeeds; and a deletion of the account that comes in between meets
/// no deadlock.
#[tokio::test]
async fn of_two_who_use_a_token_at_once_one_does() {
    let db = Database::fresh().await.unwrap();
    db.execute(&sign_up("race", 1)).await.unwrap();
    let (first, second, remover) =
        (db.client().await.unwrap(), db.client().await.unwrap(), db.client().await.unwrap());
    let sql = "SELECT c.refusal FROM consume_token(
        (SELECT secret FROM tokens WHERE id = 1), 'activation') AS c";
    first.batch_execute("BEGIN").await.unwrap();
    let refusal: Option<String> = first.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(refusal, None);
    let late = tokio::spawn(async move { second.query_one(sql, &[]).await.unwrap().get(0) });
    let waiting = "SELECT count(*) = 1 FROM pg_stat_activity
        WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND query LIKE 'SELECT c.refusal%'";
    db.wait_until(waiting, SOON).await.unwrap();
    let removed = tokio::spawn(async move {
        remover.batch_execute("DELETE FROM accounts WHERE id = 1").await.unwrap();
    });
    let both = "SELECT count(*) = 2 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND (query LIKE 'SELECT c.refusal%' OR query LIKE 'DELETE FROM accounts%')";
    db.wait_until(both, SOON).await.unwrap();
    first.batch_execute("COMMIT").await.unwrap();
    let refusal: Option<String> = late.await.unwrap();
    assert!(matches!(refusal.as_deref(), Some("used" | "unknown")), "{refusal:?}");
    removed.await.unwrap();
}

/// A log of so many mails of each outcome, `age` old, each of which took so many seconds.
fn past(age: &str, mails: i64, seconds: f64) -> String {
    format!(
        "INSERT INTO delivery_log (at, token, promised_at, attempt, outcome, action)
         SELECT now() - interval '{age}', -(n * 10 + o.place), now() - interval '{age}' - interval '{seconds} s', 1,
             o.outcome, 'activation'
         FROM generate_series(1, {mails}) AS n,
             unnest(enum_range(NULL::delivery_outcome)) WITH ORDINALITY AS o (outcome, place);"
    )
}

async fn count_all(db: &Database) {
    while db.query_text("SELECT mailroom_count_log()").await.unwrap() == "t" {}
}

const SENT: &str = "SELECT coalesce(string_agg(bucket || ':' || count, ' ' ORDER BY bucket), '')
    FROM mailroom_totals() WHERE outcome = 'sent' AND action = 'activation'";

#[tokio::test]
async fn totals_are_the_same_counted_or_not_purged_or_not() {
    let db = Database::fresh().await.unwrap();
    for (age, mails, seconds) in
        [("40 days", 3, 0.05), ("39 days", 2, 0.1), ("2 hours", 4, 0.100_001), ("1 s", 1, 7200.0)]
    {
        db.execute(&past(age, mails, seconds)).await.unwrap();
    }
    let all = "0:5 1:4 12:1";
    assert_eq!(db.query_text(SENT).await.unwrap(), all);
    count_all(&db).await;
    assert_eq!(db.query_text(SENT).await.unwrap(), all);
    let counted = "SELECT sum(count)::bigint FROM delivery_totals WHERE outcome = 'sent'";
    assert_eq!(db.query_i64(counted).await.unwrap(), 9, "the young may not all be there yet");

    let purge = "SELECT mailroom_purge(now() - interval '30 days', now() - interval '90 days', 7)";
    let mut purged = Vec::new();
    while purged.last() != Some(&0) {
        purged.push(db.query_i64(purge).await.unwrap());
    }
    // sent, deferred, throttled, ambiguous of five mails.
    assert_eq!(purged, [7, 7, 6, 0]);
    let left = "SELECT count(*) FROM delivery_log WHERE at < now() - interval '30 days'
        AND outcome NOT IN ('skipped', 'failed', 'unconfirmed')";
    assert_eq!(db.query_i64(left).await.unwrap(), 0);
    assert_eq!(db.query_i64("SELECT count(*) FROM delivery_log").await.unwrap(), 50);
    assert_eq!(db.query_text(SENT).await.unwrap(), all);
    let outcomes = "SELECT string_agg(DISTINCT count::text, ' ') FROM (
        SELECT sum(count)::bigint AS count FROM mailroom_totals() GROUP BY outcome) AS o";
    assert_eq!(db.query_text(outcomes).await.unwrap(), "10");
}

const PURGE_ALL: &str = "SELECT mailroom_purge('infinity', 'infinity', 100)";

#[tokio::test]
async fn what_is_still_needed_is_not_purged() {
    let db = Database::fresh().await.unwrap();
    // Outstanding; alive, and a status may bring it back; used up; not counted.
    db.execute(&accounts("needed", 3)).await.unwrap();
    db.execute(
        "DELETE FROM deliveries WHERE token > 1;
         UPDATE tokens SET consumed_at = 1 WHERE id = 3;
         INSERT INTO delivery_log (at, token, attempt, outcome)
         SELECT now() - interval '1 year', t, 1, o
         FROM generate_series(1, 3) AS t, unnest('{skipped, sent}'::delivery_outcome[]) AS o;
         INSERT INTO delivery_log (at, token, attempt, outcome)
         VALUES (now() - interval '59 minutes', -1, 1, 'sent');",
    )
    .await
    .unwrap();
    assert_eq!(db.query_i64(PURGE_ALL).await.unwrap(), 0, "nothing is counted");
    count_all(&db).await;
    // That it was skipped, and then that it was sent.
    assert_eq!(db.query_i64(PURGE_ALL).await.unwrap(), 1);
    assert_eq!(db.query_i64(PURGE_ALL).await.unwrap(), 1);
    assert_eq!(db.query_i64(PURGE_ALL).await.unwrap(), 0);
    let left = "SELECT string_agg(token::text, ' ' ORDER BY token) FROM delivery_log";
    assert_eq!(db.query_text(left).await.unwrap(), "-1 1 1 2 2");
}

/// Else a mail that failed, was requeued and sent would look failed again, and be requeued again.
#[tokio::test]
async fn that_a_mail_was_sent_is_remembered_while_anything_else_of_it_is() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO delivery_log (at, token, attempt, outcome)
         SELECT now() - interval '40 days' + n * interval '1 hour', n % 4, n, o
         FROM unnest('{failed, skipped, unconfirmed, sent, sent, sent}'::delivery_outcome[])
             WITH ORDINALITY AS x (o, n)",
    )
    .await
    .unwrap();
    count_all(&db).await;
    // 1: failed, sent. 2: skipped, sent. 3: unconfirmed. 0: sent.
    let purge =
        "SELECT mailroom_purge(now() - interval '30 days', now() - interval '90 days', 100)";
    assert_eq!(db.query_i64(purge).await.unwrap(), 1);
    let left =
        "SELECT string_agg(token || outcome::text, ' ' ORDER BY token, outcome) FROM delivery_log";
    assert_eq!(db.query_text(left).await.unwrap(), "1sent 1failed 2sent 2skipped 3unconfirmed");
}

#[tokio::test]
async fn a_purge_waits_for_nobody() {
    let db = Database::fresh().await.unwrap();
    db.execute(&past("40 days", 3, 1.0)).await.unwrap();
    count_all(&db).await;
    let other = db.client().await.unwrap();
    other
        .batch_execute("BEGIN; SELECT FROM delivery_log WHERE token = -11 FOR UPDATE")
        .await
        .unwrap();
    let purge =
        "SET LOCAL lock_timeout = '1ms'; SELECT mailroom_purge('infinity', 'infinity', 100)";
    db.execute(purge).await.unwrap();
    let left = "SELECT string_agg(token::text, ' ') FROM delivery_log";
    assert_eq!(db.query_text(left).await.unwrap(), "-11");
    other.batch_execute("COMMIT").await.unwrap();
}

/// Rows that share a moment, and more of them than are counted in one go.
#[tokio::test]
async fn counting_comes_to_an_end_and_misses_none() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO delivery_log (at, token, attempt, outcome)
         SELECT now() - interval '1 day' + n / 6000 * interval '1 microsecond', n, 1, 'sent'
         FROM generate_series(1, 20000) AS n",
    )
    .await
    .unwrap();
    count_all(&db).await;
    let counted = "SELECT sum(count)::bigint FROM delivery_totals";
    assert_eq!(db.query_i64(counted).await.unwrap(), 20_000);
    // Nothing has happened since, and a clock that is ahead changes nothing.
    let until = "SELECT counted_until < now() - interval '23 hours' FROM delivery_totals_until";
    assert_eq!(db.query_text(until).await.unwrap(), "t");
    // A token's creation as no calendar has it.
    db.execute(
        "INSERT INTO accounts (email, login) VALUES ('x@mail.example', 'x');
         UPDATE tokens SET created_at = 4611686018427387904;
         INSERT INTO delivery_log (at, token, attempt, outcome)
         VALUES (now() - interval '1 hour', 1, 1, 'sent')",
    )
    .await
    .unwrap();
    count_all(&db).await;
    assert_eq!(db.query_i64(counted).await.unwrap(), 20_001);
}

/// At the start, and at each health check; what is younger stays.
#[tokio::test]
async fn a_collector_that_is_told_to_forgets_the_old() {
    let world = World::new().await;
    world.db.execute(&past("40 days", 500, 1.0)).await.unwrap();
    world.db.execute(&past("20 days", 1, 1.0)).await.unwrap();
    let collector = world.collector().env("MAILROOM_PURGE", "true");
    let collector = collector.env("MAILROOM_HEALTHCHECK_INTERVAL", "300");
    let pipe = testkit::Pipeline::spawn(collector, world.sender()).unwrap();
    let line = pipe.collector.wait_for("event=log_purged", SOON).unwrap();
    assert!(line.contains("rows=2000"), "{line}");
    assert_eq!(world.db.query_i64("SELECT count(*) FROM delivery_log").await.unwrap(), 1507);
    // Four of them come of age.
    let older = "UPDATE delivery_log SET at = at - interval '20 days' WHERE outcome <> 'failed'";
    world.db.execute(older).await.unwrap();
    let again = "SELECT count(*) = 1503 FROM delivery_log";
    world.db.wait_until(again, SOON).await.unwrap();
    stop(&pipe);
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn a_collector_that_may_not_forget_says_so_and_goes_on() {
    let world = World::new().await;
    world
        .db
        .execute("REVOKE EXECUTE ON FUNCTION mailroom_count_log() FROM mailroom_collector")
        .await
        .unwrap();
    let collector = world.collector().env("MAILROOM_PURGE", "true");
    let pipe = testkit::Pipeline::spawn(collector, world.sender()).unwrap();
    let line = pipe.collector.wait_for("event=purge_refused", SOON).unwrap();
    assert!(line.contains("mailroom_collector"), "{line}");
    world.db.execute(&sign_up("mailed", 3)).await.unwrap();
    world.mails(3).await;
    world.settled().await;
    stop(&pipe);
    assert_eq!(pipe.collector.stderr().matches("event=connected").count(), 1);
    world.quiet(&[&pipe.collector, &pipe.sender], &["purge_refused"]).await;
}
