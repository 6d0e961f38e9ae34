//! The log forgets what is old.

use testkit::{Database, Signal};

use crate::support::SOON;
use crate::world::{mailroom, process, said};

const LOG: &str = "SELECT coalesce(string_agg(token || ':' || outcome, ' ' ORDER BY token), '')
    FROM delivery_log";

#[tokio::test]
async fn what_is_old_is_deleted_by_outcome_and_counted_first() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO delivery_log (token, attempt, outcome, at) VALUES
             (1, 1, 'sent', now() - interval '800 hours'),
             (2, 1, 'sent', now() - interval '700 hours'),
             (3, 1, 'failed', now() - interval '800 hours'),
             (4, 1, 'failed', now() - interval '2200 hours'),
             (5, 1, 'throttled', now() - interval '800 hours');
         INSERT INTO delivery_log (token, attempt, outcome, at)
         SELECT n, 1, 'sent', now() - n * interval '1 hour' FROM generate_series(1001, 1100) AS n",
    )
    .await
    .unwrap();
    let deleted = said(&db, &["purge", "--batch", "7"]);
    assert_eq!(deleted, "deleted 103 rows of the log");
    assert_eq!(db.query_text(LOG).await.unwrap(), "2:sent 3:failed");
    let ever = "SELECT sum(count) FROM mailroom_totals()";
    assert_eq!(db.query_i64(ever).await.unwrap(), 105);
    let deleted = said(&db, &["purge", "--sent", "690h", "--others", "30d", "--json"]);
    assert_eq!(deleted, r#"{"deleted":2,"complete":true}"#);
}

#[tokio::test]
async fn settings_say_how_long_and_bad_ones_are_named() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO delivery_log (token, attempt, outcome, at)
         VALUES (1, 1, 'sent', now() - interval '3 hours'), (2, 1, 'failed', now() - interval '3 hours')",
    )
    .await
    .unwrap();
    let with = |sent: &str, others: &str, args: &[&str]| {
        let purge = process(&db, &[&["purge"], args].concat());
        let purge = purge.env("MAILROOM_PURGE_SENT_HOURS", sent);
        crate::support::finish(purge.env("MAILROOM_PURGE_OTHERS_HOURS", others))
    };
    let ran = with("0", "soon", &["--sent", "10m"]);
    assert_eq!(ran.code, 78);
    assert_eq!(
        ran.err,
        "mailroom: MAILROOM_PURGE_SENT_HOURS: \"0\" is out of range; give a whole number from 1 to \
         876000 hours\nmailroom: --sent: give 1h or more, and no more than 876000h\n\
         mailroom: MAILROOM_PURGE_OTHERS_HOURS: \"soon\" is not a number; give a whole number from 1 to \
         876000 hours\n"
    );
    assert_eq!(with("4", "2", &[]).out, ["deleted 1 row of the log"]);
    assert_eq!(db.query_text(LOG).await.unwrap(), "1:sent");
    assert_eq!(with("4", "2", &["--sent", "2h"]).out, ["deleted 1 row of the log"]);
    assert_eq!(mailroom(&db, &["purge", "--batch", "0"]).code, 78);
}

#[tokio::test]
async fn an_interrupted_purge_ends_well_between_two_batches() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO delivery_log (token, attempt, outcome, at)
         SELECT n, 1, 'sent', now() - interval '800 hours' FROM generate_series(1, 500) AS n",
    )
    .await
    .unwrap();
    let other = db.client().await.unwrap();
    other.batch_execute("BEGIN; LOCK TABLE delivery_log IN EXCLUSIVE MODE").await.unwrap();
    let purge = process(&db, &["purge", "--batch", "1"]).spawn().unwrap();
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'mailroom' AND wait_event_type = 'Lock')";
    db.wait_until(waits, SOON).await.unwrap();
    purge.signal(Signal::INT).unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!((purge.wait(SOON).unwrap(), purge.stderr()), (0, String::new()));
    let said = purge.lines().join(" ");
    assert!(said.ends_with(" of the log; interrupted, there may be more"), "{said}");
    assert!(db.query_i64("SELECT count(*) FROM delivery_log").await.unwrap() > 0);
}
