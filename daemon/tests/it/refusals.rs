//! Being turned away: what is said, and whether another try can help.

use daemon::exit::{Exit, exit_of};
use daemon::postgres::ConnectError;
use testkit::{Certificate, Database, free_port};

use super::certificates;
use super::connect;

async fn refused(conninfo: &str) -> ConnectError {
    connect(conninfo).await.expect_err(conninfo)
}

fn local(dbname: &str) -> String {
    format!("host=127.0.0.1 port={} dbname={dbname}", testkit::shared().port())
}

#[tokio::test]
async fn no_such_database_and_no_such_role_need_a_person() {
    let port = testkit::shared().port();
    let error = refused(&local("nowhere")).await;
    assert_eq!(
        error.to_string(),
        format!("127.0.0.1:{port}/nowhere: database \"nowhere\" does not exist (SQLSTATE 3D000)")
    );
    assert!(error.will_not_mend());
    assert_eq!(exit_of(&anyhow::Error::new(error).context("connect")), Exit::Config);

    let error = refused(&format!("{} user=nobody", local("postgres"))).await;
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    assert!(error.will_not_mend());
}

#[tokio::test]
async fn a_password_that_is_wrong_or_missing_needs_a_person_and_is_not_shown() {
    let hba = "local all all trust\nhost all all all scram-sha-256\n";
    let certificate = Certificate::self_signed(&["db.test"]).expect("certificate");
    let server = certificates::server(&certificate, hba).await;
    let mut admin = connect(&server.conninfo("postgres")).await.expect("connect");
    super::execute(&mut admin, "CREATE ROLE mailer LOGIN PASSWORD 'right'").await;
    let login = format!("host=127.0.0.1 port={} user=mailer dbname=postgres", server.port());
    connect(&format!("{login} password=right")).await.expect("the right one");

    let error = refused(&format!("{login} password=hush")).await;
    assert_eq!(error.sqlstate(), Some("28P01"));
    assert!(error.will_not_mend() && !format!("{error} {error:?}").contains("hush"), "{error}");
    let error = refused(&login).await;
    assert!(error.to_string().contains("password missing") && error.will_not_mend(), "{error}");
}

#[tokio::test]
async fn a_server_that_turns_us_away_ends_the_search() {
    let port = testkit::shared().port();
    let two = format!("host=127.0.0.1,localhost port={port} dbname=nowhere");
    let error = refused(&two).await;
    assert_eq!(error.to_string().matches("nowhere\" does not exist").count(), 1, "{error}");
}

#[tokio::test]
async fn nobody_there_may_be_somebody_soon() {
    let closed = free_port().expect("a port");
    for conninfo in [
        format!("host=127.0.0.1,127.0.0.1 port={closed}"),
        "host=/nonexistent/run".to_owned(),
        "host=name.invalid".to_owned(),
    ] {
        let error = refused(&conninfo).await;
        assert!(!error.will_not_mend(), "{error}");
        assert_eq!(exit_of(&error.into()), Exit::Unavailable);
    }
}

#[tokio::test]
async fn a_full_server_has_room_later() {
    let database = Database::empty().await.expect("a database");
    let sql = format!("ALTER DATABASE \"{}\" CONNECTION LIMIT 0", database.name());
    database.execute(&sql).await.expect("alter");
    let role = format!("mailer_{}", database.name());
    database.execute(&format!("CREATE ROLE \"{role}\" LOGIN")).await.expect("create");
    let error = refused(&format!("{} user={role}", local(database.name()))).await;
    database.execute(&format!("DROP ROLE \"{role}\"")).await.expect("drop");
    assert_eq!(error.sqlstate(), Some("53300"), "{error}");
    assert!(!error.will_not_mend());
}

#[tokio::test]
async fn a_server_that_takes_no_writes_may_do_so_after_a_failover() {
    let read_only = format!("{} options='-c default_transaction_read_only=on'", local("postgres"));
    connect(&read_only).await.expect("any server will do");
    let error = refused(&format!("{read_only} target_session_attrs=read-write")).await;
    assert!(error.to_string().contains("database does not allow writes"), "{error}");
    assert!(!error.will_not_mend());
}

#[tokio::test]
async fn a_start_up_option_that_does_not_exist_needs_a_person() {
    let error = refused(&format!("{} options='-c no_such_thing=1'", local("postgres"))).await;
    assert_eq!(error.sqlstate(), Some("42704"), "{error}");
    assert!(error.will_not_mend());
}
