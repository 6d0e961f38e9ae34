//! `mailroom serve` among databases that are away and clients that mean ill.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use testkit::{Answer, Database, Process, Proxy, Role, assert_quiet, eventually, shared};

use crate::serve::{Serve, ready, serve};
use crate::support::{Ran, SOON, finish};

#[tokio::test]
async fn a_database_that_is_away_is_said_at_once_and_comes_back_by_itself() {
    let db = Database::fresh().await.unwrap();
    let proxy = Proxy::start(shared().addr()).unwrap();
    let serve = Serve::start(serve(&proxy.rewrite(&db.url_as(Role::Operator))));
    serve.turns(200);
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    let said = serve.turns(503);
    assert!(said.starts_with("not ready: the database does not answer"), "{said}");
    assert_eq!(serve.get("/live").status, 200);
    let metrics = serve.scrape();
    assert_eq!(metrics.value("mailroom_up", &[]), Some(0.0));
    assert!(metrics.value("mailroom_scrape_errors_total", &[]) >= Some(1.0));
    assert!(metrics.family("mailroom_deliveries").is_none(), "what is not known is not said");
    serve.process.wait_for("event=connection_failed", SOON).unwrap();
    proxy.heal().unwrap();
    serve.turns(200);
    assert_eq!(serve.scrape().value("mailroom_up", &[]), Some(1.0));

    // One that is silent: whoever asks first waits for it, the next are told at once.
    proxy.black_hole(true);
    serve.turns(503);
    assert_eq!(serve.scrape().value("mailroom_up", &[]), Some(0.0));
    proxy.heal().unwrap();
    serve.turns(200);
    serve.stop();
    assert_quiet(
        &serve.process.stderr(),
        &["connection_lost", "connection_failed", "look_failed", "log_not_counted"],
    );
}

/// The statement is ended by the server; the connection stays.
#[tokio::test]
async fn a_table_that_is_locked_holds_nothing_up_for_long() {
    let db = Database::fresh().await.unwrap();
    let serve = Serve::of(&db);
    let locker = db.client().await.unwrap();
    locker
        .batch_execute("BEGIN; LOCK TABLE delivery_totals IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    eventually(SOON, "mailroom_up is 0", || serve.scrape().value("mailroom_up", &[]) == Some(0.0));
    // What could be read is enough for this.
    assert_eq!(serve.get("/ready").status, 200);
    serve.process.wait_for("event=look_failed", SOON).unwrap();
    locker.batch_execute("COMMIT").await.unwrap();
    eventually(SOON, "mailroom_up is 1", || serve.scrape().value("mailroom_up", &[]) == Some(1.0));
    serve.stop();
    assert_quiet(&serve.process.stderr(), &["look_failed"]);
}

#[tokio::test]
async fn hostile_requests_are_refused_and_hold_nobody_up() {
    let db = Database::fresh().await.unwrap();
    let serve = Serve::of(&db);
    let to = |request: &str| Answer::to(serve.addr, request).unwrap();
    assert_eq!(serve.get("/").status, 404);
    assert_eq!(serve.get("/metrics/../live").status, 404);
    let post = to("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nmore");
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: GET, HEAD"), "{post:?}");
    let head = to("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((head.status, &*head.body), (200, ""));
    let huge = format!("GET /live HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    assert_eq!(to(&huge).status, 431);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(100_000));
    assert!([414, 431].contains(&to(&long).status));
    let many = format!("GET /live HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    assert_eq!(to(&many).status, 431);
    assert_eq!(to("\u{0}\u{1}nonsense\r\n\r\n").status, 400);

    // More than there may be, and none of them ever says what it wants.
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(serve.addr).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(serve.get(path).status, 200);
    }
    // Each is closed, first or last, by the server.
    for mut stream in slow {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{said:?}");
    }
    serve.stop();
    assert_quiet(&serve.process.stderr(), &[]);
}

#[tokio::test]
async fn what_will_not_mend_is_said_and_ends_it() {
    let db = Database::fresh().await.unwrap();
    let wrong = finish(
        serve(&db.url_as(Role::Operator))
            .env("MAILROOM_READY_AGE", "soon")
            .env("MAILROOM_SERVE_ADDR", "localhost"),
    );
    assert_eq!(wrong.code, 78);
    let lines: Vec<&str> = wrong.err.lines().collect();
    assert!(lines[0].starts_with("mailroom: MAILROOM_SERVE_ADDR: \"localhost\" is not an address"));
    assert!(lines[1].starts_with("mailroom: MAILROOM_READY_AGE: \"soon\" is not a number"));
    assert_eq!(lines.len(), 2, "{lines:?}");

    let taken = Serve::of(&db);
    let addr = taken.addr.to_string();
    let second = finish(
        Process::new("mailroom")
            .args(["serve", "--listen", &addr])
            .env("MAILROOM_DATABASE_URL", db.url_as(Role::Operator)),
    );
    assert_eq!(second.code, 75, "{}", second.err);
    assert!(second.err.contains("event=gave_up error=\"listen on 127.0.0.1:"), "{}", second.err);

    let says = |ran: Ran, words: &str| {
        assert_eq!(ran.code, 78, "{}", ran.err);
        assert!(ran.err.contains(words), "{}", ran.err);
    };
    says(finish(serve(&db.url_as(Role::Sender))), "of mailroom_operator");
    let empty = Database::empty().await.unwrap();
    says(finish(serve(empty.url())), "run the migrations");
    says(finish(ready(empty.url())), "run the migrations");
    let nowhere = format!("{}_not_there", db.url());
    says(finish(serve(&nowhere)), "does not exist");
    says(finish(ready(&nowhere)), "does not exist");
}
