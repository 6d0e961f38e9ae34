//! A crash at each point that the code names: what every row of the table in docs/ARCHITECTURE.md
//! says is seen here, and not argued. The points are there in debug builds only.
//!
//! One call at a time and lines of ten: the second time a process comes by a point, ten tokens are
//! through, ten have met it, and ten have yet to.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Pipeline, Process, Proxy, Reply, Running, Signal};

use crate::SOON;
use crate::audit::mails;
use crate::faults::together;
use crate::support::{rows_in, sign_up};
use crate::world::{World, stop, stop_collector};

/// Longer than a sweep takes to give up what a dead sender was sending.
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than the time within which a call must start that has been begun.
const NOT_FRESH: Duration = Duration::from_secs(11);

/// Signed up before the crash, and after it.
const BEFORE: usize = 30;
const AFTER: usize = 10;
/// A backlog: a reader that has taken some of it at once is quick.
const MANY: usize = 1_000;

/// What may complain when the other half or the connection goes.
const EXPECTED: [&str; 7] = [
    "reader_gone",
    "line_unterminated",
    "deliveries_released",
    "connection_lost",
    "connection_failed",
    "statement_failed",
    "mails_again",
];

const NONE: BTreeSet<String> = BTreeSet::new();

/// A world with [`BEFORE`] tokens.
async fn world() -> World {
    let world = World::new().await;
    world.db.execute(&sign_up("before", BEFORE)).await.unwrap();
    world
}

/// A process that dies or stalls at a point: `begun:die:2`.
fn at(process: Process, wish: &str) -> Process {
    process.env("MAILROOM_CRASH_POINT", wish)
}

fn one_call_at_a_time(sender: Process) -> Process {
    sender.env("MAILROOM_SENDER_CONCURRENCY", "1")
}

fn proxy() -> Proxy {
    Proxy::start(testkit::shared().addr()).unwrap()
}

/// It has killed itself at its point.
fn died(process: &Running) {
    assert_eq!(process.wait(SOON).unwrap(), 128 + 9, "{}", process.stderr());
    process.wait_for("event=crash_point", SOON).unwrap();
}

/// It has stopped itself at its point.
fn stalled(process: &Running) {
    process.wait_for("event=crash_point", SOON).unwrap();
    process.wait_stopped(SOON).unwrap();
}

fn ended(process: &Running, code: i32) {
    assert_eq!(process.wait(SOON).unwrap(), code, "{}", process.stderr());
}

/// How many deliveries are in each state.
async fn left(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(n || ' ' || state, ', ' ORDER BY state), 'nothing')
        FROM (SELECT state::text, count(*) AS n FROM deliveries GROUP BY state) AS s";
    world.db.query_text(sql).await.unwrap()
}

/// The secrets of the mails that were accepted and are not recorded.
async fn accepted_unrecorded(world: &World) -> BTreeSet<String> {
    let sql = "SELECT encode(secret, 'hex') FROM tokens AS t
        WHERE EXISTS (SELECT FROM delivery_log WHERE token = t.id AND outcome = 'sent')";
    let recorded = world.db.query_rows(sql).await.unwrap();
    let recorded: BTreeSet<String> = recorded.into_iter().flatten().flatten().collect();
    mails(&world.ses).into_keys().filter(|secret| !recorded.contains(secret)).collect()
}

async fn logged(world: &World, outcome: &str) -> usize {
    let sql = format!("SELECT count(*) FROM delivery_log WHERE outcome = '{outcome}'");
    usize::try_from(world.db.query_i64(&sql).await.unwrap()).unwrap()
}

/// After the crash another pipe mails what is left and what comes; each token has been mailed once,
/// but for `twice`, and has one final outcome.
async fn another_pipe_mails_the_rest(world: &World, crashed: &Pipeline, twice: &BTreeSet<String>) {
    let another = world.pipe();
    the_rest_is_mailed(world, crashed, &another, twice).await;
}

async fn the_rest_is_mailed(
    world: &World,
    crashed: &Pipeline,
    another: &Pipeline,
    twice: &BTreeSet<String>,
) {
    world.db.execute(&sign_up("after", AFTER)).await.unwrap();
    world.db.wait_until("SELECT count(*) = 0 FROM deliveries", MINUTE).await.unwrap();
    stop(another);
    audit(world, BEFORE + AFTER, twice).await;
    let processes = [&crashed.collector, &crashed.sender, &another.collector, &another.sender];
    world.quiet(&processes, &EXPECTED).await;
}

async fn audit(world: &World, tokens: usize, twice: &BTreeSet<String>) {
    let repeated = world.mailed(tokens, twice).await;
    assert_eq!(repeated, *twice, "accepted before the crash, and nobody could know");
    let others = "SELECT count(*) FROM tokens AS t WHERE 1 <> (
        SELECT count(*) FROM delivery_log
        WHERE token = t.id AND outcome IN ('sent', 'skipped', 'failed', 'unconfirmed'))";
    assert_eq!(world.db.query_i64(others).await.unwrap(), 0, "tokens without one final outcome");
}

#[test]
fn an_application_that_dies_before_its_commit_is_owed_nothing() {
    #[tokio::main(flavor = "current_thread")]
    async fn run() {
        let world = World::new().await;
        let pipe = world.pipe();
        world.asleep().await;
        let application = world.db.client().await.unwrap();
        let sql = format!("BEGIN; {}", sign_up("never", 10));
        application.batch_execute(&sql).await.unwrap();
        drop(application);
        world.db.execute(&sign_up("before", BEFORE)).await.unwrap();
        world.mails(BEFORE).await;
        world.settled().await;
        stop(&pipe);
        audit(&world, BEFORE, &NONE).await;
        world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
    }
    run();
}

#[test]
fn a_collector_that_dies_anywhere_between_claim_and_pipe_loses_and_repeats_nothing() {
    #[tokio::main(flavor = "current_thread")]
    async fn dies(wish: &str, expected: &str) {
        let world = world().await;
        let pipe = Pipeline::spawn(at(world.collector(), wish), world.sender()).unwrap();
        died(&pipe.collector);
        ended(&pipe.sender, 0);
        assert_eq!(left(&world).await, expected);
        let torn = pipe.sender.stderr().contains("event=line_unterminated");
        assert_eq!(torn, wish.starts_with("half_line"));
        another_pipe_mails_the_rest(&world, &pipe, &NONE).await;
    }
    together(&[
        ("claimed", || dies("claimed:die:2", "10 dispatched, 10 pending")),
        ("signed", || dies("signed:die:2", "10 dispatched, 10 pending")),
        ("half_line", || dies("half_line:die:2", "10 dispatched, 10 pending")),
        ("line_written", || dies("line_written:die:2", "10 pending")),
    ]);
}

/// While it writes a line to a reader that is quick, the collector claims the next ones. These scenarios
/// meet it when such a claim has been answered, with many tokens yet to come, and nobody begins any.
async fn world_with_many() -> World {
    let world = World::new().await;
    world.db.execute(&sign_up("many", MANY)).await.unwrap();
    world
}

async fn dispatched(world: &World) -> usize {
    let sql = "SELECT count(*) FROM deliveries WHERE state = 'dispatched'";
    usize::try_from(world.db.query_i64(sql).await.unwrap()).unwrap()
}

/// Another pipe mails all of them.
async fn many_are_mailed(world: &World, collector: &Running) {
    let pipe = world.pipe();
    world.mails(MANY).await;
    world.settled().await;
    stop(&pipe);
    audit(world, MANY, &NONE).await;
    world.quiet(&[collector, &pipe.collector, &pipe.sender], &EXPECTED).await;
}

#[tokio::main(flavor = "current_thread")]
async fn dies_with_a_claim_ahead() {
    let world = world_with_many().await;
    let collector = at(world.collector(), "claimed_ahead:die").spawn().unwrap();
    died(&collector);
    let written: usize = collector.lines().iter().map(|line| rows_in(line)).sum();
    assert!(dispatched(&world).await > written, "of {written} rows");
    many_are_mailed(&world, &collector).await;
}

/// What it has claimed it writes, and then ends.
#[tokio::main(flavor = "current_thread")]
async fn is_stopped_with_a_claim_ahead() {
    let world = world_with_many().await;
    let collector = at(world.collector(), "claimed_ahead:stall").spawn().unwrap();
    stalled(&collector);
    collector.signal(Signal::TERM).unwrap();
    collector.signal(Signal::CONT).unwrap();
    ended(&collector, 0);
    let written: usize = collector.lines().iter().map(|line| rows_in(line)).sum();
    assert_eq!(dispatched(&world).await, written);
    assert_eq!(left(&world).await, format!("{written} dispatched, {} pending", MANY - written));
    many_are_mailed(&world, &collector).await;
}

#[tokio::main(flavor = "current_thread")]
async fn loses_its_reader_with_a_claim_ahead() {
    let world = world_with_many().await;
    let collector = at(world.collector(), "claimed_ahead:stall").stdout_held().spawn().unwrap();
    let lines = collector.take_stdout().unwrap();
    let mut reader = Command::new("cat").stdin(lines).stdout(Stdio::null()).spawn().unwrap();
    stalled(&collector);
    reader.kill().unwrap();
    reader.wait().unwrap();
    collector.signal(Signal::CONT).unwrap();
    ended(&collector, 75);
    assert_eq!(left(&world).await, format!("{MANY} pending"));
    many_are_mailed(&world, &collector).await;
}

/// The answer has come, so it becomes a line, whose rows the next session takes over.
#[tokio::main(flavor = "current_thread")]
async fn loses_its_connection_with_a_claim_ahead() {
    let world = world_with_many().await;
    let proxy = proxy();
    let collector = at(world.collector_through(&proxy), "claimed_ahead:stall").spawn().unwrap();
    stalled(&collector);
    proxy.cut().unwrap();
    collector.signal(Signal::CONT).unwrap();
    let all = "SELECT count(*) = 0 FROM deliveries WHERE state = 'pending'";
    world.db.wait_until(all, SOON).await.unwrap();
    stop_collector(&collector);
    let log = collector.stderr();
    assert!(log.contains("event=took_over") && log.contains("released=0"), "{log}");
    let lines = collector.lines();
    let distinct: BTreeSet<&String> = lines.iter().collect();
    let written: usize = distinct.iter().map(|line| rows_in(line)).sum();
    assert_eq!((distinct.len(), written), (lines.len(), MANY), "each once");
    many_are_mailed(&world, &collector).await;
}

#[test]
fn a_collector_that_ends_with_a_claim_ahead_of_its_line_loses_and_repeats_nothing() {
    together(&[
        ("claimed_ahead, dies", dies_with_a_claim_ahead),
        ("claimed_ahead, is stopped", is_stopped_with_a_claim_ahead),
        ("claimed_ahead, loses its reader", loses_its_reader_with_a_claim_ahead),
        ("claimed_ahead, loses its connection", loses_its_connection_with_a_claim_ahead),
    ]);
}

/// What may not be mailed is claimed, then skipped. `goes_on`: it was only stopped in between, while
/// others mailed the rest.
#[tokio::main(flavor = "current_thread")]
async fn collector_leaves_what_may_not_be_mailed(wish: &str, goes_on: bool) {
    const EXPIRED: usize = 5;
    let world = world().await;
    let expire = format!("UPDATE tokens SET expires_at = 1 WHERE id <= {EXPIRED}");
    world.db.execute(&expire).await.unwrap();
    let pipe = Pipeline::spawn(at(world.collector(), wish), world.sender()).unwrap();
    if goes_on {
        stalled(&pipe.collector);
    } else {
        died(&pipe.collector);
        ended(&pipe.sender, 0);
    }
    assert_eq!(left(&world).await, "10 dispatched, 20 pending");
    assert_eq!(logged(&world, "skipped").await, 0);
    let another = world.pipe();
    if goes_on {
        world.mails(20).await;
        pipe.collector.signal(Signal::CONT).unwrap();
    }
    world.mails(BEFORE - EXPIRED).await;
    world.settled().await;
    assert_eq!(logged(&world, "skipped").await, EXPIRED);
    // They are owed nothing any more.
    world.db.execute("DELETE FROM tokens WHERE expires_at = 1").await.unwrap();
    if goes_on {
        stop(&pipe);
    }
    stop(&another);
    audit(&world, BEFORE - EXPIRED, &NONE).await;
    let processes = [&pipe.collector, &pipe.sender, &another.collector, &another.sender];
    world.quiet(&processes, &EXPECTED).await;
}

#[test]
fn a_collector_that_dies_or_stalls_before_it_skips_leaves_nothing_unsaid() {
    together(&[
        ("barred, dies", || collector_leaves_what_may_not_be_mailed("barred:die", false)),
        ("barred, stalls", || collector_leaves_what_may_not_be_mailed("barred:stall", true)),
    ]);
}

/// A sweep's skip makes it pending in the session that has the gate, and so wakes nobody.
#[tokio::test]
async fn what_may_be_mailed_again_when_a_sweep_would_skip_it_is_mailed_then() {
    let world = World::new().await;
    world.db.execute(&sign_up("barred", 1)).await.unwrap();
    world.db.execute("UPDATE accounts SET status = 'suspended'").await.unwrap();
    let collector = at(world.collector(), "barred:stall");
    let pipe = Pipeline::spawn(collector, world.sender()).unwrap();
    stalled(&pipe.collector);
    let locker = world.db.client().await.unwrap();
    locker.batch_execute("BEGIN; SELECT FROM deliveries FOR UPDATE").await.unwrap();
    pipe.collector.signal(Signal::CONT).unwrap();
    world.asleep().await;
    world.db.execute("UPDATE accounts SET status = 'active'").await.unwrap();
    locker.batch_execute("ROLLBACK").await.unwrap();

    world.mails(1).await;
    world.settled().await;
    stop(&pipe);
    audit(&world, 1, &NONE).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &EXPECTED).await;
}

/// What comes while it holds the gate must be heard of; what comes when it is dead, found.
#[test]
fn a_collector_that_dies_or_stalls_as_it_falls_asleep_misses_nothing() {
    #[tokio::main(flavor = "current_thread")]
    async fn dies() {
        let world = World::new().await;
        let pipe = Pipeline::spawn(at(world.collector(), "armed:die"), world.sender()).unwrap();
        died(&pipe.collector);
        ended(&pipe.sender, 0);
        world.db.execute(&sign_up("before", BEFORE)).await.unwrap();
        another_pipe_mails_the_rest(&world, &pipe, &NONE).await;
    }
    #[tokio::main(flavor = "current_thread")]
    async fn stalls() {
        let world = World::new().await;
        let pipe = Pipeline::spawn(at(world.collector(), "armed:stall"), world.sender()).unwrap();
        stalled(&pipe.collector);
        world.asleep().await;
        world.db.execute(&sign_up("before", BEFORE)).await.unwrap();
        pipe.collector.signal(Signal::CONT).unwrap();
        world.mails(BEFORE).await;
        world.settled().await;
        stop(&pipe);
        audit(&world, BEFORE, &NONE).await;
        world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
    }
    together(&[("armed, dies", dies), ("armed, stalls", stalls)]);
}

#[test]
fn a_collector_that_dies_after_its_sweep_leaves_the_rows_to_the_next_one() {
    #[tokio::main(flavor = "current_thread")]
    async fn swept() {
        let world = world().await;
        let first =
            Pipeline::spawn(at(world.collector(), "claimed:die:2"), world.sender()).unwrap();
        died(&first.collector);
        ended(&first.sender, 0);
        assert_eq!(left(&world).await, "10 dispatched, 10 pending");
        // That it is dead, PostgreSQL must know before the second one sweeps.
        let gone = "SELECT count(*) = 0 FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'mailroom_collector'";
        world.db.wait_until(gone, SOON).await.unwrap();
        let second = Pipeline::spawn(at(world.collector(), "swept:die"), world.sender()).unwrap();
        died(&second.collector);
        ended(&second.sender, 0);
        assert_eq!(left(&world).await, "20 pending");
        world.quiet(&[&first.collector, &first.sender], &EXPECTED).await;
        another_pipe_mails_the_rest(&world, &second, &NONE).await;
    }
    swept();
}

/// Its lines are in the pipe when it dies, under the number of its second session; they come a second
/// time from the next collector, to another sender, while the first sender is still there.
#[test]
fn a_collector_that_dies_as_it_takes_over_from_itself_repeats_no_line_that_is_on_its_way() {
    #[tokio::main(flavor = "current_thread")]
    async fn taken_over() {
        let world = world().await;
        let proxy = proxy();
        let collector = at(world.collector_through(&proxy), "taken_over:die:2");
        world.ses.hold();
        let pipe = Pipeline::spawn(collector, one_call_at_a_time(world.sender())).unwrap();
        world.ses.wait_calls(1, SOON).unwrap();
        world.asleep().await;
        assert_eq!(left(&world).await, "20 dispatched, 10 sending");
        proxy.cut().unwrap();
        died(&pipe.collector);
        let log = pipe.collector.stderr();
        assert!(log.contains("kept=20 released=0"), "{log}");
        let another = world.pipe();
        // Two calls of the new sender's, with the lines that wait for the old one, and still under way
        // when the old one comes to them.
        world.ses.wait_calls(3, SOON).unwrap();
        world.ses.script(|call| match call.number {
            1 => Reply::Ok,
            _ => Reply::Hang { accept: true },
        });
        world.ses.release();
        ended(&pipe.sender, 0);
        pipe.sender.wait_for_count("event=rows_not_begun", 2, SOON).unwrap();
        world.ses.script(|_| Reply::Ok);
        world.ses.release();
        the_rest_is_mailed(&world, &pipe, &another, &NONE).await;
        assert_eq!(logged(&world, "ambiguous").await, 0);
    }
    taken_over();
}

#[test]
fn both_halves_die_one_with_a_line_and_one_as_it_sees_that() {
    #[tokio::main(flavor = "current_thread")]
    async fn reader_gone() {
        let world = world().await;
        let collector = at(world.collector(), "reader_gone:die");
        let sender = at(one_call_at_a_time(world.sender()), "line_read:die:2");
        let pipe = Pipeline::spawn(collector, sender).unwrap();
        died(&pipe.sender);
        died(&pipe.collector);
        let held = "SELECT count(*) FROM deliveries WHERE state <> 'sending'";
        assert_eq!(world.db.query_i64(held).await.unwrap(), 20);
        another_pipe_mails_the_rest(&world, &pipe, &NONE).await;
        assert_eq!(logged(&world, "ambiguous").await, 0);
    }
    reader_gone();
}

#[test]
fn a_sender_that_dies_before_begin_or_after_settle_costs_no_time_and_repeats_nothing() {
    #[tokio::main(flavor = "current_thread")]
    async fn dies(wish: &str, expected: &str) {
        let world = world().await;
        let sender = at(one_call_at_a_time(world.sender()), wish);
        let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
        died(&pipe.sender);
        ended(&pipe.collector, 75);
        assert_eq!(left(&world).await, expected);
        another_pipe_mails_the_rest(&world, &pipe, &NONE).await;
        assert_eq!(logged(&world, "ambiguous").await, 0);
    }
    together(&[
        ("line_read", || dies("line_read:die:2", "20 pending")),
        ("permitted", || dies("permitted:die:2", "20 pending")),
        ("settled", || dies("settled:die:2", "10 pending")),
    ]);
}

/// The old sender wakes with a line that others have sent long ago, and another in its pipe.
#[test]
fn a_sender_that_slept_through_its_collectors_death_sends_nothing_again() {
    #[tokio::main(flavor = "current_thread")]
    async fn line_written_and_line_read() {
        let world = world().await;
        let collector = at(world.collector(), "line_written:die:2");
        let sender = at(one_call_at_a_time(world.sender()), "line_read:stall");
        let pipe = Pipeline::spawn(collector, sender).unwrap();
        died(&pipe.collector);
        stalled(&pipe.sender);
        assert_eq!(left(&world).await, "20 dispatched, 10 pending");
        let another = world.pipe();
        world.mails(BEFORE).await;
        world.settled().await;
        pipe.sender.signal(Signal::CONT).unwrap();
        ended(&pipe.sender, 0);
        pipe.sender.wait_for_count("event=rows_not_begun", 2, SOON).unwrap();
        the_rest_is_mailed(&world, &pipe, &another, &NONE).await;
    }
    line_written_and_line_read();
}

/// A sender that dies with ten rows begun. `accepted`: whether the provider had them.
#[tokio::main(flavor = "current_thread")]
async fn sender_dies_with_rows_begun(wish: &str, accepted: bool) {
    let world = world().await;
    let sender = at(one_call_at_a_time(world.sender()), wish);
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    died(&pipe.sender);
    ended(&pipe.collector, 75);
    assert_eq!(left(&world).await, "10 pending, 10 sending");
    let in_call = accepted_unrecorded(&world).await;
    assert_eq!(in_call.len(), if accepted { 10 } else { 0 });
    another_pipe_mails_the_rest(&world, &pipe, &in_call).await;
    assert_eq!(logged(&world, "ambiguous").await, 10, "nobody can tell");
}

/// Half of the rows of its second call have another address by the time that it begins them.
#[tokio::main(flavor = "current_thread")]
async fn begun_in_part() {
    let world = world().await;
    world.ses.hold();
    let sender = at(one_call_at_a_time(world.sender()), "begun_in_part:die");
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    world.ses.wait_calls(1, SOON).unwrap();
    world
        .db
        .wait_until("SELECT count(*) = 20 FROM deliveries WHERE state = 'dispatched'", SOON)
        .await
        .unwrap();
    let moved = "UPDATE accounts AS a SET email = 'moved-' || a.email FROM tokens AS t
        WHERE t.account = a.id AND t.id BETWEEN 11 AND 15";
    world.db.execute(moved).await.unwrap();
    world.ses.release();
    died(&pipe.sender);
    ended(&pipe.collector, 75);
    assert_eq!(left(&world).await, "15 pending, 5 sending");
    assert_eq!(accepted_unrecorded(&world).await, NONE);
    another_pipe_mails_the_rest(&world, &pipe, &NONE).await;
    assert_eq!(logged(&world, "ambiguous").await, 5, "nobody can tell");
}

/// Two calls are accepted while the sender is cut off; it dies with what it knows of them.
#[tokio::main(flavor = "current_thread")]
async fn fenced() {
    let world = world().await;
    let proxy = proxy();
    let sender = at(world.sender_through(&proxy), "fenced:die");
    world.ses.hold();
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    world.ses.wait_calls(2, SOON).unwrap();
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    world.ses.release();
    pipe.sender.wait_for_count("event=call_ended", 2, SOON).unwrap();
    proxy.heal().unwrap();
    died(&pipe.sender);
    ended(&pipe.collector, 75);
    assert_eq!(left(&world).await, "10 pending, 20 sending");
    let in_call = accepted_unrecorded(&world).await;
    assert_eq!(in_call.len(), 20);
    another_pipe_mails_the_rest(&world, &pipe, &in_call).await;
    assert_eq!(logged(&world, "ambiguous").await, 20);
}

/// Likewise, but one call is answered and recorded, and the other one still under way.
#[tokio::main(flavor = "current_thread")]
async fn results_recorded() {
    let world = world().await;
    let proxy = proxy();
    let sender = at(world.sender_through(&proxy), "results_recorded:die");
    world.ses.hold();
    world.ses.script(|call| match call.number {
        2 => Reply::Hang { accept: true },
        _ => Reply::Ok,
    });
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    world.ses.wait_calls(2, SOON).unwrap();
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    world.ses.release();
    pipe.sender.wait_for("event=call_ended", SOON).unwrap();
    world.mails(20).await;
    proxy.heal().unwrap();
    died(&pipe.sender);
    ended(&pipe.collector, 75);
    assert_eq!(left(&world).await, "10 pending, 10 sending");
    let in_call = accepted_unrecorded(&world).await;
    assert_eq!(in_call.len(), 10);
    another_pipe_mails_the_rest(&world, &pipe, &in_call).await;
    assert_eq!(logged(&world, "ambiguous").await, 10);
}

/// The stalled collector holds what it dispatched: it lives. When it goes on it finds its reader gone.
#[tokio::main(flavor = "current_thread")]
async fn answered_while_the_collector_stalls_at_swept() {
    let world = world().await;
    world.ses.hold();
    // The second sweep is 5 s after the first claim.
    let collector = at(world.collector(), "swept:stall:2");
    let sender = at(one_call_at_a_time(world.sender()), "answered:die");
    let pipe = Pipeline::spawn(collector, sender).unwrap();
    stalled(&pipe.collector);
    world.ses.release();
    died(&pipe.sender);
    let in_call = accepted_unrecorded(&world).await;
    assert_eq!(in_call.len(), 10);
    let another = world.pipe();
    let swept = "SELECT count(*) = 1 FROM holders WHERE missing_since IS NOT NULL";
    world.db.wait_until(swept, SOON).await.unwrap();
    assert_eq!(left(&world).await, "20 dispatched, 10 sending");
    pipe.collector.signal(Signal::CONT).unwrap();
    ended(&pipe.collector, 75);
    the_rest_is_mailed(&world, &pipe, &another, &in_call).await;
    assert_eq!(logged(&world, "ambiguous").await, 10);
}

/// Stopped before its call, and cut off meanwhile: when the sender goes on, its rows are somebody
/// else's, or will be. `patient`: it goes on when they have been sent by another one.
#[tokio::main(flavor = "current_thread")]
async fn sender_stalls_before_its_call(wish: &str, patient: bool) {
    let world = world().await;
    let proxy = proxy();
    let sender = at(one_call_at_a_time(world.sender_through(&proxy)), wish);
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    stalled(&pipe.sender);
    proxy.cut().unwrap();
    pipe.collector.kill().unwrap();
    let another = world.pipe();
    world.db.wait_until("SELECT count(*) = 10 FROM deliveries", SOON).await.unwrap();
    assert_eq!(left(&world).await, "10 sending");
    if patient {
        world.db.wait_until("SELECT count(*) = 0 FROM deliveries", MINUTE).await.unwrap();
    } else {
        // The time is what this is about.
        tokio::time::sleep(NOT_FRESH).await;
    }
    pipe.sender.signal(Signal::CONT).unwrap();
    ended(&pipe.sender, 0);
    the_rest_is_mailed(&world, &pipe, &another, &NONE).await;
    assert_eq!(logged(&world, "ambiguous").await, if patient { 10 } else { 0 });
}

/// Cut off for longer than the grace, with a result in hand: another sender sends again, and the two
/// `sent` rows say so, unless the first one `dies` as it learns that its rows are not its own any more.
#[tokio::main(flavor = "current_thread")]
async fn sender_cut_off_for_longer_than_the_grace(dies: bool) {
    let world = world().await;
    let proxy = proxy();
    let mut sender = one_call_at_a_time(world.sender_through(&proxy));
    if dies {
        sender = at(sender, "settled_in_part:die");
    }
    world.ses.hold();
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    world.ses.wait_calls(1, SOON).unwrap();
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    pipe.collector.kill().unwrap();
    world.ses.release();
    pipe.sender.wait_for("event=call_ended", SOON).unwrap();
    let in_call = accepted_unrecorded(&world).await;
    assert_eq!(in_call.len(), 10);
    let another = world.pipe();
    world.db.wait_until("SELECT count(*) = 0 FROM deliveries", MINUTE).await.unwrap();
    proxy.heal().unwrap();
    if dies {
        died(&pipe.sender);
    } else {
        ended(&pipe.sender, 0);
    }
    stop(&another);
    let repeated = world.mailed(BEFORE, &in_call).await;
    assert_eq!(repeated, in_call);
    let twice = "SELECT count(*) FROM (SELECT FROM delivery_log WHERE outcome = 'sent'
        GROUP BY token HAVING count(*) = 2) AS twice";
    let countable = world.db.query_i64(twice).await.unwrap();
    assert_eq!(countable, if dies { 0 } else { 10 }, "each was announced as ambiguous, too");
    assert_eq!(logged(&world, "ambiguous").await, 10);
    let processes = [&pipe.collector, &pipe.sender, &another.collector, &another.sender];
    world.quiet(&processes, &EXPECTED).await;
}

/// The provider accepts, and its answer never arrives.
#[tokio::main(flavor = "current_thread")]
async fn answer_lost() {
    let world = world().await;
    world.ses.reply(Reply::CutAfterRead { accept: true });
    let pipe = Pipeline::spawn(world.collector(), one_call_at_a_time(world.sender())).unwrap();
    world.mails(BEFORE + 10).await;
    world.settled().await;
    stop(&pipe);
    let repeated = world.mailed(BEFORE, &mails(&world.ses).into_keys().collect()).await;
    assert_eq!(repeated.len(), 10);
    assert_eq!(logged(&world, "ambiguous").await, 10);
    world.quiet(&[&pipe.collector, &pipe.sender], &EXPECTED).await;
}

/// Everything that has to wait for the grace of 30 s, at once.
#[test]
fn what_was_begun_when_a_sender_died_or_stalled_repeats_only_what_the_provider_had() {
    together(&[
        ("begun", || sender_dies_with_rows_begun("begun:die:2", false)),
        ("call_due", || sender_dies_with_rows_begun("call_due:die:2", false)),
        ("answered", || sender_dies_with_rows_begun("answered:die:2", true)),
        ("fenced", fenced),
        ("results_recorded", results_recorded),
        ("answered, swept stalls", answered_while_the_collector_stalls_at_swept),
        ("begun, stalls", || sender_stalls_before_its_call("begun:stall", false)),
        ("begun, stalls for long", || sender_stalls_before_its_call("begun:stall", true)),
        ("call_due, stalls for long", || sender_stalls_before_its_call("call_due:stall", true)),
        ("begun_in_part", begun_in_part),
        ("cut off for long", || sender_cut_off_for_longer_than_the_grace(false)),
        ("settled_in_part", || sender_cut_off_for_longer_than_the_grace(true)),
        ("answer lost", answer_lost),
    ]);
}

/// Of docs/ARCHITECTURE.md: the second column names points, the last one tests.
#[test]
fn every_point_has_a_row_in_the_table_and_every_row_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let section = page.split("\n## Crashes\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let code = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };

    let mut points = BTreeSet::new();
    let mut directories = vec![root.join("collector/src"), root.join("sender/src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let source = std::fs::read_to_string(path).unwrap();
            let names = source.split("crash_point!(\"").skip(1);
            points.extend(names.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    let documented: Vec<String> = rows.iter().flat_map(|row| code(row[1])).collect();
    assert_eq!(documented.iter().cloned().collect::<BTreeSet<_>>(), points);
    assert_eq!(documented.len(), points.len(), "a row each");

    let mut tests = String::new();
    for half in ["e2e", "collector", "sender"] {
        for file in std::fs::read_dir(root.join(half).join("tests/it")).unwrap() {
            tests.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    for row in &rows {
        let named = code(row[row.len() - 1]);
        assert!(!named.is_empty(), "no test: {row:?}");
        for name in named {
            assert!(tests.contains(&format!("fn {name}(")), "there is no test {name}");
        }
    }
}
