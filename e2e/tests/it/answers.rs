//! A statement takes effect, and its answer is lost: whoever asked must find out, and nothing may be
//! done twice for it.
//!
//! A lock holds the statement up until the network is out of order in one direction. It
//! commits, and the connection is cut.

use testkit::{Pipeline, Proxy, Reply, Signal};

use crate::SOON;
use crate::faults::{AWAY, left, logged, proxy, together};
use crate::support::sign_up;
use crate::world::{World, stop};

/// A line, and a call, if they are signed up while the collector sleeps.
const TOKENS: usize = 10;

/// Holds up whatever writes to the log.
const LOG: &str = "BEGIN; LOCK TABLE delivery_log IN ACCESS EXCLUSIVE MODE";
/// Holds up whatever reads a token.
const TOKENS_TABLE: &str = "BEGIN; LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE";
/// Holds up whatever waits for a delivery.
const ROWS: &str = "BEGIN; SELECT FROM deliveries FOR UPDATE";

async fn locked(world: &World, lock: &str) -> tokio_postgres::Client {
    let client = world.db.client().await.unwrap();
    client.batch_execute(lock).await.unwrap();
    client
}

/// Lets `statement`, which is held up, take effect and loses its answer.
async fn lose_answer(
    world: &World,
    proxy: &Proxy,
    lock: tokio_postgres::Client,
    statement: &str,
    effect: &str,
) {
    let held_up = format!(
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()
             AND wait_event_type = 'Lock' AND query LIKE '-- {statement}:%'"
    );
    world.db.wait_until(&held_up, SOON).await.unwrap();
    proxy.mute(true).unwrap();
    lock.batch_execute("COMMIT").await.unwrap();
    world.db.wait_until(effect, SOON).await.unwrap();
    proxy.cut().unwrap();
    proxy.heal().unwrap();
}

/// All is mailed once, at the first attempt that counts, and recorded once.
async fn each_mailed_once(world: &World, pipe: &Pipeline, events: &[(&str, usize)]) {
    world.mails(TOKENS).await;
    world.settled().await;
    stop(pipe);
    world.each_mailed_once(TOKENS).await;
    for (outcome, times) in events {
        assert_eq!(logged(world, outcome).await, *times, "{outcome}");
    }
    world.quiet(&[&pipe.collector, &pipe.sender], &[&AWAY[..], &["mails_again"]].concat()).await;
}

/// The rows are ours in the database and we do not know which: never a line, they go back.
#[tokio::main(flavor = "current_thread")]
async fn claim() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    let pipe = Pipeline::spawn(world.collector_through(&proxy), world.sender()).unwrap();
    world.asleep().await;
    pipe.collector.signal(Signal::STOP).unwrap();
    world.db.execute(&sign_up("claimed", TOKENS)).await.unwrap();
    let lock = locked(&world, TOKENS_TABLE).await;
    pipe.collector.signal(Signal::CONT).unwrap();
    let effect = "SELECT count(*) = 10 FROM deliveries WHERE state = 'dispatched'";
    lose_answer(&world, &proxy, lock, "Claim", effect).await;
    pipe.collector.wait_for("event=took_over", SOON).unwrap();
    assert!(pipe.collector.stderr().contains("kept=0 released=10"), "{}", pipe.collector.stderr());
    each_mailed_once(&world, &pipe, &[("sent", TOKENS), ("ambiguous", 0), ("deferred", 0)]).await;
}

/// They were begun and never in a call, so they go back, and the attempt with them.
#[tokio::main(flavor = "current_thread")]
async fn begin() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    let pipe = Pipeline::spawn(world.collector(), world.sender_through(&proxy)).unwrap();
    pipe.sender.wait_for("event=connected", SOON).unwrap();
    world.asleep().await;
    pipe.sender.signal(Signal::STOP).unwrap();
    world.db.execute(&sign_up("begun", TOKENS)).await.unwrap();
    pipe.collector.wait_for("event=batch_emitted", SOON).unwrap();
    let lock = locked(&world, ROWS).await;
    pipe.sender.signal(Signal::CONT).unwrap();
    let effect = "SELECT count(*) = 10 FROM deliveries WHERE state = 'sending'";
    lose_answer(&world, &proxy, lock, "Begin", effect).await;
    pipe.sender.wait_for("event=took_over", SOON).unwrap();
    assert!(pipe.sender.stderr().contains("kept=0 returned=10"), "{}", pipe.sender.stderr());
    each_mailed_once(&world, &pipe, &[("sent", TOKENS), ("ambiguous", 0), ("deferred", 0)]).await;
    let attempts = "SELECT count(*) FROM delivery_log WHERE attempt <> 1";
    assert_eq!(world.db.query_i64(attempts).await.unwrap(), 0);
}

/// Recorded again, it adds nothing: a second `sent` would mean a second mail.
#[tokio::main(flavor = "current_thread")]
async fn settle_sent() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    world.ses.hold();
    let pipe = Pipeline::spawn(world.collector(), world.sender_through(&proxy)).unwrap();
    world.asleep().await;
    world.db.execute(&sign_up("sent", TOKENS)).await.unwrap();
    world.ses.wait_calls(1, SOON).unwrap();
    let lock = locked(&world, LOG).await;
    world.ses.release();
    let effect = "SELECT count(*) = 10 FROM delivery_log WHERE outcome = 'sent'";
    lose_answer(&world, &proxy, lock, "Settle sent", effect).await;
    pipe.sender.wait_for("event=took_over", SOON).unwrap();
    assert_eq!(left(&world).await, "nothing");
    assert_eq!(world.ses.calls().len(), 1);
    each_mailed_once(&world, &pipe, &[("sent", TOKENS), ("ambiguous", 0), ("deferred", 0)]).await;
}

/// Recorded again, it finds the rows pending, or others', and leaves them alone.
#[tokio::main(flavor = "current_thread")]
async fn settle_rest() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    world.ses.hold();
    world.ses.reply(Reply::fail_all("TRANSIENT_FAILURE", "later"));
    let pipe = Pipeline::spawn(world.collector(), world.sender_through(&proxy)).unwrap();
    world.asleep().await;
    world.db.execute(&sign_up("again", TOKENS)).await.unwrap();
    world.ses.wait_calls(1, SOON).unwrap();
    let lock = locked(&world, LOG).await;
    world.ses.release();
    let effect = "SELECT count(*) = 10 FROM delivery_log WHERE outcome = 'deferred'";
    lose_answer(&world, &proxy, lock, "Settle the rest", effect).await;
    pipe.sender.wait_for("event=took_over", SOON).unwrap();
    each_mailed_once(&world, &pipe, &[("sent", TOKENS), ("deferred", TOKENS)]).await;
    let sent = "SELECT count(*) FROM delivery_log WHERE outcome = 'sent' AND attempt = 2";
    assert_eq!(world.db.query_i64(sent).await.unwrap(), 10);
}

/// The rows belong to a session that has not worked, and dies: the next one takes over from it, too.
const TAKEN_OVER: &str = "SELECT count(*) = 10 FROM deliveries
    WHERE holder = (SELECT max(number) FROM holders)";

/// Lines on their way stay the collector's.
#[tokio::main(flavor = "current_thread")]
async fn relabel_of_the_collector() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    let pipe = Pipeline::spawn(world.collector_through(&proxy), world.sender()).unwrap();
    pipe.sender.wait_for("event=connected", SOON).unwrap();
    world.asleep().await;
    pipe.sender.signal(Signal::STOP).unwrap();
    world.db.execute(&sign_up("on-the-way", TOKENS)).await.unwrap();
    pipe.collector.wait_for("event=batch_emitted", SOON).unwrap();
    let lock = locked(&world, ROWS).await;
    proxy.cut().unwrap();
    lose_answer(&world, &proxy, lock, "Relabel", TAKEN_OVER).await;
    let last = pipe.collector.wait_for_count("event=took_over", 2, SOON).unwrap();
    assert!(last.contains("kept=10 released=0"), "{}", pipe.collector.stderr());
    assert_eq!(left(&world).await, "10 dispatched");
    pipe.sender.signal(Signal::CONT).unwrap();
    each_mailed_once(&world, &pipe, &[("sent", TOKENS), ("ambiguous", 0), ("deferred", 0)]).await;
}

/// Rows in a call stay the sender's.
#[tokio::main(flavor = "current_thread")]
async fn relabel_of_the_sender() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    world.ses.hold();
    let pipe = Pipeline::spawn(world.collector(), world.sender_through(&proxy)).unwrap();
    world.asleep().await;
    world.db.execute(&sign_up("in-call", TOKENS)).await.unwrap();
    world.ses.wait_calls(1, SOON).unwrap();
    let lock = locked(&world, ROWS).await;
    proxy.cut().unwrap();
    lose_answer(&world, &proxy, lock, "Relabel", TAKEN_OVER).await;
    let last = pipe.sender.wait_for_count("event=took_over", 2, SOON).unwrap();
    assert!(last.contains("kept=10 returned=0"), "{}", pipe.sender.stderr());
    assert_eq!(left(&world).await, "10 sending");
    world.ses.release();
    each_mailed_once(&world, &pipe, &[("sent", TOKENS), ("ambiguous", 0), ("deferred", 0)]).await;
    assert_eq!(world.ses.calls().len(), 1);
}

#[test]
fn a_statement_whose_answer_is_lost_loses_and_repeats_nothing() {
    together(&[
        ("claim", claim),
        ("begin", begin),
        ("settle sent", settle_sent),
        ("settle rest", settle_rest),
        ("relabel, collector", relabel_of_the_collector),
        ("relabel, sender", relabel_of_the_sender),
    ]);
}
