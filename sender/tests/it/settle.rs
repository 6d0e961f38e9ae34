//! Settle: success is a fact, everything else is ours to say only while the row is ours.

use std::time::Duration;

use daemon::session::Session;
use sender::deliveries::{Settlement, settle};
use sender::retry::Next;
use testkit::Database;

use crate::support::{SOON, begun, log, on_their_way, session, states};

fn sent(token: i64) -> Settlement {
    Settlement { token, attempt: 1, next: Next::Sent { provider_id: format!("id-{token}") } }
}

fn again(token: i64, word: &'static str, seconds: u64, counted: bool) -> Settlement {
    let reason = format!("reason {token}");
    let after = Duration::from_secs(seconds);
    Settlement { token, attempt: 1, next: Next::Again { after, counted, word, reason } }
}

fn failed(token: i64) -> Settlement {
    Settlement { token, attempt: 1, next: Next::Failed { reason: format!("reason {token}") } }
}

async fn record(session: &Session, settlements: &[Settlement]) {
    settle(session, &[session.number()], "ses", settlements).await.unwrap();
}

#[tokio::test]
async fn each_mail_of_a_call_ends_as_its_answer_says() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 5).await;
    let session = session(&db).await;
    begun(&session, &[1, 2, 3, 4, 5]).await;
    let results = [
        sent(1),
        again(2, "deferred", 60, true),
        again(3, "throttled", 60, false),
        again(4, "ambiguous", 60, true),
        failed(5),
    ];
    record(&session, &results).await;
    assert_eq!(states(&db).await, "2:pending:1 3:pending:0 4:pending:1");
    assert_eq!(
        log(&db).await,
        "1:1:sent:id-1; 2:1:deferred:reason 2; 3:1:throttled:reason 3; 4:1:ambiguous:reason 4; \
         5:1:failed:reason 5"
    );
    let due = "SELECT bool_and(due_at > now() + interval '50 s') FROM deliveries";
    assert_eq!(db.query_text(&format!("SELECT ({due})::text")).await.unwrap(), "true");
    let ambiguous = "SELECT sum(ambiguities) FROM deliveries WHERE token = 4";
    assert_eq!(db.query_i64(ambiguous).await.unwrap(), 1);
}

#[tokio::test]
async fn success_wins_in_whatever_state_the_row_is_and_even_if_it_is_gone() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 4).await;
    let session = session(&db).await;
    begun(&session, &[1, 2, 3, 4]).await;
    db.execute(
        "UPDATE deliveries SET state = 'pending', holder = NULL WHERE token = 1;
         UPDATE deliveries SET holder = holder + 1 WHERE token = 2;
         DELETE FROM deliveries WHERE token = 3;
         DELETE FROM accounts WHERE id = 4;",
    )
    .await
    .unwrap();
    record(&session, &[sent(1), sent(2), sent(3), sent(4)]).await;
    assert_eq!(states(&db).await, "");
    assert_eq!(log(&db).await, "1:1:sent:id-1; 2:1:sent:id-2; 3:1:sent:id-3; 4:1:sent:id-4");
}

#[tokio::test]
async fn a_result_recorded_again_after_a_lost_answer_adds_nothing() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 1).await;
    let session = session(&db).await;
    begun(&session, &[1]).await;
    record(&session, &[sent(1)]).await;
    record(&session, &[sent(1)]).await;
    assert_eq!(log(&db).await, "1:1:sent:id-1");
    let second = Settlement { next: Next::Sent { provider_id: "other".to_owned() }, ..sent(1) };
    record(&session, &[second]).await;
    assert_eq!(log(&db).await, "1:1:sent:id-1; 1:1:sent:other", "a duplicate is visible");
}

/// The words of one mail are refused (PostgreSQL stores no NUL) after another's result is recorded.
#[tokio::test]
async fn words_that_cannot_be_stored_make_no_second_sent_row() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 2).await;
    let session = session(&db).await;
    begun(&session, &[1, 2]).await;
    let refused = Next::Failed { reason: "a\0b".to_owned() };
    let mut results = [sent(1), Settlement { token: 2, attempt: 1, next: refused }];
    let numbers = [session.number()];
    let trouble = settle(&session, &numbers, "ses", &results).await.unwrap_err();
    assert!(trouble.is_broken(), "{trouble}");
    results.iter_mut().for_each(Settlement::without_words);
    record(&session, &results).await;
    assert_eq!(log(&db).await, "1:1:sent:id-1; 2:1:failed:(the words could not be stored)");
}

#[tokio::test]
async fn a_row_that_is_no_longer_ours_is_left_alone() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 3).await;
    let session = session(&db).await;
    begun(&session, &[1, 2, 3]).await;
    db.execute(
        "UPDATE deliveries SET holder = holder + 1 WHERE token = 1;
         UPDATE deliveries SET state = 'dispatched' WHERE token = 2;",
    )
    .await
    .unwrap();
    let results = [again(1, "deferred", 60, true), failed(2), failed(3)];
    record(&session, &results).await;
    assert_eq!(states(&db).await, "1:sending:1 2:dispatched:1");
    assert_eq!(log(&db).await, "3:1:failed:reason 3");
}

#[tokio::test]
async fn a_deferred_mail_wakes_a_sleeping_collector() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 1).await;
    let sender = session(&db).await;
    begun(&sender, &[1]).await;
    let target = daemon::postgres::Target::from_env(&db.url_as(testkit::Role::Sender)).unwrap();
    let identity = daemon::session::Identity { kind: "collector", version: "test", durable: false };
    let sleeper = Session::open(&target, &identity, Some("token_insert")).await.unwrap();
    db.execute("SELECT 1").await.unwrap();
    let arm = daemon::session::Sql {
        name: "arm",
        text: "SELECT pg_advisory_lock(mailroom_gate_class(), mailroom_gate('mailroom'))::text",
    };
    sleeper.one(arm, &[]).await.unwrap();
    record(&sender, &[again(1, "deferred", 5, true)]).await;
    tokio::time::timeout(SOON, sleeper.notified()).await.unwrap();
}
