//! A network that loses everything and tells nobody.
//!
//! The kernel's own black hole is a routing rule, made in a network namespace of the test's own: the
//! test runs itself again in there. What a firewall does that acknowledges and forwards nothing, the
//! proxy does.

use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Options, Pipeline, Postgres, Process, Role, Running};

use crate::SOON;
use crate::faults::{AWAY, claim_and_settle_held_up, proxy, skipped, together};
use crate::support::sign_up;
use crate::world::{World, stop};

const MINUTE: Duration = Duration::from_secs(60);
/// As long as a statement may go unanswered, and a moment to go on after that.
const STATEMENT: Duration = Duration::from_secs(70);

/// Set in the namespace.
const INSIDE: &str = "MAILROOM_TEST_IN_A_NAMESPACE";

/// One needs to be root, as a rule.
fn shell(script: &str) -> Result<(), String> {
    let output = Command::new("sh").args(["-ec", script]).output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// From now on nothing leaves this address or comes there; a new connection to it fails.
fn hole(address: &str) {
    let script = format!(
        "ip rule add pref 5 from {address} blackhole; ip rule add pref 6 to {address} blackhole"
    );
    shell(&script).unwrap();
}

/// A pipe that knows two ways to its server, and has taken the first.
async fn pipe(world: &World, server: &Postgres, address: &str) -> Pipeline {
    let way = server.addr().to_string();
    let both = format!("{address}:{},{way}", server.port());
    let at = |role| world.db.url_as(role).replace(&way, &both);
    let collector = world.collector().env("MAILROOM_DATABASE_URL", at(Role::Collector));
    let sender = world.sender().env("MAILROOM_DATABASE_URL", at(Role::Sender));
    let pipe = Pipeline::spawn(collector, sender).unwrap();
    pipe.sender.wait_for("event=connected", SOON).unwrap();
    world.asleep().await;
    pipe
}

fn server() -> Postgres {
    Postgres::start_with(&Options::fast().set("listen_addresses", "0.0.0.0")).unwrap()
}

fn noticed(process: &Running, since: Instant, within: Duration) {
    let left = within.saturating_sub(since.elapsed());
    process.wait_for("event=connection_lost", left).unwrap();
}

async fn goes_on(world: &World, pipe: &Pipeline, mails: usize) {
    world.mails(mails).await;
    world.settled().await;
    stop(pipe);
    world.each_mailed_once(mails).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &AWAY).await;
}

#[tokio::main(flavor = "current_thread")]
async fn idle() {
    const ADDRESS: &str = "127.7.7.1";
    let server = server();
    let world = World::on(&server).await;
    let pipe = pipe(&world, &server, ADDRESS).await;
    hole(ADDRESS);
    let since = Instant::now();
    // Nobody hears of it.
    world.db.execute(&sign_up("unheard", 10)).await.unwrap();
    noticed(&pipe.collector, since, MINUTE);
    noticed(&pipe.sender, since, MINUTE);
    goes_on(&world, &pipe, 10).await;
}

/// Their statements take effect and their answers are lost.
#[tokio::main(flavor = "current_thread")]
async fn in_a_statement() {
    const ADDRESS: &str = "127.7.7.2";
    let server = server();
    let world = World::on(&server).await;
    let pipe = pipe(&world, &server, ADDRESS).await;
    let lock = claim_and_settle_held_up(&world, &pipe).await;
    hole(ADDRESS);
    let since = Instant::now();
    lock.batch_execute("COMMIT").await.unwrap();
    noticed(&pipe.collector, since, MINUTE);
    noticed(&pipe.sender, since, MINUTE);
    goes_on(&world, &pipe, 20).await;
}

#[test]
#[ignore = "runs in a network namespace, which a_network_without_packets makes for it"]
fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        skipped("not in a network namespace of its own");
        return;
    }
    // Rules are asked in order, and the one for our own addresses must not be the first.
    shell("ip link set lo up; ip rule add pref 10 lookup local; ip rule del pref 0").unwrap();
    together(&[("idle", idle), ("in a statement", in_a_statement)]);
}

/// Noticed within a minute, though nobody says a word.
pub(crate) fn a_network_without_packets() {
    if let Err(why) = shell("unshare --net ip link set lo up") {
        skipped(&format!("no network namespace to be had: {why}"));
        return;
    }
    let again = Process::at("unshare")
        .envs(std::env::vars_os())
        .env(INSIDE, "1")
        .arg("--net")
        // This very program, even if another build has put a new one in its place.
        .arg(format!("/proc/{}/exe", std::process::id()))
        .args(["--exact", "blackhole::inside", "--ignored", "--nocapture"])
        .spawn()
        .unwrap();
    let code = again.wait(2 * MINUTE).unwrap();
    assert_eq!(code, 0, "{}\n{}", again.lines().join("\n"), again.stderr());
    assert!(again.lines().iter().any(|line| line.contains("1 passed")), "it has not run");
}

/// The packets arrive and come to nothing, so only a statement can tell: here that of the health check.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn an_abandoned_collector() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    let collector = world.collector_through(&proxy).env("MAILROOM_HEALTHCHECK_INTERVAL", "1000");
    let pipe = Pipeline::spawn(collector, world.sender()).unwrap();
    world.asleep().await;
    proxy.abandon().unwrap();
    let since = Instant::now();
    world.db.execute(&sign_up("unheard", 10)).await.unwrap();
    noticed(&pipe.collector, since, STATEMENT);
    goes_on(&world, &pipe, 10).await;
}

/// Here that which begins a line.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn an_abandoned_sender() {
    let world = World::new().await;
    let proxy = proxy(testkit::shared());
    let pipe = Pipeline::spawn(world.collector(), world.sender_through(&proxy)).unwrap();
    pipe.sender.wait_for("event=connected", SOON).unwrap();
    proxy.abandon().unwrap();
    let since = Instant::now();
    world.db.execute(&sign_up("unbegun", 10)).await.unwrap();
    noticed(&pipe.sender, since, STATEMENT);
    goes_on(&world, &pipe, 10).await;
}
