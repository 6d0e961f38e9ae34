//! Several servers in the connection string, and one whose address nobody knows.

use testkit::{Options, Pipeline, Postgres, Process, Role, Signal, SilentResolver};
use tokio_postgres::NoTls;

use crate::SOON;
use crate::faults::{AWAY, proxy, skipped};
use crate::support::sign_up;
use crate::world::{KEY, World, stop};

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

/// A thread that waits for the resolver cannot be interrupted, so it is left behind.
#[test]
fn an_end_does_not_wait_for_the_address_of_a_server() {
    let Some(resolver) = SilentResolver::new().unwrap() else {
        skipped("no C compiler, so no other resolver");
        return;
    };
    let program = |name| {
        Process::new(name)
            .envs(resolver.variables())
            .env("MAILROOM_DATABASE_URL", "postgres://who@database.example/them?connect_timeout=1")
    };
    let collector = || program("collector").env("MAILROOM_SECRET_KEY", KEY).stdout_held();
    let sender = || program("sender").env("MAILROOM_TRANSPORT", "noop").stdin_held();
    let serve = || program("mailroom").args(["serve", "--listen", "127.0.0.1:0"]);
    for process in [collector(), sender(), serve()] {
        let process = process.spawn().unwrap();
        process.wait_for(SilentResolver::ASKED, SOON).unwrap();
        process.signal(Signal::TERM).unwrap();
        assert_eq!(process.wait(SOON).unwrap(), 0, "{}", process.stderr());
    }
    // Nor does a command that gives up.
    let status = program("mailroom").args(["status"]).spawn().unwrap();
    assert_eq!(status.wait(SOON).unwrap(), 75, "{}", status.stderr());
}
