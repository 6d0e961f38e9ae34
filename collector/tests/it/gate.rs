//! The gate: nobody notifies a collector that is awake, and none falls asleep on a row.

use std::time::Duration;

use collector::floors::Floors;
use collector::queue::Queue;
use daemon::session::Session;
use testkit::Database;
use tokio::time::timeout;

use crate::support::{QUEUE, SOON, session, sign_up};

const SIGN_UP: &str =
    "INSERT INTO accounts (email, login) VALUES (gen_random_uuid(), gen_random_uuid())";

/// Any notification sent so far has arrived once this statement of the same session is answered.
async fn is_notified(session: &Session, queue: &Queue<'_>) -> bool {
    queue.look(1, &mut Floors::default(), true).await.unwrap();
    timeout(Duration::from_millis(1), session.notified()).await.is_ok()
}

#[tokio::test]
async fn a_sleeper_is_notified_and_one_awake_is_not() {
    let db = Database::fresh().await.unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    db.execute(SIGN_UP).await.unwrap();
    assert!(!is_notified(&session, &queue).await, "awake");
    let (armed, look) = queue.arm_and_look(10, &mut Floors::default()).await.unwrap();
    assert_eq!((armed, look.due), (true, 1), "armed, and must not sleep");
    db.execute(SIGN_UP).await.unwrap();
    timeout(SOON, session.notified()).await.unwrap();
    queue.disarm().await.unwrap();
    db.execute(SIGN_UP).await.unwrap();
    assert!(!is_notified(&session, &queue).await, "awake again");
}

#[tokio::test]
async fn nobody_falls_asleep_while_a_silent_writer_is_open() {
    let db = Database::fresh().await.unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let writer = db.client().await.unwrap();
    writer.batch_execute(&format!("BEGIN; {SIGN_UP}")).await.unwrap();
    let (armed, look) = queue.arm_and_look(10, &mut Floors::default()).await.unwrap();
    assert_eq!((armed, look.due), (false, 0), "it passed silently, so we must not sleep");
    writer.batch_execute("COMMIT").await.unwrap();
    let (armed, look) = queue.arm_and_look(10, &mut Floors::default()).await.unwrap();
    assert_eq!((armed, look.due), (true, 1));
}

/// The gate's answer holds for a savepoint at most: rolled back, its lock is gone.
#[tokio::test]
async fn a_rolled_back_savepoint_does_not_silence_what_follows() {
    let db = Database::fresh().await.unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let writer = db.client().await.unwrap();
    writer.batch_execute(&format!("BEGIN; SAVEPOINT s; {SIGN_UP}; ROLLBACK TO s")).await.unwrap();
    assert!(
        queue.arm_and_look(10, &mut Floors::default()).await.unwrap().0,
        "nothing is left of the savepoint"
    );
    writer.batch_execute(&format!("{SIGN_UP}; COMMIT")).await.unwrap();
    timeout(SOON, session.notified()).await.unwrap();
}

#[tokio::test]
async fn a_dead_sleeper_leaves_no_lock_behind() {
    let db = Database::fresh().await.unwrap();
    let sleeper = session(&db, "collector").await;
    assert!(Queue::new(&sleeper, QUEUE).arm_and_look(1, &mut Floors::default()).await.unwrap().0);
    let second = session(&db, "collector").await;
    assert!(!Queue::new(&second, QUEUE).arm_and_look(1, &mut Floors::default()).await.unwrap().0);
    crate::support::end(&db, sleeper).await;
    assert!(Queue::new(&second, QUEUE).arm_and_look(1, &mut Floors::default()).await.unwrap().0);
}

#[tokio::test]
async fn everything_that_makes_a_row_pending_wakes_a_sleeper() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    let worker = session(&db, "collector").await;
    let queue = Queue::new(&worker, QUEUE);
    queue.claim(10, &mut Floors::default()).await.unwrap();
    let sleeper = session(&db, "collector").await;
    assert!(Queue::new(&sleeper, QUEUE).arm_and_look(1, &mut Floors::default()).await.unwrap().0);
    queue.release().await.unwrap();
    timeout(SOON, sleeper.notified()).await.unwrap();
    // A status that allows again what was skipped for it.
    db.execute("UPDATE accounts SET status = 'suspended'").await.unwrap();
    queue.claim(10, &mut Floors::default()).await.unwrap();
    db.execute("UPDATE accounts SET status = 'active'").await.unwrap();
    timeout(SOON, sleeper.notified()).await.unwrap();
}

#[tokio::test]
async fn the_setting_always_and_off_overrule_the_gate() {
    let db = Database::fresh().await.unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let writer = db.client().await.unwrap();
    writer.batch_execute("SET mailroom.notify = 'always'").await.unwrap();
    writer.batch_execute(SIGN_UP).await.unwrap();
    timeout(SOON, session.notified()).await.unwrap();
    assert!(queue.arm_and_look(1, &mut Floors::default()).await.unwrap().0);
    writer.batch_execute("SET mailroom.notify = 'off'").await.unwrap();
    writer.batch_execute(SIGN_UP).await.unwrap();
    assert!(!is_notified(&session, &queue).await);
}

#[tokio::test]
async fn an_action_without_a_row_is_refused_with_the_remedy() {
    let db = Database::fresh().await.unwrap();
    db.execute("INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a')").await.unwrap();
    db.execute("ALTER TYPE token_action ADD VALUE 'invitation'").await.unwrap();
    let insert = "INSERT INTO tokens (account, action) VALUES (1, 'invitation')";
    let error = format!("{:#}", db.execute(insert).await.unwrap_err());
    assert!(error.contains("there is no row for invitation in actions"), "{error}");
    db.execute(
        "INSERT INTO actions (action, number, path, statuses)
         VALUES ('invitation', 3, '/invite', '{provisioned,active}')",
    )
    .await
    .unwrap();
    db.execute(insert).await.unwrap();
    assert_eq!(db.query_i64("SELECT count(*) FROM deliveries").await.unwrap(), 2);
}

/// The application's role need own nothing but its accounts and tokens.
#[tokio::test]
async fn an_application_without_rights_on_our_tables_signs_people_up() {
    let db = Database::fresh().await.unwrap();
    let app = db.client().await.unwrap();
    let role = format!("app_{}", db.name());
    app.batch_execute(&format!(
        "CREATE ROLE {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, tokens TO {role};
         GRANT USAGE ON SEQUENCE accounts_id_seq, tokens_id_seq TO {role};
         SET ROLE {role};
         CREATE TEMPORARY TABLE deliveries (token bigint, queue job_type, priority smallint);
         RESET ROLE; GRANT CREATE ON SCHEMA public TO {role}; SET ROLE {role};
         CREATE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE plpgsql
             AS 'BEGIN RAISE EXCEPTION ''a function of the application ran as %'', current_user; END';"
    ))
    .await
    .unwrap();
    let signed_up = app
        .batch_execute(
            "INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a');
             UPDATE accounts SET status = 'suspended';
             UPDATE accounts SET status = 'active';",
        )
        .await;
    app.batch_execute(&format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}"))
        .await
        .unwrap();
    signed_up.unwrap();
    assert_eq!(db.query_i64("SELECT count(*) FROM public.deliveries").await.unwrap(), 1);
}
