//! Several servers in the connection string.

use testkit::{Options, Pipeline, Postgres, Role};
use tokio_postgres::NoTls;

use crate::SOON;
use crate::faults::{AWAY, proxy};
use crate::support::sign_up;
use crate::world::{World, stop};

/// `collector | sender`, with other servers than the one there is.
fn pipe(world: &World, change: impl Fn(&str) -> String) -> Pipeline {
    let at = |role| change(&world.db.url_as(role));
    let collector = world.collector().env("MAILROOM_DATABASE_URL", at(Role::Collector));
    let sender = world.sender().env("MAILROOM_DATABASE_URL", at(Role::Sender));
    Pipeline::spawn(collector, sender).unwrap()
}

#[tokio::test]
async fn when_the_server_in_use_dies_the_next_one_is_used() {
    let world = World::new().await;
    let server = testkit::shared();
    let ways = [proxy(server), proxy(server)];
    let both = format!("{},{}", ways[0].addr(), ways[1].addr());
    let pipe = pipe(&world, |url| url.replace(&server.addr().to_string(), &both));
    world.db.execute(&sign_up("first", 10)).await.unwrap();
    world.mails(10).await;

    ways[0].refuse(true).unwrap();
    ways[0].cut().unwrap();
    world.db.execute(&sign_up("second", 10)).await.unwrap();
    world.mails(20).await;

    // Back to the first one, when the second one goes as well.
    ways[0].heal().unwrap();
    ways[1].refuse(true).unwrap();
    ways[1].cut().unwrap();
    world.db.execute(&sign_up("third", 10)).await.unwrap();
    world.mails(30).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(30).await;
    for process in [&pipe.collector, &pipe.sender] {
        process.wait_for_count("event=connected", 3, SOON).unwrap();
    }
    world.quiet(&[&pipe.collector, &pipe.sender], &AWAY).await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_passed_over_if_that_is_asked_for() {
    let world = World::new().await;
    let server = testkit::shared();
    let options = Options::fast().set("log_connections", "on");
    let read_only = Postgres::start_with(&options).unwrap();
    let (operator, connection) =
        tokio_postgres::connect(&read_only.url("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    for sql in [
        &format!("CREATE DATABASE {}", world.db.name()),
        "ALTER SYSTEM SET default_transaction_read_only = on",
    ] {
        operator.batch_execute(sql).await.unwrap();
    }
    read_only.stop_fast().unwrap();
    read_only.start_again().unwrap();

    let both = format!("{},{}", read_only.addr(), server.addr());
    let pipe = pipe(&world, |url| {
        url.replace(&server.addr().to_string(), &both) + "?target_session_attrs=read-write"
    });
    world.db.execute(&sign_up("written", 10)).await.unwrap();
    world.mails(10).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(10).await;
    for role in [Role::Collector, Role::Sender] {
        let came = format!("connection authorized: user={role}");
        assert!(read_only.log().contains(&came), "the read-only server was not asked");
    }
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}
