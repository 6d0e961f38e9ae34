//! A transaction pooler in front of PostgreSQL: what is held by a session cannot be held through it, so
//! it is refused at once, with the remedy.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use testkit::{Process, Role, TransactionPooler};
use tokio_postgres::NoTls;

use crate::SOON;
use crate::faults::skipped;
use crate::support::sign_up;
use crate::world::{World, stop, stop_collector};

const REMEDY: &str = "connect to PostgreSQL directly or through a session pooler, not a transaction \
                      pooler";

/// Both halves end with 78 and say what to do, by the time they act if not at once; mail goes out by
/// the direct way.
async fn is_refused(world: &World, pooler: SocketAddr) {
    world.db.execute(&sign_up("pooled", 10)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    let line = collector.wait_line(1, SOON).unwrap() + "\n";
    stop_collector(&collector);
    let direct = testkit::shared().addr().to_string();
    let url = |role| world.db.url_as(role).replace(&direct, &pooler.to_string());
    let halves =
        [(Role::Collector, world.collector()), (Role::Sender, world.sender().stdin_bytes(line))];
    for (role, process) in halves {
        let half = process.env("MAILROOM_DATABASE_URL", url(role)).spawn().unwrap();
        let code = half.wait(SOON).unwrap();
        let log = half.stderr();
        assert_eq!(code, 78, "{log}");
        let gave_up = half.wait_for("event=gave_up", SOON).unwrap();
        assert!(gave_up.contains(REMEDY), "{log}");
        world.quiet(&[&half], &["gave_up", "deliveries_released"]).await;
    }
    assert!(world.ses.calls().is_empty());
    let pipe = world.pipe();
    world.mails(10).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(10).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["deliveries_released"]).await;
}

async fn relay(prepares: bool) -> SocketAddr {
    let upstream = testkit::shared().addr();
    TransactionPooler { upstream, prepares }.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_loses_prepared_statements_is_refused() {
    let world = World::new().await;
    let relay = relay(false).await;
    is_refused(&world, relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_prepares_statements_everywhere_is_refused_all_the_same() {
    let world = World::new().await;
    let relay = relay(true).await;
    is_refused(&world, relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgbouncer_in_transaction_mode_is_refused() {
    let there = Command::new("pgbouncer").arg("--version").output();
    if !there.as_ref().is_ok_and(|output| output.status.success()) {
        skipped(&format!("no pgbouncer on the PATH: {there:?}"));
        return;
    }
    let world = World::new().await;
    let port = testkit::free_port().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (config, users) = (dir.path().join("ini"), dir.path().join("users"));
    std::fs::write(&users, "\"mailroom_collector\" \"\"\n\"mailroom_sender\" \"\"\n").unwrap();
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         pool_mode = transaction\n",
        testkit::shared().port(),
        users.display()
    );
    std::fs::write(&config, text).unwrap();
    // It refuses to run as root.
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let pgbouncer = Process::at("pgbouncer").args(["-u", "nobody"]).arg(&config);
    let library = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let pgbouncer = pgbouncer.env("LD_LIBRARY_PATH", library).spawn().unwrap();
    pgbouncer.wait_for("process up", SOON).unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Alone with it one is always given the same server connection.
    for role in [Role::Collector, Role::Sender] {
        for _ in 0..4 {
            let url = world.db.url_as(role);
            let url = url.replace(&testkit::shared().addr().to_string(), &addr.to_string());
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            tokio::spawn(async move {
                while client.batch_execute("SELECT pg_sleep(0.002)").await.is_ok() {}
            });
        }
    }
    is_refused(&world, addr).await;
}
