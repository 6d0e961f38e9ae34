use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use testkit::{Proxy, shared};

use crate::SOON;

/// How long a test looks at what must not happen.
const A_WHILE: Duration = Duration::from_millis(100);

/// A server that sends back what it gets, each connection on a thread.
fn echo() -> anyhow::Result<Proxy> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let Ok(mut back) = stream.try_clone() else { return };
                let _ = std::io::copy(&mut &stream, &mut back);
            });
        }
    });
    Proxy::start(addr)
}

fn connect(proxy: &Proxy) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(proxy.addr())?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

fn ping(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"ping")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"ping");
    Ok(())
}

#[test]
fn bytes_and_the_end_of_them_go_both_ways() -> anyhow::Result<()> {
    let proxy = echo()?;
    let mut stream = connect(&proxy)?;
    ping(&mut stream)?;
    let mut writer = stream.try_clone()?;
    let sent = vec![7; 3_000_000];
    let size = sent.len();
    let thread = std::thread::spawn(move || {
        writer.write_all(&sent)?;
        writer.shutdown(std::net::Shutdown::Write)
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    assert_eq!(got.len(), size);
    thread.join().unwrap()?;
    Ok(())
}

#[test]
fn a_cut_is_a_reset() -> anyhow::Result<()> {
    let proxy = echo()?;
    let mut stream = connect(&proxy)?;
    ping(&mut stream)?;
    proxy.cut()?;
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    ping(&mut connect(&proxy)?)?;
    Ok(())
}

#[test]
fn refusal_concerns_new_connections_only() -> anyhow::Result<()> {
    let proxy = echo()?;
    let mut old = connect(&proxy)?;
    ping(&mut old)?;
    proxy.refuse(true)?;
    proxy.refuse(true)?;
    assert_eq!(connect(&proxy).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    ping(&mut old)?;
    proxy.heal()?;
    ping(&mut connect(&proxy)?)?;
    Ok(())
}

#[test]
fn a_black_hole_holds_everything_back() -> anyhow::Result<()> {
    let proxy = echo()?;
    let mut old = connect(&proxy)?;
    ping(&mut old)?;
    proxy.black_hole(true);
    let mut new = connect(&proxy)?;
    for stream in [&mut old, &mut new] {
        stream.set_read_timeout(Some(A_WHILE))?;
        let silence = ping(stream).unwrap_err().kind();
        assert!(matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence:?}");
    }
    proxy.heal()?;
    for stream in [&mut old, &mut new] {
        stream.set_read_timeout(Some(SOON))?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"ping");
    }
    Ok(())
}

#[test]
fn what_is_abandoned_stays_so_and_new_connections_work() -> anyhow::Result<()> {
    let proxy = echo()?;
    let mut old = connect(&proxy)?;
    ping(&mut old)?;
    proxy.abandon()?;
    ping(&mut connect(&proxy)?)?;
    proxy.heal()?;
    old.set_read_timeout(Some(A_WHILE))?;
    let silence = ping(&mut old).unwrap_err().kind();
    assert!(matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence:?}");
    proxy.cut()?;
    assert_eq!(old.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    Ok(())
}

/// The server has heard everything: what it counts says so.
#[tokio::test]
async fn a_mute_server_hears_and_its_answers_are_lost() -> anyhow::Result<()> {
    let proxy = Proxy::start(shared().addr())?;
    let database = testkit::Database::empty().await?;
    let url = proxy.rewrite(database.url());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    proxy.mute(true)?;
    let unanswered =
        tokio::spawn(async move { client.batch_execute("CREATE TABLE heard ()").await });
    database.wait_until("SELECT to_regclass('heard') IS NOT NULL", SOON).await?;
    assert!(!unanswered.is_finished());
    proxy.cut()?;
    assert!(unanswered.await?.is_err());
    assert!(connection.await?.is_err());
    proxy.heal()?;
    let again = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
    assert!(again.is_ok());
    Ok(())
}

#[test]
fn an_upstream_that_is_not_there_is_a_reset() -> anyhow::Result<()> {
    let proxy = Proxy::start((Ipv4Addr::LOCALHOST, testkit::free_port()?))?;
    assert_eq!(connect(&proxy)?.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    Ok(())
}

/// A process that is being spawned holds copies of our sockets until it executes its program.
#[test]
fn it_listens_and_listens_again_while_processes_are_spawned() -> anyhow::Result<()> {
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    // What is set here is set by code of ours, between fork and exec.
                    let mut child = Command::new("true").process_group(0).spawn().unwrap();
                    child.wait().unwrap();
                }
            });
        }
        let outcome = (0..300).try_for_each(|_| {
            let proxy = Proxy::start((Ipv4Addr::LOCALHOST, 1))?;
            proxy.refuse(true)?;
            proxy.refuse(false)
        });
        enough.store(true, Ordering::Relaxed);
        outcome
    })
}

#[tokio::test]
async fn a_database_is_reached_through_it() -> anyhow::Result<()> {
    let proxy = Proxy::start(shared().addr())?;
    let url = proxy.rewrite(&shared().url("postgres"));
    assert!(url.contains(&proxy.port().to_string()), "{url}");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client.simple_query("SELECT 1").await?;
    proxy.cut()?;
    assert!(connection.await.context("join")?.is_err());
    assert!(client.simple_query("SELECT 1").await.is_err());
    Ok(())
}
