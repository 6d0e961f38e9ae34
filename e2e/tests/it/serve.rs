//! What `mailroom serve` says of the pipe.

use std::net::SocketAddr;

use testkit::{Answer, Database, Exposition, Process, Reply, Role, Running, Signal, eventually};

use crate::SOON;
use crate::support::{recovery, sign_up};
use crate::world::{World, stop};

/// For whom mail is late after this, in milliseconds.
fn serve(db: &Database, ready_age: &str) -> (Running, SocketAddr) {
    let process = Process::new("mailroom")
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("MAILROOM_DATABASE_URL", db.url_as(Role::Operator))
        .env("MAILROOM_READY_AGE", ready_age)
        .spawn()
        .unwrap();
    let line = process.wait_for("event=listening", SOON).unwrap();
    let addr = line.rsplit("address=").next().unwrap().parse().unwrap();
    process.wait_for("event=connected", SOON).unwrap();
    (process, addr)
}

fn scrape(addr: SocketAddr) -> Exposition {
    let answer = Answer::get(addr, "/metrics").unwrap();
    Exposition::parse(&answer.body).unwrap_or_else(|e| panic!("{e:#}\n{}", answer.body))
}

const COUNT: &str = "mailroom_delivery_seconds_count";

/// As many as the provider accepted; the same when the log is counted, purged, and looked at by
/// another `serve`.
#[tokio::test]
async fn the_histogram_counts_the_deliveries_that_were_sent() {
    let world = World::new().await;
    let pipe = world.pipe();
    let (first, addr) = serve(&world.db, "30000");
    world.db.execute(&sign_up("early", 33)).await.unwrap();
    for n in 0..3 {
        world.db.execute(&recovery(&format!("lost-{n}"))).await.unwrap();
    }
    world.settled().await;
    world.mails(36).await;
    // A look may be a second old.
    eventually(SOON, "all are counted", || scrape(addr).sum(COUNT) == 36.0);
    let check = |metrics: &Exposition| {
        assert_eq!(metrics.sum(COUNT), world.ses.mail_count() as f64);
        for (action, count) in [("activation", 33.0), ("password_recovery", 3.0)] {
            let action = ("action", action);
            assert_eq!(metrics.value(COUNT, &[action]), Some(count));
            let labels = [action, ("outcome", "sent")];
            assert_eq!(metrics.value("mailroom_outcomes_total", &labels), Some(count));
            assert!(metrics.value("mailroom_delivery_seconds_sum", &[action]) > Some(0.0));
        }
    };
    let metrics = scrape(addr);
    check(&metrics);
    for kind in ["collector", "sender"] {
        assert_eq!(metrics.value("mailroom_holders", &[("kind", kind)]), Some(1.0), "{kind}");
    }

    // Forty days later; what is so young is not counted yet.
    let later = "UPDATE delivery_log SET at = at - interval '40 days',
            promised_at = promised_at - interval '40 days';
        UPDATE tokens SET expires_at = expires_at - 40 * 24 * 60 * 60;
        UPDATE delivery_totals_until SET counted_until = '-infinity'";
    world.db.execute(later).await.unwrap();
    while world.db.query_text("SELECT mailroom_count_log()").await.unwrap() == "t" {}
    let purge =
        "SELECT mailroom_purge(now() - interval '30 days', now() - interval '30 days', 1000)";
    assert_eq!(world.db.query_i64(purge).await.unwrap(), 36);
    let (second, again) = serve(&world.db, "30000");
    check(&scrape(again));
    // Further mail comes on top of what the log has forgotten.
    world.db.execute(&sign_up("late", 1)).await.unwrap();
    world.settled().await;
    eventually(SOON, "one more is counted", || scrape(addr).sum(COUNT) == 37.0);
    assert_eq!(world.ses.mail_count(), 37);

    stop(&pipe);
    eventually(SOON, "nobody is there", || scrape(again).sum("mailroom_holders") == 0.0);
    for serve in [&first, &second] {
        serve.signal(Signal::TERM).unwrap();
        assert_eq!(serve.wait(SOON).unwrap(), 0, "{}", serve.stderr());
    }
    world.quiet(&[&pipe.collector, &pipe.sender, &first, &second], &[]).await;
}

/// While SES takes nothing, and mail waits for it.
#[tokio::test]
async fn readiness_turns_red_while_the_provider_fails_and_green_after() {
    let world = World::new().await;
    world.ses.script(|_| Reply::fail_all("TRANSIENT_FAILURE", "try again"));
    let pipe = world.pipe();
    let (serve, addr) = serve(&world.db, "1000");
    let status = || Answer::get(addr, "/ready").unwrap().status;
    eventually(SOON, "it is green without mail", || status() == 200);
    world.db.execute(&sign_up("waiting", 5)).await.unwrap();
    eventually(SOON, "it is red", || status() == 503);
    let ready = || {
        let ready = Process::new("mailroom")
            .arg("ready")
            .env("MAILROOM_DATABASE_URL", world.db.url_as(Role::Collector))
            .env("MAILROOM_READY_AGE", "1000")
            .spawn()
            .unwrap();
        ready.wait(SOON).unwrap()
    };
    assert_eq!(ready(), 75);
    let waiting = [("action", "activation"), ("outcome", "deferred")];
    eventually(SOON, "all were tried", || {
        scrape(addr).value("mailroom_outcomes_total", &waiting) >= Some(5.0)
    });
    let metrics = scrape(addr);
    assert_eq!(metrics.sum("mailroom_deliveries"), 5.0);
    assert!(
        metrics.value("mailroom_oldest_delivery_age_seconds", &[("action", "activation")])
            > Some(1.0)
    );
    assert_eq!(metrics.value("mailroom_ready", &[]), Some(0.0));

    world.ses.script(|_| Reply::Ok);
    world.settled().await;
    eventually(SOON, "it is green again", || status() == 200);
    assert_eq!(ready(), 0);
    stop(&pipe);
    serve.signal(Signal::TERM).unwrap();
    assert_eq!(serve.wait(SOON).unwrap(), 0, "{}", serve.stderr());
    world.quiet(&[&pipe.collector, &pipe.sender, &serve], &["mails_again", "not_ready"]).await;
}
