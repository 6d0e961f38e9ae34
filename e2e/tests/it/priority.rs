//! What is urgent overtakes what is many.

use std::time::{Duration, Instant};

use testkit::Pipeline;

use crate::SOON;
use crate::support::{recovery, sign_up};
use crate::world::World;

#[tokio::test]
async fn a_password_recovery_in_the_middle_of_a_bulk_import_is_sent_within_five_seconds() {
    const BULK: usize = 20_000;
    let world = World::new().await;
    let sender = world.sender().env("MAILROOM_SES_RATE", "50");
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    world.asleep().await;
    world.db.execute(&sign_up("import", BULK)).await.unwrap();
    for round in 1..=3 {
        // The pipe is full, and the first second's worth of permits is used up.
        world.mails(round * 120).await;
        world.db.execute(&recovery(&format!("urgent-{round}"))).await.unwrap();
        let committed = Instant::now();
        let to = format!("urgent-{round}@mail.example");
        let sent =
            || world.ses.with_mails(|mails| mails.iter().find(|mail| mail.to == to).map(|m| m.at));
        testkit::eventually(SOON, "the recovery is sent", || sent().is_some());
        let waited = sent().unwrap().saturating_duration_since(committed);
        assert!(waited < Duration::from_secs(5), "{waited:?}");
    }
    pipe.collector.kill().unwrap();
    pipe.sender.kill().unwrap();
    let left = world.db.query_i64("SELECT count(*) FROM deliveries").await.unwrap();
    assert!(left > 18_000, "the import is still under way: {left}");
    world.quiet(&[&pipe.collector, &pipe.sender], &["reader_gone"]).await;
}

/// Pipe and sender take a hundred rows at once, however slowly they are sent: that does not make the
/// sender one that may be given hundreds.
#[tokio::test]
async fn a_slow_sender_has_little_in_front_of_what_is_urgent_also_when_a_backlog_begins() {
    let world = World::new().await;
    let sender = world.sender().env("MAILROOM_SES_RATE", "14");
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    world.asleep().await;
    world.db.execute(&sign_up("import", 5_000)).await.unwrap();
    world.mails(30).await;
    world.db.execute(&recovery("urgent")).await.unwrap();
    let mails = |which: &dyn Fn(&str) -> bool| {
        world.ses.with_mails(|mails| mails.iter().filter(|mail| which(&mail.to)).count())
    };
    let before = mails(&|to| to.starts_with("import"));
    let urgent = |to: &str| to == "urgent@mail.example";
    testkit::eventually(SOON, "the recovery is sent", || mails(&urgent) == 1);
    let overtaken = mails(&|to| to.starts_with("import")) - before;
    assert!(overtaken <= 75, "in front of it: {overtaken}");
    pipe.collector.kill().unwrap();
    pipe.sender.kill().unwrap();
}
