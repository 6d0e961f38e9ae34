//! Getting through: sockets, several hosts, the session's settings, the driver.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use daemon::postgres::Os;
use testkit::{Database, free_port};
use tokio_postgres::AsyncMessage;

use super::{ask, connect, execute, file, os, target, target_of};

async fn database() -> Database {
    Database::empty().await.expect("a database")
}

#[tokio::test]
async fn by_uri_by_pairs_and_by_default() {
    let server = testkit::shared();
    let database = database().await;
    let default = Os { socket_dirs: vec![server.socket_dir().to_owned()], ..os() };
    let short = format!("port={} dbname={}", server.port(), database.name());
    for target in [target(database.url()), target(database.conninfo()), target_of(&short, &default)]
    {
        let mut connected = target.connect().await.expect("connect");
        assert_eq!(ask(&mut connected, "SELECT current_database()::text").await, database.name());
        assert!(connected.driver.parameter("server_version").is_some());
    }
}

#[tokio::test]
async fn a_session_is_made_ours_whatever_the_database_says() {
    let database = database().await;
    for setting in [
        "statement_timeout = '1s'",
        "lock_timeout = '1s'",
        "idle_session_timeout = '1s'",
        "default_transaction_isolation = 'serializable'",
        "client_connection_check_interval = 0",
        "tcp_keepalives_idle = 7200",
        "tcp_user_timeout = 0",
    ] {
        let sql = format!("ALTER DATABASE \"{}\" SET {setting}", database.name());
        database.execute(&sql).await.expect("alter");
    }
    let target = target(database.url()).with_application_name("collector");
    let mut connected = target.connect().await.expect("connect");
    for (setting, value) in [
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_session_timeout", "0"),
        ("default_transaction_isolation", "read committed"),
        ("client_connection_check_interval", "5s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "30000"),
        ("application_name", "collector"),
    ] {
        assert_eq!(ask(&mut connected, &format!("SHOW {setting}")).await, value, "{setting}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_passed_over() {
    let port = testkit::shared().port();
    let closed = free_port().expect("a port");
    let both = format!("host=127.0.0.1,localhost port={closed},{port} dbname=postgres");
    let connected = connect(&both).await.expect("the second one");
    assert_eq!(connected.driver.server(), format!("localhost:{port}/postgres"));
    let random = format!("{both} load_balance_hosts=random");
    connect(&random).await.expect("either way");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = silent.local_addr().expect("address").port();
    for mode in ["disable", "require"] {
        let conninfo = format!("host=127.0.0.1 port={port} connect_timeout=1 sslmode={mode}");
        let error = connect(&conninfo).await.expect_err("no answer");
        assert_eq!(
            error.to_string(),
            format!("127.0.0.1:{port}/postgres: no connection within 1 s")
        );
        assert!(!error.will_not_mend());
    }
}

#[tokio::test]
async fn the_password_file_is_looked_at() {
    let database = database().await;
    let dir = tempfile::tempdir().expect("temp dir");
    let path = file(&dir, "pass", "*:*:*:postgres:hush\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let target = target(&format!("{} passfile={}", database.conninfo(), path.display()));
    assert!(target.describe().ends_with("password=passfile"), "{target}");
    target.connect().await.expect("connect");
}

#[tokio::test]
async fn notifications_come_through_the_driver_and_the_end_is_told_once() {
    let database = database().await;
    let mut connected = connect(database.url()).await.expect("connect");
    execute(&mut connected, "LISTEN news").await;
    database.execute("NOTIFY news, 'hello'").await.expect("notify");
    match connected.driver.next().await {
        Some(Ok(AsyncMessage::Notification(n))) => assert_eq!(n.payload(), "hello"),
        other => panic!("not a notification: {other:?}"),
    }
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.execute(end).await.expect("terminate");
    let error = connected.driver.next().await.expect("why").expect_err("it ended");
    assert_eq!(error.code().map(|code| code.code()), Some("57P01"));
    assert!(connected.driver.next().await.is_none());
    assert!(connected.client.is_closed());
}

#[tokio::test]
async fn what_ended_the_connection_ends_the_work_on_it() {
    let database = database().await;
    let mut connected = connect(database.url()).await.expect("connect");
    let work = connected.client.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())");
    let done = connected.driver.run(work).await;
    let code = match done {
        Err(error) | Ok(Err(error)) => error.code().map(|code| code.code().to_owned()),
        Ok(Ok(())) => None,
    };
    assert_eq!(code.as_deref(), Some("57P01"));
}
