//! The provider wants less: for a moment, or for the day.

use std::time::Duration;

use testkit::Reply;
use testkit::ses::Call;

use crate::SOON;
use crate::faults::{hurry, logged};
use crate::support::sign_up;
use crate::world::{World, stop};

#[tokio::test]
async fn throttling_that_comes_and_goes_costs_no_mail_an_attempt() {
    const TOKENS: usize = 300;
    let world = World::new().await;
    world.ses.script(|call: &Call| match call.number % 9 {
        5 => Reply::error(429, "TooManyRequestsException", "Too many requests"),
        6 => Reply::fail_all("ACCOUNT_THROTTLED", "Maximum sending rate exceeded."),
        7 => Reply::fail_index(0, "ACCOUNT_THROTTLED", "Maximum sending rate exceeded."),
        _ => Reply::Ok,
    });
    let pipe = world.pipe();
    world.db.execute(&sign_up("wave", TOKENS)).await.unwrap();
    world.mails(TOKENS).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(TOKENS).await;
    assert!(logged(&world, "throttled").await >= 30);
    assert_eq!(logged(&world, "sent").await, TOKENS);
    let attempts = "SELECT max(attempt) FROM delivery_log";
    assert_eq!(world.db.query_i64(attempts).await.unwrap(), 1, "none was counted");
    world.quiet(&[&pipe.collector, &pipe.sender], &["mails_again"]).await;
}

/// Everything is held, and one call a minute probes.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn a_daily_quota() {
    const HOLD: Duration = Duration::from_secs(60);
    /// An accepted probe ends it, for the calls that wait as well.
    const AT_ONCE: Duration = Duration::from_secs(10);
    let world = World::new().await;
    world
        .ses
        .reply(Reply::fail_all("ACCOUNT_DAILY_QUOTA_EXCEEDED", "Daily message quota exceeded"));
    let pipe = world.pipe();
    world.asleep().await;
    world.db.execute(&sign_up("first", 10)).await.unwrap();
    world.db.wait_until("SELECT count(*) = 10 FROM delivery_log", SOON).await.unwrap();
    // Due at once; what keeps them back is the sender.
    hurry(&world).await;
    world.db.execute(&sign_up("second", 40)).await.unwrap();
    // The minute is the promise.
    world.ses.hold();
    world.ses.wait_calls(2, HOLD + SOON).unwrap();
    let calls = world.ses.calls();
    assert!(calls[1].at - calls[0].at >= HOLD, "{:?}", calls[1].at - calls[0].at);
    let probe = "SELECT count(*) FROM deliveries WHERE state = 'sending'";
    assert_eq!(world.db.query_i64(probe).await.unwrap(), 10, "one call probes");
    world.ses.release();
    world.ses.wait_mails(50, AT_ONCE).unwrap();
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(50).await;
    assert_eq!(logged(&world, "throttled").await, 10);
    world.quiet(&[&pipe.collector, &pipe.sender], &["mails_again"]).await;
}
