//! The wall clock steps, of one process and not of the others: by an hour, forward and back.

use std::time::Duration;

use testkit::{AcceptedMail, Clock, Options, Pipeline, Postgres, Reply};

use crate::SOON;
use crate::faults::{logged, skipped, together};
use crate::support::sign_up;
use crate::world::{World, stop};

const HOUR: i64 = 3_600;
/// "Promptly": far less than any step.
const PROMPTLY: Duration = Duration::from_secs(15);

/// `None`, and says so, where there is no C compiler.
fn clock() -> Option<Clock> {
    let clock = Clock::new().unwrap();
    if clock.is_none() {
        skipped("no C compiler, so no other clock");
    }
    clock
}

fn server_by(clock: &Clock) -> Postgres {
    let mut options = Options::fast();
    for (name, value) in clock.variables() {
        options = options.env(name, value);
    }
    Postgres::start_with(&options).unwrap()
}

/// Tokens for an hour and more, which no step shall end.
async fn long_lived(world: &World) {
    let sql = "ALTER TABLE tokens ALTER expires_at SET DEFAULT extract(epoch FROM now()) + 86400";
    world.db.execute(sql).await.unwrap();
}

/// A clock of a half is for its log, and for what it tells the provider: it decides nothing.
#[tokio::main(flavor = "current_thread")]
async fn of_the_halves() {
    let (Some(one), Some(other)) = (clock(), clock()) else { return };
    let world = World::new().await;
    world.ses.script(|_| Reply::Delay(Duration::from_millis(20)));
    let pipe = Pipeline::spawn(
        world.collector().envs(one.variables()),
        world.sender().envs(other.variables()),
    )
    .unwrap();
    world.asleep().await;
    let mut mails = 0;
    for (n, step) in [HOUR, 0, -HOUR, 0].into_iter().enumerate() {
        world.db.execute(&sign_up(&format!("round-{n}"), 100)).await.unwrap();
        world.mails(mails + 20).await;
        one.step(step).unwrap();
        other.step(-step).unwrap();
        mails += 100;
        world.ses.wait_mails(mails, PROMPTLY).unwrap();
        // Asleep, too.
        world.settled().await;
        world.asleep().await;
    }
    stop(&pipe);
    world.each_mailed_once(mails).await;
    assert_eq!(logged(&world, "ambiguous").await + logged(&world, "deferred").await, 0);
    for process in [&pipe.collector, &pipe.sender] {
        let log = process.stderr();
        let days: Vec<&str> = log.lines().map(|line| &line[..13]).collect();
        assert!(!days.is_sorted(), "the clock did step back:\n{log}");
    }
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

/// What is due is due by PostgreSQL's clock, which steps in the middle of a backlog, under calls, and
/// while all are asleep.
#[tokio::main(flavor = "current_thread")]
async fn of_postgresql(step: i64) {
    let Some(clock) = clock() else { return };
    let server = server_by(&clock);
    let world = World::on(&server).await;
    long_lived(&world).await;
    let pipe = world.pipe();
    world.db.execute(&sign_up("usual", 10)).await.unwrap();
    world.mails(10).await;
    world.settled().await;
    world.asleep().await;

    clock.step(step).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let real = i64::try_from(now.as_secs()).unwrap();
    let told = world.db.query_i64("SELECT extract(epoch FROM now())::bigint").await.unwrap();
    assert!((told - real - step).abs() < 60, "the clock did not step");
    world.db.execute(&sign_up("asleep", 10)).await.unwrap();
    world.ses.wait_mails(20, PROMPTLY).unwrap();

    // In the middle of a backlog: the collector claims from where it was.
    clock.step(0).unwrap();
    world.ses.script(|_| Reply::Delay(Duration::from_millis(20)));
    world.db.execute(&sign_up("backlog", 600)).await.unwrap();
    world.mails(120).await;
    clock.step(step).unwrap();
    world.db.execute(&sign_up("stepped", 50)).await.unwrap();
    let stepped = |mails: &[AcceptedMail]| {
        mails.iter().filter(|mail| mail.to.starts_with("stepped-")).count() == 50
    };
    testkit::eventually(PROMPTLY, "mail signed up after the step goes out", || {
        world.ses.with_mails(stepped)
    });
    // What had been due by the clock before a step back is due again when the clock says so, in an
    // hour or when it is put right; that is seen at the next occasion.
    clock.step(step.max(0)).unwrap();
    world.db.execute(&sign_up("occasion", 10)).await.unwrap();
    world.settled().await;

    // Under a call.
    world.ses.hold();
    world.db.execute(&sign_up("in-call", 10)).await.unwrap();
    let sending = "SELECT count(*) = 10 FROM deliveries WHERE state = 'sending'";
    world.db.wait_until(sending, SOON).await.unwrap();
    clock.step(step).unwrap();
    world.ses.release();
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(690).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["deliveries_released"]).await;
}

#[test]
fn a_wall_clock_that_steps_by_an_hour_loses_and_repeats_nothing() {
    together(&[
        ("of the halves", of_the_halves),
        ("of PostgreSQL, forward", || of_postgresql(HOUR)),
        ("of PostgreSQL, back", || of_postgresql(-HOUR)),
    ]);
}
