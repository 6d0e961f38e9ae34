use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Context;
use testkit::{Database, Options, Postgres, Process, Signal, eventually, shared};

use crate::SOON;

#[tokio::test]
async fn a_server_is_reachable_by_tcp_and_by_socket() -> anyhow::Result<()> {
    let server = shared();
    for place in
        [server.url("postgres"), server.socket_url("postgres"), server.conninfo("postgres")]
    {
        let (client, connection) =
            tokio_postgres::connect(&place, tokio_postgres::NoTls).await.context(place)?;
        tokio::spawn(connection);
        let row = client.query_one("SELECT current_user::text", &[]).await?;
        assert_eq!(row.get::<_, String>(0), "postgres");
    }
    assert!(server.socket_dir().join(format!(".s.PGSQL.{}", server.port())).exists());
    assert!(server.socket_dir().as_os_str().len() < 60);
    Ok(())
}

#[test]
fn root_does_not_run_the_server() -> anyhow::Result<()> {
    let pid = shared().pid().context("not running")?;
    assert_ne!(std::fs::metadata(format!("/proc/{pid}"))?.uid(), 0);
    Ok(())
}

#[test]
fn psql_is_found() -> anyhow::Result<()> {
    let psql = Process::at(shared().psql_path()?)
        .args(["-At", "-c", "SELECT 6 * 7"])
        .arg(shared().url("postgres"))
        .spawn()?;
    assert_eq!(psql.wait(SOON)?, 0, "{}", psql.stderr());
    assert_eq!(psql.lines(), ["42"]);
    Ok(())
}

#[tokio::test]
async fn a_server_comes_back_from_a_crash_with_what_was_committed() -> anyhow::Result<()> {
    let server = Postgres::start_with(&Options::fast().set("application_name", "it's"))?;
    let db = Database::empty_on(&server).await?;
    assert_eq!(db.query_text("SHOW application_name").await?, "it's");
    assert_eq!(db.query_text("SHOW fsync").await?, "off");
    db.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)").await?;

    let client = db.client().await?;
    let port = server.port();
    server.restart_immediate()?;
    assert!(client.simple_query("SELECT 1").await.is_err(), "the session survived");
    assert_eq!(server.port(), port);
    db.wait_until("SELECT count(*) = 2 FROM t", SOON).await?;
    assert!(server.log().contains("was not properly shut down"), "{}", server.log());

    server.stop_fast()?;
    assert_eq!(server.pid(), None);
    assert!(db.client().await.is_err());
    server.stop_fast()?;
    server.start_again()?;
    assert!(server.start_again().is_err());
    db.wait_until("SELECT count(*) = 2 FROM t", SOON).await?;

    let dir = server.socket_dir().to_owned();
    drop(server);
    assert!(!dir.exists(), "{} is still there", dir.display());
    Ok(())
}

#[test]
fn fsync_is_on_by_default() {
    assert!(Options::default().fsync);
}

#[test]
fn a_setting_that_postgres_refuses_is_told() {
    let refused = Postgres::start_with(&Options::fast().set("work_mem", "lots"));
    let words = format!("{:#}", refused.unwrap_err());
    assert!(words.contains("work_mem"), "{words}");
}

/// Not a test: the process that the next one kills.
#[test]
#[ignore = "run by the_server_ends_with_a_killed_owner"]
fn owner() -> anyhow::Result<()> {
    let server = Postgres::start_with(&Options::fast())?;
    let pid = server.pid().context("not running")?;
    let shell = Process::at("/bin/sleep").arg("1000").spawn()?;
    let dir = server.socket_dir().display();
    writeln!(std::io::stderr(), "event=started {pid} {} {dir}", shell.pid())?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

#[test]
fn the_server_ends_with_a_killed_owner() -> anyhow::Result<()> {
    let owner = Process::at(std::env::current_exe()?)
        .args(["--exact", "postgres::owner", "--ignored", "--nocapture"])
        .stdin_held()
        .spawn()?;
    let line = owner.wait_for("event=started", SOON)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [_, server, sleeper, dir] = words[..] else { panic!("{line}") };
    let dir = PathBuf::from(dir);
    assert!(dir.exists() && alive(server) && alive(sleeper));

    owner.signal(Signal::KILL)?;
    assert_eq!(owner.wait(SOON)?, 128 + 9);
    eventually(SOON, "the server to end", || !alive(server));
    eventually(SOON, "the child process to end", || !alive(sleeper));
    eventually(SOON, "the directory to go", || !dir.exists());
    Ok(())
}

fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("State:\tZ"))
}
