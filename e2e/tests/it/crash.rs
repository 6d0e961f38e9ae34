//! Whatever dies, nothing is lost, and only what was in a call may be repeated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::{Options, Pipeline, Postgres, Proxy, Reply, Ses, Signal};
use tokio::task::JoinHandle;

use crate::SOON;
use crate::audit::secret_of;
use crate::support::sign_up;
use crate::world::{World, stop};

/// "Within seconds".
pub(crate) const SECONDS: Duration = Duration::from_secs(15);
/// "Within a minute".
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A provider that takes its time, so that a crash finds calls under way.
pub(crate) const CALL: Duration = Duration::from_millis(20);

pub(crate) const TOKENS: usize = 600;

/// Signs up [`TOKENS`] accounts, few at a time, in spite of everything.
pub(crate) fn load(world: &Arc<World>) -> JoinHandle<()> {
    let world = world.clone();
    tokio::spawn(async move {
        for n in 0..TOKENS / 5 {
            let sql = sign_up(&format!("load-{n}"), 5);
            // The server may be away; an application tries again. All five or none are there.
            let started = Instant::now();
            while let Err(error) = world.db.execute(&sql).await {
                let there = format!("{error:#}").contains("duplicate key");
                assert!(started.elapsed() < SOON, "{error:#}");
                if there {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
}

/// From now on the provider accepts and does not answer: what a crash in a call leaves. Waits until
/// two calls are under way so, a sender carries two at a time, and all that went before is recorded.
pub(crate) async fn two_calls_hang(world: &World) {
    let hung = Arc::new(AtomicUsize::new(0));
    let count = hung.clone();
    world.ses.script(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Reply::Hang { accept: true }
    });
    let accepted = || {
        let calls = world.ses.calls();
        calls.iter().filter(|c| c.answered.is_none() && !c.accepted.is_empty()).count()
    };
    testkit::eventually(SOON, "two calls are under way, and no others", || {
        hung.load(Ordering::SeqCst) == 2 && accepted() == 2
    });
    let calls = world.ses.calls();
    let in_call: usize =
        calls.iter().filter(|c| c.answered.is_none()).map(|c| c.accepted.len()).sum();
    let sql = format!("SELECT count(*) = {in_call} FROM deliveries WHERE state = 'sending'");
    world.db.wait_until(&sql, SOON).await.unwrap();
}

/// The secrets of all mails whose call has arrived.
pub(crate) fn called(ses: &Ses) -> BTreeSet<String> {
    let calls = ses.calls();
    let entries = calls.iter().flat_map(|call| call.entries.iter());
    entries
        .map(|entry| secret_of(entry.data.as_ref().unwrap()["secret"].as_str().unwrap()))
        .collect()
}

/// The secrets of all tokens that are recorded as sent.
pub(crate) async fn recorded(world: &World) -> BTreeSet<String> {
    let sql = "SELECT encode(secret, 'hex') FROM tokens AS t
        WHERE EXISTS (SELECT FROM delivery_log WHERE token = t.id AND outcome = 'sent')";
    world.db.query_rows(sql).await.unwrap().into_iter().flatten().flatten().collect()
}

/// The rest goes out within seconds, but for what was in a call.
pub(crate) async fn all_settled(world: &World, within: Duration) {
    let settled = "SELECT count(*) = 0 FROM deliveries";
    if let Err(error) = world.db.wait_until(settled, within).await {
        let sql =
            "SELECT state::text, holder::text, dispatches::text, attempts::text, count(*)::text,
                min(due_at - now())::text, max(now() - dispatched_at)::text, now()::text,
                (SELECT array_agg((number, kind, missing_since)::text)::text FROM holders)
            FROM deliveries GROUP BY state, holder, dispatches, attempts";
        panic!("{error:#}; outstanding: {:#?}", world.db.query_rows(sql).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_collector_loses_and_repeats_no_delivery() {
    let world = Arc::new(World::new().await);
    world.ses.script(|_| Reply::Delay(CALL));
    let pipe = world.pipe();
    let load = load(&world);
    world.mails(TOKENS / 4).await;
    pipe.collector.kill().unwrap();
    assert_eq!(pipe.sender.wait(SOON).unwrap(), 0, "{}", pipe.sender.stderr());
    load.await.unwrap();

    let again = world.pipe();
    all_settled(&world, SECONDS).await;
    stop(&again);
    world.each_mailed_once(TOKENS).await;
    // A line that the collector did not finish is discarded.
    world.quiet(&[&pipe.collector, &pipe.sender], &["line_unterminated"]).await;
    world.quiet(&[&again.collector, &again.sender], &["deliveries_released"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_loses_no_delivery_and_repeats_only_what_was_in_a_call() {
    let world = Arc::new(World::new().await);
    world.ses.script(|_| Reply::Delay(CALL));
    let pipe = world.pipe();
    let load = load(&world);
    world.mails(TOKENS / 4).await;
    two_calls_hang(&world).await;
    let in_call = &called(&world.ses) - &recorded(&world).await;
    pipe.sender.kill().unwrap();
    assert_eq!(pipe.collector.wait(SOON).unwrap(), 75, "{}", pipe.collector.stderr());
    load.await.unwrap();

    world.ses.script(|_| Reply::Ok);
    let again = world.pipe();
    let killed = Instant::now();
    let only_in_call = format!("SELECT count(*) = {} FROM deliveries", in_call.len());
    world.db.wait_until(&only_in_call, SECONDS).await.unwrap();
    all_settled(&world, MINUTE.saturating_sub(killed.elapsed())).await;
    stop(&again);
    let repeated = world.mailed(TOKENS, &in_call).await;
    assert_eq!(repeated, in_call, "they were accepted, and nobody could know");
    let ambiguous = "SELECT count(*) FROM delivery_log WHERE outcome = 'ambiguous'";
    let ambiguous = world.db.query_i64(ambiguous).await.unwrap();
    assert_eq!(usize::try_from(ambiguous).unwrap(), in_call.len(), "countable");
    world.quiet(&[&pipe.collector, &pipe.sender], &["reader_gone"]).await;
    world.quiet(&[&again.collector, &again.sender], &["deliveries_released"]).await;
}

/// What complains while PostgreSQL is away, and must.
const AWAY: [&str; 4] =
    ["connection_lost", "connection_failed", "statement_failed", "deliveries_released"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_postgresql_loses_no_delivery_and_the_pipe_lives_on() {
    let server = Postgres::start_with(&Options::fast()).unwrap();
    let world = Arc::new(World::on(&server).await);
    world.ses.script(|_| Reply::Delay(CALL));
    let pipe = world.pipe();
    let load = load(&world);
    world.mails(TOKENS / 4).await;
    let safe = recorded(&world).await;
    server.stop_immediate().unwrap();
    let in_call = &called(&world.ses) - &safe;
    server.start_again().unwrap();
    load.await.unwrap();
    all_settled(&world, MINUTE).await;
    stop(&pipe);
    world.mailed(TOKENS, &in_call).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &AWAY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_everything_crashes_at_once_no_delivery_is_lost() {
    let server = Postgres::start_with(&Options::fast()).unwrap();
    let world = Arc::new(World::on(&server).await);
    world.ses.script(|_| Reply::Delay(CALL));
    let pipe = world.pipe();
    let load = load(&world);
    world.mails(TOKENS / 4).await;
    let before = world.ses.calls().len();
    // These calls come to nothing.
    world.ses.hold();
    world.ses.wait_calls(before + 1, SOON).unwrap();
    let safe = recorded(&world).await;
    server.stop_immediate().unwrap();
    pipe.sender.kill().unwrap();
    pipe.collector.kill().unwrap();
    let in_call = &called(&world.ses) - &safe;
    world.ses.release();
    server.start_again().unwrap();
    load.await.unwrap();

    let again = world.pipe();
    all_settled(&world, MINUTE).await;
    stop(&again);
    world.mailed(TOKENS, &in_call).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[&AWAY[..], &["reader_gone"]].concat()).await;
    world.quiet(&[&again.collector, &again.sender], &["deliveries_released"]).await;
}

#[tokio::test]
async fn a_sender_without_its_database_for_ten_seconds_records_what_it_has_and_repeats_nothing() {
    let world = World::new().await;
    let proxy = Proxy::start(testkit::shared().addr()).unwrap();
    let pipe = Pipeline::spawn(world.collector(), world.sender_through(&proxy)).unwrap();
    world.ses.hold();
    world.db.execute(&sign_up("patient", 60)).await.unwrap();
    world.ses.wait_calls(2, SOON).unwrap();
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    let cut = Instant::now();
    world.ses.release();
    pipe.sender.wait_for_count("event=call_ended", 2, SOON).unwrap();
    assert_eq!(recorded(&world).await.len(), 0);
    // The time is the promise here.
    tokio::time::sleep(Duration::from_secs(10).saturating_sub(cut.elapsed())).await;
    assert_eq!(recorded(&world).await.len(), 0);
    proxy.heal().unwrap();
    all_settled(&world, SOON).await;
    stop(&pipe);
    world.each_mailed_once(60).await;
    let expected = ["connection_lost", "connection_failed", "statement_failed"];
    world.quiet(&[&pipe.collector, &pipe.sender], &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_that_is_asked_to_stop_loses_and_repeats_nothing() {
    let world = Arc::new(World::new().await);
    world.ses.script(|_| Reply::Delay(CALL));
    let load = load(&world);
    let mut stopped = 0;
    // Both halves at once, as a supervisor does; then either alone.
    for (collector, sender) in [(true, true), (true, false), (false, true)] {
        let pipe = world.pipe();
        world.mails(stopped + TOKENS / 8).await;
        if sender {
            pipe.sender.signal(Signal::TERM).unwrap();
        }
        if collector {
            pipe.collector.signal(Signal::TERM).unwrap();
        }
        assert_eq!(pipe.sender.wait(SOON).unwrap(), 0, "{}", pipe.sender.stderr());
        let code = pipe.collector.wait(SOON).unwrap();
        let expected = if collector { 0 } else { 75 };
        assert_eq!(code, expected, "asked to stop, or its reader is gone");
        stopped = world.ses.mail_count();
        // A stop between begin and call gives the mails back.
        let expected = ["reader_gone", "deliveries_released", "line_unfinished", "mails_again"];
        world.quiet(&[&pipe.collector, &pipe.sender], &expected).await;
    }
    load.await.unwrap();
    let pipe = world.pipe();
    all_settled(&world, SECONDS).await;
    stop(&pipe);
    world.each_mailed_once(TOKENS).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["deliveries_released"]).await;
}
