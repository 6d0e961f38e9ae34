//! What the tests of faults share.

use testkit::{Pipeline, Postgres, Proxy, Running, Signal};

use crate::SOON;
use crate::support::sign_up;
use crate::world::World;

/// What complains while PostgreSQL is away, and must.
pub(crate) const AWAY: [&str; 4] =
    ["connection_lost", "connection_failed", "statement_failed", "deliveries_released"];

/// Runs scenarios side by side, each in a thread that is called what the scenario is called.
pub(crate) fn together(scenarios: &[(&'static str, fn())]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let start = |&(name, run): &(&'static str, fn())| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            (name, thread.spawn_scoped(scope, run).unwrap())
        };
        let threads: Vec<_> = scenarios.iter().map(start).collect();
        let failed = |(name, thread): (&'static str, std::thread::ScopedJoinHandle<'_, ()>)| {
            thread.join().is_err().then_some(name)
        };
        threads.into_iter().filter_map(failed).collect()
    });
    assert!(failed.is_empty(), "{failed:?} failed, see above");
}

/// Says aloud that a test has not run, past the harness, which keeps what a passing test prints.
pub(crate) fn skipped(why: &str) {
    use std::io::Write as _;
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {why}").unwrap();
}

/// In front of a server.
pub(crate) fn proxy(server: &Postgres) -> Proxy {
    Proxy::start(server.addr()).unwrap()
}

/// It ended with this exit code.
pub(crate) fn ended(process: &Running, code: i32) {
    assert_eq!(process.wait(SOON).unwrap(), code, "{}", process.stderr());
}

/// How many deliveries are in each state.
pub(crate) async fn left(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(n || ' ' || state, ', ' ORDER BY state), 'nothing')
        FROM (SELECT state::text, count(*) AS n FROM deliveries GROUP BY state) AS s";
    world.db.query_text(sql).await.unwrap()
}

/// How many events of this kind the log of deliveries has.
pub(crate) async fn logged(world: &World, outcome: &str) -> usize {
    let sql = format!("SELECT count(*) FROM delivery_log WHERE outcome = '{outcome}'");
    usize::try_from(world.db.query_i64(&sql).await.unwrap()).unwrap()
}

/// How often a program has said this.
pub(crate) fn said(process: &Running, event: &str) -> usize {
    let word = format!("event={event} ");
    process.stderr().lines().filter(|line| format!("{line} ").contains(&word)).count()
}

/// What is to be tried again is due now.
pub(crate) async fn hurry(world: &World) {
    let sql = "BEGIN;
        UPDATE deliveries SET due_at = clock_timestamp() WHERE state = 'pending' AND due_at > now();
        SELECT mailroom_wake('mailroom');
        COMMIT";
    world.db.execute(sql).await.unwrap();
}

/// Ten mails have been accepted and ten more wait: a settle and a claim are held up until the lock that
/// is returned is gone. The collector sleeps before.
pub(crate) async fn claim_and_settle_held_up(
    world: &World,
    pipe: &Pipeline,
) -> tokio_postgres::Client {
    world.ses.hold();
    world.db.execute(&sign_up("in-call", 10)).await.unwrap();
    world.ses.wait_calls(1, SOON).unwrap();
    pipe.collector.signal(Signal::STOP).unwrap();
    world.db.execute(&sign_up("claimed", 10)).await.unwrap();
    let lock = world.db.client().await.unwrap();
    let tables = "BEGIN; LOCK TABLE tokens, delivery_log IN ACCESS EXCLUSIVE MODE";
    lock.batch_execute(tables).await.unwrap();
    world.ses.release();
    pipe.collector.signal(Signal::CONT).unwrap();
    let both = "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND (query LIKE '-- Claim:%' OR query LIKE '-- Settle sent:%')";
    world.db.wait_until(both, SOON).await.unwrap();
    lock
}
