//! Sweep: the dead hold nothing, the living keep what they have.

use std::time::Duration;

use collector::floors::Floors;
use collector::queue::{Queue, Sweep};
use daemon::session::Session;
use testkit::{Database, Options, Postgres};

use crate::support::{QUEUE, SOON, end, log, session, sign_up, states};

const GRACE: Duration = Duration::from_secs(30);

async fn sweep(session: &Session) -> Sweep {
    Queue::new(session, QUEUE).sweep(GRACE).await.unwrap()
}

/// As if the sender `holder` had begun `token`.
async fn begun(db: &Database, token: i64, holder: &Session) {
    let number = holder.number();
    db.execute(&format!(
        "UPDATE deliveries SET state = 'sending', holder = {number}, attempts = 1, dispatches = 0
         WHERE token = {token}"
    ))
    .await
    .unwrap();
}

#[tokio::test]
async fn what_a_dead_collector_dispatched_is_pending_at_once() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    let dead = session(&db, "collector").await;
    Queue::new(&dead, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    let mine = session(&db, "collector").await;
    assert_eq!(sweep(&mine).await.released, 0, "it lives");
    assert_eq!(sweep(&mine).await.held, 2);
    end(&db, dead).await;
    let swept = sweep(&mine).await;
    assert_eq!((swept.released, swept.held), (2, 0));
    assert_eq!(states(&db).await, "1:pending 2:pending");
    assert_eq!(log(&db).await, "");
}

#[tokio::test]
async fn what_a_dead_sender_was_sending_is_pending_after_its_grace_and_counts_as_ambiguous() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let mine = session(&db, "collector").await;
    Queue::new(&mine, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    let sender = session(&db, "sender").await;
    begun(&db, 1, &sender).await;
    end(&db, sender).await;
    let swept = sweep(&mine).await;
    assert_eq!((swept.released, swept.held), (0, 1), "its grace begins now");
    let grace = swept.grace_ends_in.unwrap().as_secs_f64();
    assert!((29.0..30.1).contains(&grace), "{grace}");
    let swept = Queue::new(&mine, QUEUE).sweep(Duration::ZERO).await.unwrap();
    assert_eq!((swept.released, swept.ambiguous, swept.held), (1, 1, 0));
    assert_eq!(states(&db).await, "1:pending");
    assert_eq!(log(&db).await, "1:ambiguous:the sender ended during the call");
    assert_eq!(db.query_i64("SELECT ambiguities::bigint FROM deliveries").await.unwrap(), 1);
}

#[tokio::test]
async fn a_stranger_who_holds_a_dead_holders_lock_keeps_nothing_from_being_released() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    let (dead, alive) = (session(&db, "collector").await, session(&db, "collector").await);
    Queue::new(&dead, QUEUE).claim(1, &mut Floors::default()).await.unwrap();
    let number = dead.number();
    end(&db, dead).await;
    let stranger = db.client().await.unwrap();
    let lock = format!("SELECT pg_advisory_lock(mailroom_holder_class(), {number})");
    stranger.batch_execute(&lock).await.unwrap();
    assert_eq!(sweep(&alive).await.released, 1);
    assert_eq!(states(&db).await, "1:pending 2:pending");
}

#[tokio::test]
async fn a_slow_sender_is_never_taken_for_a_dead_one() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let mine = session(&db, "collector").await;
    Queue::new(&mine, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    let sender = session(&db, "sender").await;
    begun(&db, 1, &sender).await;
    db.execute(
        "UPDATE deliveries SET dispatched_at = now() - interval '1 day';
         UPDATE tokens SET expires_at = 1;",
    )
    .await
    .unwrap();
    let swept = sweep(&mine).await;
    assert_eq!((swept.released, swept.unconfirmed, swept.held), (0, 0, 1));
}

#[tokio::test]
async fn a_line_lost_on_the_way_comes_again_ever_later_while_a_sender_lives() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let mine = session(&db, "collector").await;
    let queue = Queue::new(&mine, QUEUE);
    let age = |seconds: u32| {
        format!("UPDATE deliveries SET dispatched_at = now() - interval '{seconds} s'")
    };
    queue.claim(10, &mut Floors::default()).await.unwrap();
    db.execute(&age(600)).await.unwrap();
    assert_eq!(sweep(&mine).await.released, 0, "no sender that could have begun it lives");
    let _sender = session(&db, "sender").await;
    for seconds in [60, 120, 240] {
        db.execute(&age(seconds - 5)).await.unwrap();
        assert_eq!(sweep(&mine).await.lost, 0, "not yet {seconds} s");
        db.execute(&age(seconds + 1)).await.unwrap();
        assert_eq!(sweep(&mine).await.lost, 1);
        assert_eq!(queue.claim(10, &mut Floors::default()).await.unwrap().ours.len(), 1);
    }
    assert!(log(&db).await.starts_with("1:deferred:lost between the collector and the sender"));
}

#[tokio::test]
async fn what_was_handed_over_and_never_acknowledged_ends_as_unconfirmed() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    let mine = session(&db, "collector").await;
    Queue::new(&mine, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    let expire = "UPDATE tokens SET expires_at = floor(extract(epoch FROM now())) WHERE id = 1";
    db.execute(expire).await.unwrap();
    assert_eq!(sweep(&mine).await.unconfirmed, 0, "it may be skipped, or begun, any moment");
    db.execute("UPDATE deliveries SET dispatched_at = now() - interval '61 s'").await.unwrap();
    let swept = sweep(&mine).await;
    assert_eq!((swept.unconfirmed, swept.held), (1, 1));
    assert_eq!(states(&db).await, "2:dispatched");
    assert_eq!(
        log(&db).await,
        "1:unconfirmed:handed over and never acknowledged, and the token has expired"
    );
}

#[tokio::test]
async fn an_expired_line_that_no_sender_began_is_claimed_again_and_says_expired() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let dead = session(&db, "collector").await;
    Queue::new(&dead, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    let mine = session(&db, "collector").await;
    let _sender = session(&db, "sender").await;
    db.execute("UPDATE tokens SET expires_at = 1").await.unwrap();
    end(&db, dead).await;
    assert_eq!(sweep(&mine).await.released, 1);
    Queue::new(&mine, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    assert_eq!(log(&db).await, "1:skipped:the token has expired");
}

/// A claim takes what has expired, too, so that it can be skipped: nobody was handed that.
#[tokio::test]
async fn what_had_expired_when_it_was_claimed_is_never_unconfirmed() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    let mine = session(&db, "collector").await;
    let other = session(&db, "collector").await;
    db.execute(&format!(
        "UPDATE tokens SET expires_at = extract(epoch FROM now()) - 3600;
         UPDATE deliveries SET state = 'dispatched', holder = {},
             dispatched_at = now() - interval '50 seconds'",
        other.number(),
    ))
    .await
    .unwrap();
    let swept = sweep(&mine).await;
    assert_eq!((swept.released, swept.unconfirmed, swept.held), (0, 0, 2), "it may be about to");
    end(&db, other).await;
    assert_eq!(sweep(&mine).await.released, 2);
    Queue::new(&mine, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    assert_eq!(log(&db).await, "1:skipped:the token has expired; 2:skipped:the token has expired");
}

/// An application may make a token useless by dating it back. Whether its line was written cannot be told
/// any more, and no sender lives that could.
#[tokio::test]
async fn what_expires_before_it_was_claimed_does_not_stay_with_a_collector_that_lives() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let mine = session(&db, "collector").await;
    let queue = Queue::new(&mine, QUEUE);
    queue.claim(10, &mut Floors::default()).await.unwrap();
    db.execute("UPDATE tokens SET expires_at = 0").await.unwrap();
    assert_eq!(sweep(&mine).await.held, 1, "it may be skipped, or begun, any moment");
    db.execute("UPDATE deliveries SET dispatched_at = now() - interval '61 s'").await.unwrap();
    assert_eq!(sweep(&mine).await.released, 1);
    queue.claim(10, &mut Floors::default()).await.unwrap();
    assert_eq!(log(&db).await, "1:skipped:the token has expired");
}

/// The sweep waits for nobody: a row being begun or settled this moment is left to the living.
#[tokio::test]
async fn a_row_that_changes_hands_during_the_sweep_stays_with_its_new_holder() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let dead = session(&db, "collector").await;
    Queue::new(&dead, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    end(&db, dead).await;
    let sender = session(&db, "sender").await;
    let beginning = db.client().await.unwrap();
    let number = sender.number();
    beginning
        .batch_execute(&format!(
            "BEGIN; UPDATE deliveries SET state = 'sending', holder = {number} WHERE token = 1"
        ))
        .await
        .unwrap();
    let mine = session(&db, "collector").await;
    assert_eq!(sweep(&mine).await.released, 0);
    beginning.batch_execute("COMMIT").await.unwrap();
    assert_eq!(sweep(&mine).await.released, 0);
    assert_eq!(states(&db).await, "1:sending");
}

#[tokio::test]
async fn holders_long_gone_are_forgotten_unless_they_hold_something() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let empty = session(&db, "sender").await;
    let holding = session(&db, "sender").await;
    let mine = session(&db, "collector").await;
    let queue = Queue::new(&mine, QUEUE);
    queue.claim(1, &mut Floors::default()).await.unwrap();
    begun(&db, 1, &holding).await;
    end(&db, empty).await;
    end(&db, holding).await;
    sweep(&mine).await;
    db.execute("UPDATE holders SET missing_since = missing_since - interval '25 hours'")
        .await
        .unwrap();
    queue.prune().await.unwrap();
    assert_eq!(db.query_i64("SELECT count(*) FROM holders").await.unwrap(), 2);
}

/// More dead holders than PostgreSQL has room for locks: a crash loop must not end the sweeps.
#[tokio::test]
async fn many_dead_holders_do_not_stop_a_sweep() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let dead = session(&db, "collector").await;
    Queue::new(&dead, QUEUE).claim(1, &mut Floors::default()).await.unwrap();
    end(&db, dead).await;
    db.execute(
        "INSERT INTO holders (kind, host, pid, version)
         SELECT 'sender', 'h', 1, 'v' FROM generate_series(1, 50000)",
    )
    .await
    .unwrap();
    let mine = session(&db, "collector").await;
    assert_eq!(sweep(&mine).await.released, 1);
}

/// Two sweeps at once see the same dead.
#[tokio::test]
async fn a_sweep_does_not_look_like_a_holder_to_another_sweep() {
    let db = Database::fresh().await.unwrap();
    let sender = session(&db, "sender").await;
    end(&db, sender).await;
    let (one, two) = (session(&db, "collector").await, session(&db, "collector").await);
    tokio::join!(sweep(&one), sweep(&two));
    let unseen = "SELECT count(*) FROM holders WHERE kind = 'sender' AND missing_since IS NULL";
    assert_eq!(db.query_i64(unseen).await.unwrap(), 0);
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(db.query_i64(locks).await.unwrap(), 2, "the two collectors' own");
}

/// Nobody waits for the disk, or for a standby, but for what is logged: a mail may go out again when its
/// reason is on disk.
#[tokio::test]
async fn what_is_logged_is_durable_and_nothing_else_is_waited_for() {
    let server = Postgres::start_with(&Options::fast()).unwrap();
    let db = Database::fresh_on(&server).await.unwrap();
    db.execute("ALTER SYSTEM SET synchronous_commit = off").await.unwrap();
    sign_up(&db, 4).await;
    let (mine, dead) = (session(&db, "collector").await, session(&db, "collector").await);
    let (queue, floors) = (Queue::new(&mine, QUEUE), &mut Floors::default());
    queue.claim(2, floors).await.unwrap();
    Queue::new(&dead, QUEUE).claim(2, &mut Floors::default()).await.unwrap();
    let sender = session(&db, "sender").await;
    begun(&db, 1, &sender).await;
    end(&db, sender).await;
    assert_eq!(sweep(&mine).await.held, 4);
    end(&db, dead).await;

    db.await_standby(true).await.unwrap();
    assert_eq!(sweep(&mine).await.released, 2);
    assert_eq!(queue.claim(2, floors).await.unwrap().ours.len(), 2);
    queue.release().await.unwrap();
    let waits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let waited_for = async |before: &str| {
        db.wait_until(waits, SOON).await.unwrap();
        assert_eq!(states(&db).await, before);
        db.await_standby(false).await.unwrap();
    };
    let before = "1:sending 2:pending 3:pending 4:pending";
    let (swept, ()) = tokio::join!(queue.sweep(Duration::ZERO), waited_for(before));
    assert_eq!(swept.unwrap().ambiguous, 1);

    assert_eq!(queue.claim(1, floors).await.unwrap().ours.len(), 1);
    let before = states(&db).await;
    let mine = "SELECT token FROM deliveries WHERE state = 'dispatched'";
    let token = [db.query_i64(mine).await.unwrap()];
    db.await_standby(true).await.unwrap();
    let (rejected, ()) = tokio::join!(queue.reject(&token, &["no"]), waited_for(&before));
    rejected.unwrap();
    let logged = log(&db).await;
    assert!(logged.contains("1:ambiguous:") && logged.contains(&format!("{}:failed:no", token[0])));
}

/// It may forget the claim that follows, which nobody waited for; not why the mail may go out twice.
#[tokio::test]
async fn a_crash_of_postgresql_right_after_a_sweep_does_not_forget_what_it_logged() {
    let server = Postgres::start_with(&Options::fast().set("wal_writer_delay", "10s")).unwrap();
    let db = Database::fresh_on(&server).await.unwrap();
    sign_up(&db, 1).await;
    let mine = session(&db, "collector").await;
    let (queue, floors) = (Queue::new(&mine, QUEUE), &mut Floors::default());
    queue.claim(1, floors).await.unwrap();
    let sender = session(&db, "sender").await;
    begun(&db, 1, &sender).await;
    end(&db, sender).await;
    sweep(&mine).await;
    assert_eq!(queue.sweep(Duration::ZERO).await.unwrap().ambiguous, 1);
    assert_eq!(queue.claim(1, floors).await.unwrap().ours.len(), 1);
    server.restart_immediate().unwrap();
    db.wait_until("SELECT true", SOON).await.unwrap();
    assert_eq!(log(&db).await, "1:ambiguous:the sender ended during the call");
    assert_eq!(db.query_i64("SELECT ambiguities::bigint FROM deliveries").await.unwrap(), 1);
}
