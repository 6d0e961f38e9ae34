//! Claim, reject, release, relabel: what one collector does with the queue.

use collector::floors::Floors;
use collector::queue::{ALL, Claim, Queue};
use daemon::session::Session;
use testkit::Database;
use tokio_postgres::types::ToSql;

use crate::support::{QUEUE, end, log, session, sign_up, states};

fn tokens(claim: &Claim) -> Vec<i64> {
    claim.ours.iter().map(|delivery| delivery.token).collect()
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let db = Database::fresh().await.unwrap();
    session(&db, "collector").await.prepare(&ALL).await.unwrap();
}

#[tokio::test]
async fn claims_in_the_order_of_priority_then_time_and_each_row_once() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 3).await;
    db.execute(
        "UPDATE accounts SET status = 'active' WHERE id = 3;
         INSERT INTO tokens (account, action) VALUES (3, 'password_recovery');
         UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE token = 2;",
    )
    .await
    .unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let first = queue.claim(3, &mut Floors::default()).await.unwrap();
    assert_eq!(tokens(&first), [4, 2, 1]);
    let second = queue.claim(3, &mut Floors::default()).await.unwrap();
    assert_eq!((second.examined, tokens(&second)), (1, vec![]), "3 belongs to an active account");
    assert_eq!(states(&db).await, "1:dispatched 2:dispatched 4:dispatched");
    assert_eq!(log(&db).await, "3:skipped:the account is active");
    assert_eq!(queue.claim(3, &mut Floors::default()).await.unwrap().examined, 0);
}

#[tokio::test]
async fn a_delivery_that_lies_ahead_is_not_claimed_and_the_next_look_says_when() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    db.execute("UPDATE deliveries SET due_at = now() + interval '1 hour' WHERE token = 1")
        .await
        .unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    assert_eq!(queue.look(10, &mut Floors::default(), true).await.unwrap().due, 1);
    assert_eq!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()), [2]);
    let look = queue.look(10, &mut Floors::default(), true).await.unwrap();
    assert_eq!(look.due, 0);
    let wait = look.next_due_in.unwrap().as_secs();
    assert!((3590..=3601).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_claim_starts_where_the_last_one_ended_and_one_without_floors_finds_the_rest() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 6).await;
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let mut floors = Floors::default();
    assert_eq!(tokens(&queue.claim(2, &mut floors).await.unwrap()), [1, 2]);
    db.execute("UPDATE deliveries SET state = 'pending', holder = NULL WHERE token = 1")
        .await
        .unwrap();
    let above = queue.claim(10, &mut floors).await.unwrap();
    assert_eq!(tokens(&above), [3, 4, 5, 6], "each row has a due time of its own");
    assert!(!above.everywhere, "so it may not count as short");
    let mut rest = queue.claim(10, &mut floors).await.unwrap();
    assert_eq!(tokens(&rest), [1], "dated a little earlier than what was claimed");
    while !rest.everywhere {
        rest = queue.claim(10, &mut floors).await.unwrap();
        assert!(rest.ours.is_empty());
    }
}

/// What is committed a little late must not wait until the floors are dropped.
#[tokio::test]
async fn a_look_above_floors_counts_what_is_dated_a_little_earlier_and_nothing_much_earlier() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 3).await;
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let mut floors = Floors::default();
    assert_eq!(tokens(&queue.claim(3, &mut floors).await.unwrap()), [1, 2, 3]);
    for (token, earlier) in [(1, "40 milliseconds"), (2, "10 seconds")] {
        let late = format!(
            "UPDATE deliveries SET state = 'pending', holder = NULL,
                 due_at = (SELECT due_at FROM deliveries WHERE token = 3) - interval '{earlier}'
             WHERE token = {token}"
        );
        db.execute(&late).await.unwrap();
    }
    assert_eq!(queue.look(10, &mut floors, false).await.unwrap().due, 1);
    assert_eq!(queue.look(10, &mut floors, true).await.unwrap().due, 2);
}

/// Each claim is short, and takes something: nothing but the look tells that there is more.
#[tokio::test]
async fn a_priority_that_nobody_knew_of_is_claimed_as_soon_as_it_was_looked_at() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let session = session(&db, "collector").await;
    let (queue, mut floors) = (Queue::new(&session, QUEUE), Floors::default());
    assert_eq!(tokens(&queue.claim(10, &mut floors).await.unwrap()), [1]);
    db.execute(
        "INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a'), ('b@example.com', 'b');
         UPDATE deliveries SET priority = 3 WHERE token = 2",
    )
    .await
    .unwrap();
    assert_eq!(tokens(&queue.claim(10, &mut floors).await.unwrap()), [3]);
    assert_eq!(queue.look(10, &mut floors, false).await.unwrap().due, 1);
    assert_eq!(tokens(&queue.claim(10, &mut floors).await.unwrap()), [2]);
}

/// What is gone leaves dead entries behind, and they may be pinned.
#[tokio::test]
async fn a_claim_starts_behind_what_was_skipped() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 4).await;
    db.execute("UPDATE tokens SET expires_at = 1 WHERE id <= 2").await.unwrap();
    let session = session(&db, "collector").await;
    let (queue, mut floors) = (Queue::new(&session, QUEUE), Floors::default());
    let skipped = queue.claim(2, &mut floors).await.unwrap();
    assert_eq!((skipped.examined, tokens(&skipped)), (2, vec![]));
    let floor = floors.parameters().1.iter().flatten().max().copied().unwrap();
    let next = queue.claim(2, &mut floors).await.unwrap();
    assert!(next.ours.iter().all(|ours| ours.place.1 > floor), "{}", tokens(&next).len());
    assert_eq!(tokens(&next), [3, 4]);
}

#[tokio::test]
async fn a_status_that_is_not_known_keeps_nothing_behind_it_waiting() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    db.execute(
        "UPDATE actions SET statuses = '{NULL}' WHERE action = 'activation';
         UPDATE accounts SET status = 'active' WHERE id = 2;
         INSERT INTO tokens (account, action) VALUES (2, 'password_recovery');
         UPDATE deliveries SET priority = 9 WHERE token = 3",
    )
    .await
    .unwrap();
    let session = session(&db, "collector").await;
    let (queue, mut floors) = (Queue::new(&session, QUEUE), Floors::default());
    assert_eq!(queue.claim(2, &mut floors).await.unwrap().examined, 2);
    assert_eq!(tokens(&queue.claim(2, &mut floors).await.unwrap()), [3]);
}

#[tokio::test]
async fn what_may_not_be_mailed_is_skipped_with_its_reason() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 5).await;
    db.execute(
        "UPDATE tokens SET expires_at = 1 WHERE id = 1;
         UPDATE tokens SET consumed_at = 1 WHERE id = 2;
         UPDATE accounts SET status = 'suspended' WHERE id = 3;
         DELETE FROM accounts WHERE id = 4;",
    )
    .await
    .unwrap();
    let session = session(&db, "collector").await;
    let claim = Queue::new(&session, QUEUE).claim(10, &mut Floors::default()).await.unwrap();
    assert_eq!((claim.examined, tokens(&claim)), (5, vec![5]));
    assert_eq!(
        log(&db).await,
        "1:skipped:the token has expired; 2:skipped:the token was used already; \
         3:skipped:the account is suspended; 4:skipped:the token was deleted"
    );
    assert_eq!(states(&db).await, "5:dispatched");
}

#[tokio::test]
async fn a_skipped_token_is_owed_its_mail_when_the_status_allows_it_again() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    db.execute("UPDATE accounts SET status = 'suspended'").await.unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    assert!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()).is_empty());
    // Never activated, so lifting the suspension makes it provisioned.
    db.execute("UPDATE accounts SET status = 'active'").await.unwrap();
    assert_eq!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()), [1]);
}

/// The account is being unsuspended by a transaction that has not committed: whether the claim sees
/// the old status or the new one, the mail must not end as skipped.
#[tokio::test]
async fn a_status_that_changes_during_the_claim_loses_no_mail() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    db.execute("UPDATE accounts SET status = 'suspended'").await.unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let app = db.client().await.unwrap();
    app.batch_execute("BEGIN; UPDATE accounts SET status = 'active' WHERE id = 1").await.unwrap();
    let during = queue.claim(10, &mut Floors::default()).await.unwrap();
    assert_eq!((during.examined, tokens(&during)), (2, vec![]));
    assert_eq!(log(&db).await, "2:skipped:the account is suspended", "1 was put off");
    app.batch_execute("COMMIT").await.unwrap();
    db.wait_until("SELECT due_at <= now() FROM deliveries WHERE token = 1", crate::support::SOON)
        .await
        .unwrap();
    assert_eq!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()), [1]);
}

/// Runs one of the statements of a claim by itself, and returns the tokens of its rows.
async fn run(session: &Session, name: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<i64> {
    let sql = ALL.into_iter().find(|sql| sql.name == name).unwrap();
    let rows = session.rows(sql, params).await.unwrap();
    rows.iter().map(|row| row.get("token")).collect()
}

#[tokio::test]
async fn a_collector_that_dies_before_it_has_skipped_leaves_that_to_the_next() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    db.execute("UPDATE tokens SET expires_at = 1").await.unwrap();
    let dead = session(&db, "collector").await;
    let priorities: (&[i16], &[Option<std::time::SystemTime>]) = (&[5], &[None]);
    let (backend, number) = (dead.backend(), dead.number());
    let claim: [&(dyn ToSql + Sync); 6] =
        [&backend, &number, &QUEUE, &10_i64, &priorities.0, &priorities.1];
    assert_eq!(run(&dead, "claim", &claim).await, [1]);
    assert_eq!((states(&db).await, log(&db).await), ("1:dispatched".to_owned(), String::new()));
    end(&db, dead).await;
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    assert_eq!(queue.sweep(std::time::Duration::from_secs(30)).await.unwrap().released, 1);
    assert!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()).is_empty());
    assert_eq!(log(&db).await, "1:skipped:the token has expired");
}

/// Somebody looks at a row in psql, say. It is neither waited for nor forgotten.
#[tokio::test]
async fn what_is_locked_when_it_is_to_be_skipped_is_skipped_later() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    db.execute("UPDATE accounts SET status = 'suspended'").await.unwrap();
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let (backend, number) = (session.backend(), session.number());
    let priorities: (&[i16], &[Option<std::time::SystemTime>]) = (&[5], &[None]);
    let claim: [&(dyn ToSql + Sync); 6] =
        [&backend, &number, &QUEUE, &10_i64, &priorities.0, &priorities.1];
    assert_eq!(run(&session, "claim", &claim).await.len(), 2);
    let other = db.client().await.unwrap();
    other.batch_execute("BEGIN; SELECT FROM deliveries WHERE token = 1 FOR UPDATE").await.unwrap();
    assert_eq!(queue.skip(&[1, 2]).await.unwrap(), [1]);
    assert_eq!(log(&db).await, "2:skipped:the account is suspended");
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(queue.skip(&[1]).await.unwrap(), [0_i64; 0]);
    assert_eq!(states(&db).await, "");
    assert_eq!(queue.skip(&[1]).await.unwrap(), [0_i64; 0], "it is nobody's any more");
}

/// What the claim saw is not true any more when the skip looks, which says what is.
#[tokio::test]
async fn an_account_that_changes_between_claim_and_skip_is_mailed_and_no_one_elses_row_is_touched()
{
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 3).await;
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    assert_eq!(tokens(&queue.claim(2, &mut Floors::default()).await.unwrap()), [1, 2]);
    db.execute("UPDATE deliveries SET holder = -1 WHERE token = 2").await.unwrap();
    let skip: [&(dyn ToSql + Sync); 3] =
        [&session.backend(), &session.number(), &[1_i64, 2, 3].as_slice()];
    assert_eq!(run(&session, "skip", &skip).await, [1]);
    assert_eq!(states(&db).await, "1:pending 2:dispatched 3:pending");
    let dispatches = "SELECT string_agg(dispatches::text, ' ' ORDER BY token) FROM deliveries";
    assert_eq!(db.query_text(dispatches).await.unwrap(), "0 1 0", "it has not been lost");
    assert_eq!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()), [3, 1]);
    assert_eq!(log(&db).await, "");
}

#[tokio::test]
async fn rows_that_another_claim_is_taking_are_passed_over() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    let other = db.client().await.unwrap();
    other.batch_execute("BEGIN; SELECT FROM deliveries WHERE token = 1 FOR UPDATE").await.unwrap();
    assert_eq!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()), [2]);
    assert_eq!(
        queue.look(10, &mut Floors::default(), true).await.unwrap().due,
        1,
        "and yet nobody may fall asleep"
    );
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(tokens(&queue.claim(10, &mut Floors::default()).await.unwrap()), [1]);
}

#[tokio::test]
async fn what_cannot_be_written_has_failed_and_only_if_it_is_ours() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    let session = session(&db, "collector").await;
    let queue = Queue::new(&session, QUEUE);
    assert_eq!(tokens(&queue.claim(1, &mut Floors::default()).await.unwrap()), [1]);
    queue.reject(&[1, 2], &["login has control characters", "not ours"]).await.unwrap();
    assert_eq!(log(&db).await, "1:failed:login has control characters");
    assert_eq!(states(&db).await, "2:pending");
}

#[tokio::test]
async fn release_gives_back_what_nobody_began_and_nothing_else() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 3).await;
    let mine = session(&db, "collector").await;
    let queue = Queue::new(&mine, QUEUE);
    queue.claim(2, &mut Floors::default()).await.unwrap();
    let other = session(&db, "collector").await;
    Queue::new(&other, QUEUE).claim(1, &mut Floors::default()).await.unwrap();
    db.execute("UPDATE deliveries SET state = 'sending' WHERE token = 2").await.unwrap();
    assert_eq!(queue.release().await.unwrap(), 1);
    assert_eq!(states(&db).await, "1:pending 2:sending 3:dispatched");
}

#[tokio::test]
async fn after_a_reconnect_written_lines_stay_on_their_way_and_a_lost_claim_goes_back() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 3).await;
    let old = session(&db, "collector").await;
    let claimed_at =
        Queue::new(&old, QUEUE).claim(2, &mut Floors::default()).await.unwrap().claimed_at;
    // The answer to this one never reaches the collector.
    Queue::new(&old, QUEUE).claim(1, &mut Floors::default()).await.unwrap();
    let former = old.former();
    end(&db, old).await;
    let new = session(&db, "collector").await;
    let queue = Queue::new(&new, QUEUE);
    assert_eq!(queue.relabel(former, claimed_at).await.unwrap(), (2, 1));
    assert_eq!(states(&db).await, "1:dispatched 2:dispatched 3:pending");
    assert_eq!(
        queue.sweep(std::time::Duration::from_secs(30)).await.unwrap().released,
        0,
        "they are ours again"
    );
}

#[tokio::test]
async fn a_former_session_that_lingers_is_ended_before_its_rows_are_taken_over() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let old = session(&db, "collector").await;
    let claimed_at =
        Queue::new(&old, QUEUE).claim(1, &mut Floors::default()).await.unwrap().claimed_at;
    let new = session(&db, "collector").await;
    let former = old.former();
    assert_eq!(Queue::new(&new, QUEUE).relabel(former, claimed_at).await.unwrap(), (1, 0));
    tokio::time::timeout(crate::support::SOON, old.closed()).await.unwrap();
}

/// Behind a transaction pooler a statement may reach another backend than the one with the lock.
#[tokio::test]
async fn a_statement_that_reaches_another_backend_is_refused_with_the_remedy() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let session = session(&db, "collector").await;
    let claim = ALL.into_iter().find(|sql| sql.name == "claim").unwrap();
    let elsewhere = daemon::session::Sql { name: "elsewhere", ..claim };
    let not_ours = session.backend() + 1;
    let none: (&[i16], &[Option<std::time::SystemTime>]) = (&[5], &[None]);
    let params: [&(dyn ToSql + Sync); 6] =
        [&not_ours, &session.number(), &QUEUE, &1_i64, &none.0, &none.1];
    let trouble = session.rows(elsewhere, &params).await.unwrap_err();
    assert!(trouble.will_not_mend(), "{trouble}");
    assert!(trouble.to_string().contains("not a transaction pooler"), "{trouble}");
    assert_eq!(states(&db).await, "1:pending");
}

/// What somebody kept locked until it was claimed again is asked for twice.
#[tokio::test]
async fn what_is_to_be_skipped_twice_is_skipped_and_said_once() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    let session = session(&db, "collector").await;
    db.execute(&format!(
        "UPDATE tokens SET expires_at = 1;
         UPDATE deliveries SET state = 'dispatched', holder = {}, dispatched_at = now()",
        session.number(),
    ))
    .await
    .unwrap();
    assert!(Queue::new(&session, QUEUE).skip(&[1, 1]).await.unwrap().is_empty());
    assert_eq!(log(&db).await, "1:skipped:the token has expired");
}
