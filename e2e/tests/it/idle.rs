//! Asleep and awake: nothing is asked while there is nothing to do, and no wake-up is lost.

use std::io::{BufRead as _, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use testkit::{Options, Postgres, Running};
use tokio_postgres::{AsyncMessage, NoTls};

use crate::SOON;
use crate::support::sign_up;
use crate::world::{ASLEEP, World, stop, stop_collector};

/// Lines of the server's log that one backend has caused.
fn statements(server: &Postgres, backend: i64) -> Vec<String> {
    let mark = format!("[{backend}] ");
    server.log().lines().filter(|line| line.starts_with(&mark)).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_idle_collector_sends_no_queries() {
    /// Long enough for anything that runs on a timer of a few seconds.
    const WATCHED: Duration = Duration::from_secs(8);
    let options = Options::fast().set("log_statement", "all").set("log_line_prefix", "[%p] ");
    let server = Postgres::start_with(&options).unwrap();
    let world = World::on(&server).await;
    let pipe = world.pipe();
    let pid = "SELECT l.pid FROM pg_locks AS l WHERE l.locktype = 'advisory'
        AND l.classid = 1919905645 AND l.mode = 'ExclusiveLock'";
    world.asleep().await;
    let collector = world.db.query_i64(pid).await.unwrap();
    let sweeps = || {
        let statements = statements(&server, collector);
        statements.iter().filter(|line| line.contains("-- Sweep")).count()
    };
    assert_eq!(sweeps(), 1, "the start sweeps");
    world.db.execute(&sign_up("once", 3)).await.unwrap();
    world.mails(3).await;
    world.settled().await;
    // Within five seconds it makes sure that nothing is held any more, and that is the last of it.
    let while_held = sweeps();
    testkit::eventually(SOON, "the sweep", || sweeps() > while_held);
    world.db.wait_until(ASLEEP, SOON).await.unwrap();
    let before = statements(&server, collector);
    tokio::time::sleep(WATCHED).await;
    let after = statements(&server, collector);
    assert_eq!(after[before.len()..], [] as [String; 0]);

    // It was not dead.
    world.db.execute(&sign_up("twice", 3)).await.unwrap();
    world.mails(6).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(6).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

/// In all, over several collectors at once: each sleeps as often as it can, and its writer strikes
/// as it falls asleep.
const BURSTS: usize = 10_000;
const COLLECTORS: usize = 8;

#[test]
fn ten_thousand_bursts_against_sleepy_collectors_lose_no_wake_up() {
    let notified: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..COLLECTORS).map(|n| scope.spawn(move || storm(n, BURSTS / COLLECTORS))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Neither always awake, nor always asleep in time: the moment in between was hit.
    assert!((BURSTS / 10..BURSTS * 99 / 100).contains(&notified), "{notified} notifications");
}

/// Returns how many notifications there were.
#[tokio::main(flavor = "current_thread")]
async fn storm(seed: usize, bursts: usize) -> usize {
    let world = World::new().await;
    let collector = world
        .collector()
        .env("MAILROOM_BATCH_LIMIT", "1")
        .env("MAILROOM_BATCH_TIMEOUT", "0")
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "86400000")
        .stdout_held()
        .spawn()
        .unwrap();
    let lines = lines(collector.take_stdout().unwrap());
    let (client, mut connection) = tokio_postgres::connect(world.db.url(), NoTls).await.unwrap();
    let (heard, notifications) = channel();
    let drive = async move {
        let next = |cx: &mut std::task::Context<'_>| connection.poll_message(cx);
        let mut next = next;
        while let Some(Ok(message)) = std::future::poll_fn(&mut next).await {
            if let AsyncMessage::Notification(_) = message {
                let _ = heard.send(());
            }
        }
    };
    tokio::spawn(drive);
    client.batch_execute("LISTEN token_insert").await.unwrap();
    world.asleep().await;

    let mut random = fastrand::Rng::with_seed(seed as u64);
    let sql =
        "INSERT INTO accounts (email, login) SELECT $1 || n, $1 || n FROM generate_series(1, $2) n";
    let insert = client.prepare(sql).await.unwrap();
    for burst in 0..bursts {
        let rows: i32 = if random.u8(..) < 200 { 1 } else { random.i32(2..4) };
        let name = format!("storm-{seed}-{burst}@");
        client.execute(&insert, &[&name, &rows]).await.unwrap();
        for _ in 0..rows {
            wait_line(&lines, &collector);
        }
        // Half of the time at once, while the collector is about to sleep; half of the time late
        // enough that it does not find itself too busy for sleep.
        if random.bool() {
            tokio::time::sleep(Duration::from_micros(random.u64(0..50_000))).await;
        }
        // What nobody sends is not this test's.
        if burst % 100 == 99 {
            client
                .batch_execute("DELETE FROM deliveries WHERE state = 'dispatched'")
                .await
                .unwrap();
        }
    }
    stop_collector(&collector);
    world.quiet(&[&collector], &[]).await;
    notifications.try_iter().count()
}

/// With the health check a day away only a wake-up brings it.
fn wait_line(lines: &Receiver<String>, collector: &Running) {
    if lines.recv_timeout(Duration::from_secs(20)).is_err() {
        panic!("a wake-up was lost; the log:\n{}", collector.stderr());
    }
}

fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
