//! What is between the halves, and what stops one of them for a while.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

use testkit::{Pipeline, Process, Reply, Role, Signal, binary};

use crate::SOON;
use crate::audit::mails;
use crate::faults::{ended, left, said, skipped};
use crate::support::sign_up;
use crate::world::{World, stop, stop_collector};

/// Longer than any time-out there is: a call's 20 s, a connection's 30 s.
const STOPPED: Duration = Duration::from_secs(45);

/// Kafka and its like hand out whole lines, more than once, late, in any order, to any consumer.
#[tokio::test]
async fn a_log_in_between_that_repeats_and_reorders_lines_sends_each_mail_once() {
    const TOKENS: usize = 400;
    let world = World::new().await;
    world.ses.script(|_| Reply::Delay(Duration::from_millis(5)));
    let collector = world.collector().spawn().unwrap();
    let consumers = [0, 1].map(|_| world.sender().stdin_held().spawn().unwrap());
    let mut inputs = consumers.each_ref().map(|consumer| consumer.take_stdin().unwrap());
    // All of them full: asleep, it hears of all at once.
    world.asleep().await;
    world.db.execute(&sign_up("logged", TOKENS)).await.unwrap();
    collector.wait_line(TOKENS / 10, SOON).unwrap();

    let mut random = fastrand::Rng::with_seed(7);
    let mut log: Vec<String> = Vec::new();
    for line in collector.lines() {
        let times = random.usize(1..5);
        log.extend(std::iter::repeat_n(line, times));
    }
    random.shuffle(&mut log);
    for line in &log {
        let consumer = random.usize(..2);
        writeln!(inputs[consumer], "{line}").unwrap();
    }
    drop(inputs);
    for consumer in &consumers {
        ended(consumer, 0);
    }
    world.each_mailed_once(TOKENS).await;
    stop_collector(&collector);
    assert!(consumers.iter().all(|consumer| said(consumer, "rows_not_begun") > 0));
    world.quiet(&[&collector, &consumers[0], &consumers[1]], &[]).await;
}

/// The collector hears notifications while it cannot write: one that does not would keep PostgreSQL
/// from clearing its queue, and from vacuuming.
#[tokio::test]
async fn a_reader_that_pauses_is_waited_for_and_holds_nothing_up_in_postgresql() {
    const TOKENS: usize = 1_500;
    let world = World::new().await;
    let collector = world.collector().stdout_held().spawn().unwrap();
    let stdout = collector.take_stdout().unwrap();
    world.db.execute(&sign_up("many", TOKENS)).await.unwrap();
    let stuck = "SELECT count(*) = 1 FROM pg_stat_activity
        WHERE usename = 'mailroom_collector' AND state = 'idle'
          AND datname = current_database() AND state_change < now() - interval '1 second'";
    world.db.wait_until(stuck, SOON).await.unwrap();
    let pending = "SELECT count(*) FROM deliveries WHERE state = 'pending'";
    assert!(world.db.query_i64(pending).await.unwrap() > 500, "the pipe is full");
    // More than two sockets' buffers hold.
    let sql = "SELECT pg_notify(mailroom_channel(), n || repeat('x', 7900))
        FROM generate_series(1, 2500) AS n";
    world.db.execute(sql).await.unwrap();
    let drained = "SELECT wait_event = 'ClientRead' AND backend_xmin IS NULL
        FROM pg_stat_activity WHERE usename = 'mailroom_collector'
          AND datname = current_database() AND state_change < now() - interval '1 second'";
    world.db.wait_until(drained, SOON).await.unwrap();

    // A byte at a time, and then a sender that has nothing but what came that way.
    let sender = world.sender().stdin_held().spawn().unwrap();
    let mut input = sender.take_stdin().unwrap();
    let relay = std::thread::spawn(move || {
        let lines = BufReader::with_capacity(1, stdout).lines();
        for line in lines.map_while(Result::ok) {
            writeln!(input, "{line}").unwrap();
        }
    });
    world.mails(TOKENS).await;
    world.settled().await;
    stop_collector(&collector);
    relay.join().unwrap();
    ended(&sender, 0);
    world.each_mailed_once(TOKENS).await;
    world.quiet(&[&collector, &sender], &[]).await;
}

#[tokio::test]
async fn a_reader_that_goes_in_the_middle_of_a_line_gets_none_of_it() {
    let world = World::new().await;
    world.db.execute(&sign_up("half-read", 40)).await.unwrap();
    let limit = world.collector().env("MAILROOM_BATCH_LIMIT", "40");
    let collector = limit.stdout_held().spawn().unwrap();
    let mut stdout = collector.take_stdout().unwrap();
    stdout.read_exact(&mut [0; 1_000]).unwrap();
    drop(stdout);
    ended(&collector, 75);
    assert_eq!(left(&world).await, "40 pending");
    let pipe = world.pipe();
    world.mails(40).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(40).await;
    world.quiet(&[&collector, &pipe.collector, &pipe.sender], &["reader_gone"]).await;
}

/// Its connections stay, so nobody takes its rows; its answer waits for it.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn a_stopped_sender() {
    let world = World::new().await;
    world.ses.hold();
    let pipe = world.pipe();
    world.asleep().await;
    world.db.execute(&sign_up("in-call", 20)).await.unwrap();
    world.ses.wait_calls(2, SOON).unwrap();
    pipe.sender.signal(Signal::STOP).unwrap();
    world.ses.release();
    world.mails(20).await;
    let in_call: BTreeSet<String> = mails(&world.ses).into_keys().collect();
    world.db.execute(&sign_up("behind", 20)).await.unwrap();
    // The time is the promise.
    tokio::time::sleep(STOPPED).await;
    assert!(left(&world).await.contains("20 sending"));
    pipe.sender.signal(Signal::CONT).unwrap();
    world.settled().await;
    stop(&pipe);
    // The clock may have had its say before the answer was read.
    world.mailed(40, &in_call).await;
    let expected = ["mails_again", "deliveries_released"];
    world.quiet(&[&pipe.collector, &pipe.sender], &expected).await;
}

/// It holds the gate all the time: writers notify it, and do not wait; another pipe does the work.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn a_stopped_collector() {
    let world = World::new().await;
    let pipe = world.pipe();
    world.asleep().await;
    pipe.collector.signal(Signal::STOP).unwrap();
    let another = world.pipe();
    world.db.execute(&sign_up("meanwhile", 20)).await.unwrap();
    world.mails(20).await;
    // The time is the promise.
    tokio::time::sleep(STOPPED).await;
    stop(&another);
    world.db.execute(&sign_up("unheard", 20)).await.unwrap();
    pipe.collector.signal(Signal::CONT).unwrap();
    world.mails(40).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(40).await;
    let processes = [&pipe.collector, &pipe.sender, &another.collector, &another.sender];
    world.quiet(&processes, &[]).await;
}

/// SES's error answers cannot be kept then: a pity, and no more.
#[tokio::test]
async fn a_full_disk_at_the_output_path_is_said_once_and_mail_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    // Seen by the processes of this shell only, and gone with them.
    let mount = format!(
        "mount -t tmpfs -o size=4k none '{path}' && head -c 8192 /dev/zero > '{path}/full' || \
         test -s '{path}/full'"
    );
    let tried = Command::new("unshare").args(["--mount", "sh", "-c", &mount]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        skipped(&format!("no full disk to be had: {tried:?}"));
        return;
    }
    let world = World::new().await;
    world.ses.replies((0..3).map(|_| Reply::error(503, "ServiceUnavailable", "later")));
    let script = format!("{{ {mount}; }} 2>/dev/null && exec \"$0\"");
    let sender = Process::at("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(binary("sender").unwrap())
        .env("MAILROOM_DATABASE_URL", world.db.url_as(Role::Sender))
        .env("MAILROOM_SES_OUTPUT_PATH", &path)
        .env("MAILROOM_SES_RATE", "100000")
        .env("AWS_ENDPOINT_URL", world.ses.url())
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    world.db.execute(&sign_up("kept", 30)).await.unwrap();
    world.mails(30).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(30).await;
    assert_eq!(said(&pipe.sender, "error_response_not_kept"), 1, "{}", pipe.sender.stderr());
    let expected = ["mails_again", "error_response_not_kept"];
    world.quiet(&[&pipe.collector, &pipe.sender], &expected).await;
}
