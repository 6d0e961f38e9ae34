//! `mailroom run`: the pipe as one unit, stopped and killed under load.

use std::sync::Arc;

use testkit::{Process, Reply, Running, Signal};

use crate::SOON;
use crate::crash::{
    CALL, MINUTE, SECONDS, TOKENS, all_settled, called, load, recorded, two_calls_hang,
};
use crate::faults::{ended, left};
use crate::support::sign_up;
use crate::world::World;

/// SIGKILL for a half, the `n`-th of its kind.
fn kill_9(unit: &Running, half: &str, n: usize) {
    let started = format!("event=half_started half={half}");
    let line = unit.wait_for_count(&started, n, SOON).unwrap();
    let pid = line.rsplit_once("pid=").unwrap().1;
    let kill = Process::at("/bin/sh").args(["-c", "kill -9 $0", pid]).spawn().unwrap();
    assert_eq!(kill.wait(SOON).unwrap(), 0);
    unit.wait_for(&format!("event=half_ended half={half} signal=9"), SOON).unwrap();
}

fn stop(unit: &Running) {
    unit.signal(Signal::TERM).unwrap();
    ended(unit, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_stopped_under_load_finishes_all_that_is_in_flight() {
    let world = Arc::new(World::new().await);
    world.ses.script(|_| Reply::Delay(CALL));
    let load = load(&world);
    let mut mailed = 0;
    for signal in [Signal::TERM, Signal::INT] {
        let unit = world.unit().spawn().unwrap();
        world.mails(mailed + TOKENS / 6).await;
        unit.signal(signal).unwrap();
        ended(&unit, 0);
        mailed = world.ses.mail_count();
        let left = left(&world).await;
        assert!(!left.contains("sending") && !left.contains("dispatched"), "{left}");
        let both = unit.stderr().lines().filter(|line| line.ends_with("event=stopped")).count();
        assert_eq!(both, 2, "the halves have finished: {}", unit.stderr());
        world.quiet(&[&unit], &[]).await;
    }
    load.await.unwrap();
    let unit = world.unit().spawn().unwrap();
    all_settled(&world, SECONDS).await;
    stop(&unit);
    world.each_mailed_once(TOKENS).await;
    world.quiet(&[&unit], &[]).await;
}

/// What a killed half leaves in the log.
const KILLED: [&str; 5] =
    ["half_ended", "restarting", "deliveries_released", "line_unterminated", "reader_gone"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_whose_halves_are_killed_starts_them_again_and_loses_nothing() {
    let world = Arc::new(World::new().await);
    world.ses.script(|_| Reply::Delay(CALL));
    let unit = world.unit().spawn().unwrap();
    let load = load(&world);
    world.mails(TOKENS / 4).await;
    kill_9(&unit, "collector", 1);
    unit.wait_for("event=half_ended half=sender exit=0", SOON).unwrap();

    world.mails(TOKENS / 2).await;
    two_calls_hang(&world).await;
    let in_call = &called(&world.ses) - &recorded(&world).await;
    world.ses.script(|_| Reply::Ok);
    kill_9(&unit, "sender", 2);
    unit.wait_for("event=half_ended half=collector exit=75", SOON).unwrap();

    load.await.unwrap();
    all_settled(&world, MINUTE + SOON).await;
    stop(&unit);
    let repeated = world.mailed(TOKENS, &in_call).await;
    assert_eq!(repeated, in_call, "they were accepted, and nobody could know");
    world.quiet(&[&unit], &KILLED).await;
}

/// Either half may find out; the other one's end must not cover it up.
#[tokio::test]
async fn a_unit_whose_settings_are_wrong_says_so_and_is_not_started_again() {
    let world = World::new().await;
    for (name, value) in [("MAILROOM_BATCH_LIMIT", "ten"), ("MAILROOM_TRANSPORT", "pigeon")] {
        let unit = world.unit().env(name, value).spawn().unwrap();
        ended(&unit, 78);
        assert!(unit.stderr().contains(&format!("{name}: ")), "{}", unit.stderr());
        assert!(!unit.stderr().contains("event=restarting"), "{}", unit.stderr());
    }
    // One that only the provider knows.
    world.ses.script(|_| Reply::error(404, "NotFoundException", "Template is not there"));
    let unit = world.unit().spawn().unwrap();
    world.db.execute(&sign_up("nobody", 3)).await.unwrap();
    ended(&unit, 78);
    assert_eq!(left(&world).await, "3 pending");
}
