//! Whatever commits is mailed, or its row says why not.

use std::io::Write as _;

use crate::SOON;
use crate::support::{recovery, sign_up};
use crate::world::{World, stop, stop_collector};

#[tokio::test]
async fn a_thousand_accounts_in_one_statement_are_a_thousand_mails() {
    let world = World::new().await;
    let pipe = world.pipe();
    world.asleep().await;
    world.db.execute(&sign_up("bulk", 1000)).await.unwrap();
    world.mails(1000).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(1000).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn a_token_that_commits_after_a_later_one_is_mailed_without_other_traffic() {
    let world = World::new().await;
    let pipe = world.pipe();
    world.asleep().await;
    let slow = world.db.client().await.unwrap();
    slow.batch_execute(&format!("BEGIN; {}", sign_up("first", 3))).await.unwrap();
    world.db.execute(&sign_up("second", 3)).await.unwrap();
    world.mails(3).await;
    world.asleep().await;

    slow.batch_execute("COMMIT").await.unwrap();
    world.mails(6).await;
    world.settled().await;
    let cursor = "SELECT last_seq = (SELECT max(id) FROM tokens) FROM jobs";
    world.db.wait_until(cursor, SOON).await.unwrap();
    stop(&pipe);
    world.each_mailed_once(6).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn a_transaction_that_was_open_while_the_collector_started_is_mailed() {
    let world = World::new().await;
    let slow = world.db.client().await.unwrap();
    slow.batch_execute(&format!("BEGIN; {}", sign_up("open", 1))).await.unwrap();
    // It has passed the gate silently, so until it ends the collector cannot sleep.
    let pipe = world.pipe();
    world.db.execute(&sign_up("other", 1)).await.unwrap();
    world.mails(1).await;
    slow.batch_execute("COMMIT").await.unwrap();
    world.mails(2).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(2).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn an_account_that_is_there_already_makes_no_token() {
    let world = World::new().await;
    let pipe = world.pipe();
    let insert = "INSERT INTO accounts (email, login) VALUES ('ada@mail.example', 'ada-lovelace')
        ON CONFLICT DO NOTHING";
    assert_eq!(world.db.execute(insert).await.unwrap(), 1);
    assert_eq!(world.db.execute(insert).await.unwrap(), 0);
    let mixed = "INSERT INTO accounts (email, login)
        VALUES ('ada@mail.example', 'ada-again'), ('grace@mail.example', 'grace-hopper')
        ON CONFLICT (email) DO NOTHING";
    assert_eq!(world.db.execute(mixed).await.unwrap(), 1);
    world.mails(2).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(2).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn a_suspended_account_is_skipped_until_the_suspension_is_lifted() {
    let world = World::new().await;
    world.db.execute(&sign_up("member", 5)).await.unwrap();
    let suspend = "UPDATE accounts SET status = 'suspended' WHERE login = 'member-login-3'";
    world.db.execute(suspend).await.unwrap();
    let pipe = world.pipe();
    world.settled().await;
    assert_eq!(world.ses.mail_count(), 4, "in nobody's way");
    assert_eq!(outcome(&world, "member-3").await, "skipped: the account is suspended");

    let lift = "UPDATE accounts SET status = 'active' WHERE login = 'member-login-3'";
    world.db.execute(lift).await.unwrap();
    world.mails(5).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(5).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn a_dead_token_is_never_mailed_and_its_row_says_why() {
    let world = World::new().await;
    let spoil = |name: &str, how: &str| format!("BEGIN; {} {how}; COMMIT", sign_up(name, 1));
    let token = "id = (SELECT max(id) FROM tokens)";
    for (name, how) in [
        ("late", format!("UPDATE tokens SET expires_at = 1 WHERE {token}")),
        ("used", format!("UPDATE tokens SET consumed_at = 1 WHERE {token}")),
        ("taken", "UPDATE accounts SET status = 'active' WHERE login = 'taken-login-1'".to_owned()),
        ("gone", "DELETE FROM accounts WHERE login = 'gone-login-1'".to_owned()),
    ] {
        world.db.execute(&spoil(name, &how)).await.unwrap();
    }
    let deleted = world.db.query_i64("SELECT max(token) FROM deliveries").await.unwrap();
    world.db.execute(&sign_up("alive", 1)).await.unwrap();
    world.db.execute(&recovery("forgetful")).await.unwrap();
    let unready = "UPDATE accounts SET status = 'provisioned' WHERE login = 'forgetful-login'";
    world.db.execute(unready).await.unwrap();

    let pipe = world.pipe();
    world.settled().await;
    stop(&pipe);
    let mails = world.ses.mails();
    assert_eq!(mails.iter().map(|mail| &mail.to).collect::<Vec<_>>(), ["alive-1@mail.example"]);
    assert_eq!(outcome(&world, "late-1").await, "skipped: the token has expired");
    assert_eq!(outcome(&world, "used-1").await, "skipped: the token was used already");
    assert_eq!(outcome(&world, "taken-1").await, "skipped: the account is active");
    assert_eq!(outcome(&world, "forgetful").await, "skipped: the account is provisioned");
    let sql = format!("SELECT detail FROM delivery_log WHERE token = {deleted}");
    assert_eq!(world.db.query_text(&sql).await.unwrap(), "the token was deleted");
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

/// Between the two halves a line may wait for long. The test stands in for the pipe.
#[tokio::test]
async fn what_changes_while_a_line_is_on_its_way_is_seen_before_it_is_sent() {
    let world = World::new().await;
    world.db.execute(&sign_up("member", 5)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    let sender = world.sender().stdin_held().spawn().unwrap();
    let mut stdin = sender.take_stdin().unwrap();
    let line = collector.wait_line(1, SOON).unwrap();
    let change = |how: &str, n: u32| format!("{how} = 'member-login-{n}'");
    let of = "FROM accounts AS a WHERE a.id = account AND login";
    for sql in [
        change("UPDATE accounts SET email = 'new@mail.example' WHERE login", 1),
        change("UPDATE accounts SET status = 'suspended' WHERE login", 2),
        change(&format!("UPDATE tokens SET expires_at = 1 {of}"), 3),
        change("DELETE FROM accounts WHERE login", 4),
    ] {
        assert_eq!(world.db.execute(&sql).await.unwrap(), 1, "{sql}");
    }
    writeln!(stdin, "{line}").unwrap();

    // One goes back and comes again with the new address, one is found to be suspended.
    let line = collector.wait_line(2, SOON).unwrap();
    assert!(line.starts_with("1,new@mail.example,member-login-1,"), "{line}");
    writeln!(stdin, "{line}").unwrap();
    world.mails(2).await;
    let rest = "SELECT count(*) = 1 FROM deliveries";
    world.db.wait_until(rest, SOON).await.unwrap();
    stop_collector(&collector);
    drop(stdin);
    assert_eq!(sender.wait(SOON).unwrap(), 0);

    let mut mailed: Vec<String> = world.ses.mails().into_iter().map(|mail| mail.to).collect();
    mailed.sort();
    assert_eq!(mailed, ["member-5@mail.example", "new@mail.example"]);
    assert_eq!(outcome(&world, "member-2").await, "skipped: the account is suspended");
    assert_eq!(outcome(&world, "member-3").await, "skipped: the token has expired");

    // Whose token was deleted on the way: nobody begins it, and the next pipe finds out.
    let pipe = world.pipe();
    world.settled().await;
    stop(&pipe);
    let gone = "SELECT count(*) FROM delivery_log AS l WHERE outcome IN ('skipped', 'unconfirmed')
        AND NOT EXISTS (SELECT FROM tokens WHERE id = l.token)";
    assert_eq!(world.db.query_i64(gone).await.unwrap(), 1);
    let processes = [&collector, &sender, &pipe.collector, &pipe.sender];
    world.quiet(&processes, &["deliveries_released"]).await;
}

/// `outcome: detail` of the last event of the account's token.
async fn outcome(world: &World, name: &str) -> String {
    let sql = format!(
        "SELECT s.state || ': ' || s.detail FROM delivery_status AS s
         JOIN accounts AS a ON a.id = s.account WHERE a.email = '{name}@mail.example'"
    );
    world.db.query_text(&sql).await.unwrap()
}
