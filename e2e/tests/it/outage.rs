//! PostgreSQL is away, full, or takes no writes: both halves stay up, say so without flooding the log,
//! and go on by themselves.

use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Options, Pipeline, Postgres, Running};

use crate::SOON;
use crate::faults::{AWAY, claim_and_settle_held_up, left, logged, proxy, said};
use crate::support::sign_up;
use crate::world::{World, stop};

const OUTAGE: Duration = Duration::from_secs(60);
/// From its return until new mail is accepted.
const BACK: Duration = Duration::from_secs(15);

fn fast() -> Postgres {
    Postgres::start_with(&Options::fast()).unwrap()
}

/// It has lost its connection once, and did not say so more often than it promises.
fn complained_rarely(process: &Running) {
    let log = process.stderr();
    assert_eq!(said(process, "connection_lost"), 1, "{log}");
    assert!((1..=2).contains(&said(process, "connection_failed")), "{log}");
    assert!(said(process, "statement_failed") <= 1, "{log}");
}

/// Results in hand are recorded before anything new begins, and nothing accepted is sent again.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn a_minute_without_postgresql() {
    let server = fast();
    let world = World::on(&server).await;
    let pipe = world.pipe();
    world.ses.hold();
    world.asleep().await;
    world.db.execute(&sign_up("before", 20)).await.unwrap();
    world.ses.wait_calls(2, SOON).unwrap();
    server.stop_immediate().unwrap();
    let down = Instant::now();
    // Accepted and answered while there is nowhere to record it.
    world.ses.release();
    pipe.sender.wait_for_count("event=call_ended", 2, SOON).unwrap();
    assert_eq!(world.ses.mail_count(), 20);
    // The time is the promise.
    tokio::time::sleep(OUTAGE.saturating_sub(down.elapsed())).await;
    assert!(pipe.collector.is_running().unwrap() && pipe.sender.is_running().unwrap());

    world.ses.hold();
    server.start_again().unwrap();
    let back = Instant::now();
    world.db.execute(&sign_up("after", 10)).await.unwrap();
    world.ses.wait_calls(3, BACK).unwrap();
    assert_eq!(logged(&world, "sent").await, 20, "results in hand come before anything new");
    world.ses.release();
    world.ses.wait_mails(30, BACK.saturating_sub(back.elapsed())).unwrap();
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(30).await;
    // However many calls the new ones took: it may have come back while they were signed up.
    let called: usize = world.ses.calls().iter().map(|call| call.entries.len()).sum();
    assert_eq!(called, 30, "none is in two calls");
    complained_rarely(&pipe.collector);
    complained_rarely(&pipe.sender);
    world.quiet(&[&pipe.collector, &pipe.sender], &AWAY).await;
}

/// The processes of a server: its own and its backends'.
fn processes(server: &Postgres) -> String {
    let postmaster = server.pid().unwrap();
    let children = format!("/proc/{postmaster}/task/{postmaster}/children");
    format!("{postmaster} {}", std::fs::read_to_string(children).unwrap())
}

fn signal(processes: &str, signal: &str) {
    let script = format!("kill -{signal} {processes}");
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// A machine that is paused, a disk that stalls: connections stay, and nobody answers. What is in
/// flight is given up after a minute, and its session ended for good before anything is done again.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn a_frozen_server() {
    const STATEMENT: Duration = Duration::from_secs(65);
    let server = fast();
    let world = World::on(&server).await;
    let pipe = world.pipe();
    world.asleep().await;
    let lock = claim_and_settle_held_up(&world, &pipe).await;
    let frozen = processes(&server);
    signal(&frozen, "STOP");
    let since = Instant::now();
    for process in [&pipe.collector, &pipe.sender] {
        let left = STATEMENT.saturating_sub(since.elapsed());
        let lost = process.wait_for("event=connection_failed", left + SOON).unwrap();
        assert!(process.is_running().unwrap(), "{lost}");
    }
    assert_eq!(world.ses.mail_count(), 10);
    signal(&frozen, "CONT");
    lock.batch_execute("COMMIT").await.unwrap();
    world.ses.wait_mails(20, BACK).unwrap();
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(20).await;
    complained_rarely(&pipe.collector);
    complained_rarely(&pipe.sender);
    world.quiet(&[&pipe.collector, &pipe.sender], &AWAY).await;
}

/// Others took the connections that it had.
#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() {
    let options = Options::fast().set("max_connections", "15").set("log_line_prefix", "%u ");
    let server = Postgres::start_with(&options).unwrap();
    let world = World::on(&server).await;
    let (proxy, sign_up_one) = (proxy(&server), |name: &str| sign_up(name, 1));
    let pipe =
        Pipeline::spawn(world.collector_through(&proxy), world.sender_through(&proxy)).unwrap();
    world.db.execute(&sign_up_one("before")).await.unwrap();
    world.mails(1).await;
    world.settled().await;
    // Their new connections get no further than the proxy until the last slot is taken.
    proxy.black_hole(true);
    proxy.cut().unwrap();
    let gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename LIKE 'mailroom%'";
    world.db.wait_until(gone, SOON).await.unwrap();
    let mut others = Vec::new();
    let full = loop {
        match world.db.client().await {
            Ok(client) => others.push(client),
            Err(error) => break format!("{error:#}"),
        }
    };
    assert!(full.contains("too many clients"), "{full}");
    proxy.black_hole(false);
    for half in ["collector", "sender"] {
        let refusal = format!("mailroom_{half} FATAL:  sorry, too many clients already");
        testkit::eventually(SOON, &refusal, || server.log().contains(&refusal));
    }
    for process in [&pipe.collector, &pipe.sender] {
        process.wait_for("event=connection_failed", SOON).unwrap();
    }
    world.db.execute(&sign_up_one("meanwhile")).await.unwrap();
    drop(others);
    world.db.wait_until("SELECT count(*) = 0 FROM deliveries", BACK).await.unwrap();
    stop(&pipe);
    world.each_mailed_once(2).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &AWAY).await;
}

/// As after a failover to a standby that is promoted later, or when a disk is nearly full.
#[tokio::test]
async fn a_server_that_takes_no_writes_for_a_while_is_waited_for() {
    let server = fast();
    let world = World::on(&server).await;
    let operator = world.db.client().await.unwrap();
    operator.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    let pipe = world.pipe();
    world.ses.hold();
    world.db.execute(&sign_up("before", 10)).await.unwrap();
    // In one call or two: a claim that starts while they are written finds the first of them.
    let begun = "SELECT count(*) = 10 FROM deliveries WHERE state = 'sending'";
    world.db.wait_until(begun, SOON).await.unwrap();

    operator.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    operator.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let read_only = "SELECT current_setting('transaction_read_only')::boolean";
    world.db.wait_until(read_only, SOON).await.unwrap();
    operator.batch_execute(&sign_up("meanwhile", 10)).await.unwrap();
    world.ses.release();
    for process in [&pipe.collector, &pipe.sender] {
        process.wait_for("event=connection_failed", SOON).unwrap();
        let log = process.stderr();
        assert!(log.contains("25006"), "{log}");
        assert!(process.is_running().unwrap());
    }
    assert_eq!(left(&world).await, "10 pending, 10 sending");

    operator.batch_execute("ALTER SYSTEM RESET default_transaction_read_only").await.unwrap();
    operator.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    world.ses.wait_mails(20, BACK).unwrap();
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(20).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &AWAY).await;
}

/// Whatever the server is set to, before or meanwhile, a result counts when it is durable; what was only
/// claimed and begun can be done again, so nobody waits for that. A standby that is to confirm what is
/// durable, and is away, makes it visible.
#[tokio::test]
async fn a_mail_goes_out_without_waiting_for_a_standby_and_its_result_waits() {
    let server = fast();
    for off in ["meanwhile", "before"] {
        let world = World::on(&server).await;
        let pipe = world.pipe();
        world.asleep().await;
        pipe.sender.wait_for("event=connected", SOON).unwrap();
        world.db.execute("ALTER SYSTEM SET synchronous_commit = off").await.unwrap();
        world.db.await_standby(true).await.unwrap();

        world.db.execute(&sign_up(off, 10)).await.unwrap();
        world.ses.wait_mails(10, SOON).unwrap();
        let waiting = "SELECT string_agg(DISTINCT application_name, ' ') = 'mailroom-sender'
            FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        world.db.wait_until(waiting, SOON).await.unwrap();
        assert_eq!(left(&world).await, "10 sending");

        world.db.await_standby(false).await.unwrap();
        world.settled().await;
        stop(&pipe);
        world.each_mailed_once(10).await;
        world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
    }
}
