//! Begin: the one place where duplicates and dead links die.

use sender::deliveries::{self, ALL};
use testkit::Database;

use crate::support::{
    AMBIGUITIES_MAX, MARGIN_SECONDS, SOON, begin, begun, log, on_their_way, planned, session,
    states,
};

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let db = Database::fresh().await.unwrap();
    session(&db).await.prepare(&ALL).await.unwrap();
}

#[tokio::test]
async fn begins_a_line_once_and_counts_the_attempt() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 3).await;
    let session = session(&db).await;
    let first = begin(&session, &[3, 1]).await;
    let told: Vec<_> = first.iter().map(|b| (b.place, b.token, b.attempt, b.ambiguities)).collect();
    assert_eq!(told, [(0, 3, 1, 0), (1, 1, 1, 0)]);
    assert_eq!(begun(&session, &[3, 1, 2, 2]).await, [2], "what was begun is not begun again");
    assert!(begun(&session, &[1, 2, 3]).await.is_empty());
    assert_eq!(states(&db).await, "1:sending:1 2:sending:1 3:sending:1");
}

#[tokio::test]
async fn what_a_template_may_want_to_know_comes_with_the_row() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 2).await;
    db.execute(
        "UPDATE accounts SET locale = 'pt-BR' WHERE id = 1;
         UPDATE tokens SET expires_at = 4102444800, data = '{\"team\": {\"name\": \"Ops\"}}' WHERE id = 1",
    )
    .await
    .unwrap();
    let begun = begin(&session(&db).await, &[1, 2]).await;
    let details = &begun[0].details;
    assert_eq!((details.label.as_str(), details.locale.as_deref()), ("activation", Some("pt-BR")));
    assert_eq!(details.data.as_deref(), Some(r#"{"team": {"name": "Ops"}}"#));
    assert_eq!(details.expires_at, Some(4_102_444_800));
    assert!(begun[1].details.locale.is_none() && begun[1].details.data.is_none());
    assert_eq!(format!("{details:?}"), "Details(..)");
}

#[tokio::test]
async fn data_of_a_token_is_a_small_object_or_nothing() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 1).await;
    for data in ["'[1]'", "'\"text\"'", "jsonb_build_object('x', repeat('y', 4090))"] {
        let refused = db.execute(&format!("UPDATE tokens SET data = {data}")).await.unwrap_err();
        assert!(format!("{refused:#}").contains("data_of_a_token_is_an_object"), "{refused:#}");
    }
    db.execute("UPDATE tokens SET data = '{}'").await.unwrap();
}

#[tokio::test]
async fn two_senders_fed_the_same_line_share_it() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 200).await;
    let (one, two) = (session(&db).await, session(&db).await);
    let tokens: Vec<u8> = (1..=200).collect();
    let (mut first, second) = tokio::join!(begun(&one, &tokens), begun(&two, &tokens));
    first.extend(second);
    first.sort_unstable();
    assert_eq!(first, (1..=200).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_dead_link_is_not_sent_and_says_why() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 5).await;
    db.execute(&format!(
        "UPDATE tokens SET expires_at = 1 WHERE id = 1;
         UPDATE tokens SET consumed_at = 1 WHERE id = 2;
         UPDATE tokens SET expires_at = extract(epoch FROM now()) + {MARGIN_SECONDS} - 1 WHERE id = 3;
         UPDATE deliveries SET ambiguities = {AMBIGUITIES_MAX} WHERE token = 4;"
    ))
    .await
    .unwrap();
    let session = session(&db).await;
    assert_eq!(begun(&session, &[1, 2, 3, 4, 5]).await, [5]);
    assert_eq!(
        log(&db).await,
        "1:0:skipped:the token has expired; 2:0:skipped:the token was used already; \
         3:0:skipped:the token would have expired during the call; \
         4:0:failed:attempts used up: none was answered"
    );
    assert_eq!(states(&db).await, "5:sending:1");
}

#[tokio::test]
async fn another_address_status_or_action_is_not_sent_but_looked_at_again() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 4).await;
    db.execute(
        "UPDATE accounts SET email = 'new@example.com' WHERE id = 1;
         UPDATE accounts SET status = 'suspended' WHERE id = 2;
         DELETE FROM accounts WHERE id = 3;
         UPDATE tokens SET action = 'password_recovery' WHERE id = 4;
         LISTEN token_insert",
    )
    .await
    .unwrap();
    let session = session(&db).await;
    assert!(begun(&session, &[1, 2, 3, 4]).await.is_empty());
    assert_eq!(states(&db).await, "1:pending:0 2:pending:0 3:dispatched:0 4:dispatched:0");
    assert_eq!(log(&db).await, "");
}

/// They are ours from then on, and nobody else can take them back from us.
#[tokio::test]
async fn what_was_begun_is_sent_even_if_the_rest_cannot_be_dealt_with() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 2).await;
    db.execute(
        "UPDATE tokens SET consumed_at = 1 WHERE id = 1;
         CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE check_violation; END';
         CREATE TRIGGER refused BEFORE INSERT ON delivery_log FOR EACH ROW EXECUTE FUNCTION refused()",
    )
    .await
    .unwrap();
    let session = session(&db).await;
    assert_eq!(begun(&session, &[1, 2]).await, [2]);
    assert_eq!(states(&db).await, "1:dispatched:0 2:sending:1");
}

#[tokio::test]
async fn a_released_row_may_begin_from_an_old_line_when_it_is_due() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 2).await;
    db.execute(
        "UPDATE deliveries SET state = 'pending', holder = NULL;
         UPDATE deliveries SET due_at = now() + interval '1 minute' WHERE token = 2;",
    )
    .await
    .unwrap();
    let session = session(&db).await;
    assert_eq!(begun(&session, &[1, 2]).await, [1]);
    assert_eq!(states(&db).await, "1:sending:1 2:pending:0");
}

/// What is passed over here is not seen again for a minute.
#[tokio::test]
async fn a_row_that_somebody_locks_for_a_moment_is_waited_for() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 2).await;
    let other = db.client().await.unwrap();
    other.batch_execute("BEGIN; SELECT FROM deliveries WHERE token = 1 FOR UPDATE").await.unwrap();
    let session = session(&db).await;
    let unlock = async {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND datname = current_database())";
        db.wait_until(waits, SOON).await.unwrap();
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (begun, ()) = tokio::join!(begun(&session, &[1, 2]), unlock);
    assert_eq!(begun, [1, 2]);
}

#[tokio::test]
async fn after_a_reconnect_calls_under_way_are_kept_and_the_rest_goes_back() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 3).await;
    let old = session(&db).await;
    assert_eq!(begun(&old, &[1, 2]).await, [1, 2]);
    let number = old.number();
    let new = session(&db).await;
    assert!(new.fence(old.former()).await.unwrap());
    assert_eq!(deliveries::relabel(&new, number, &[1, 3]).await.unwrap(), (1, 1));
    assert_eq!(states(&db).await, "1:sending:1 2:pending:0 3:dispatched:0");
    let held = format!("SELECT count(*) FROM deliveries WHERE holder = {}", new.number());
    assert_eq!(db.query_i64(&held).await.unwrap(), 1);
}

#[tokio::test]
async fn an_action_beyond_the_column_begins_nothing() {
    let db = Database::fresh().await.unwrap();
    on_their_way(&db, 1).await;
    let session = session(&db).await;
    let mut planned = planned(&[1]);
    planned.action = mailroom::ActionNumber::new(32767).unwrap();
    let begun = deliveries::begin(&session, &planned, MARGIN_SECONDS, AMBIGUITIES_MAX);
    assert!(begun.await.unwrap().is_empty());
}
