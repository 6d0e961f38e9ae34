//! Networks that fail: what was provably not sent, and what may have been.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{Rig, activations, classes, reason};
use crate::server::{Reply, Server};

async fn class_at(endpoint: &str) -> (Vec<&'static str>, String) {
    let outcomes = Rig::new(endpoint).send(&activations(&["a@example.org"; 2])).await;
    (classes(&outcomes), reason(&outcomes[0]).to_owned())
}

#[tokio::test]
async fn refused_is_not_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (classes, reason) = class_at(&format!("http://127.0.0.1:{port}")).await;
    assert_eq!(classes, ["deferred"; 2]);
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_not_sent() {
    let (classes, reason) = class_at("http://ses.invalid").await;
    assert_eq!(classes, ["deferred"; 2], "{reason}");
}

#[tokio::test]
async fn no_connection_in_time_is_not_sent() {
    // A listener with a full queue leaves the next connection unanswered.
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let any = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
    rustix::net::bind(&socket, &any).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let _filling: Vec<_> = (0..4)
        .map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)))
        .collect();
    let (classes, reason) = class_at(&format!("http://{address}")).await;
    assert_eq!(classes, ["deferred"; 2], "{reason}");
    assert!(reason.contains("connect timeout"), "{reason}");
}

#[tokio::test]
async fn no_tls_is_not_sent() {
    let server = Server::start(|_| Reply::Cut(Vec::new()));
    let (classes, reason) = class_at(&server.url.replace("http:", "https:")).await;
    assert_eq!(classes, ["deferred"; 2], "{reason}");
}

#[tokio::test]
async fn a_connection_cut_before_the_answer_is_ambiguous_and_not_repeated() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"BulkEmail",
        b"not HTTP at all\r\n\r\n",
    ] {
        let server = Server::start(move |_| Reply::Cut(bytes.to_vec()));
        let (classes, reason) = class_at(&server.url).await;
        assert_eq!(classes, ["ambiguous"; 2], "{reason}");
        assert_eq!(server.requests().len(), 1, "{reason}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_ambiguous_and_not_repeated() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"Bulk"] {
        let server = Server::start(move |_| Reply::Hang(bytes.to_vec()));
        let start = Instant::now();
        let (classes, reason) = class_at(&server.url).await;
        assert_eq!(classes, ["ambiguous"; 2], "{reason}");
        assert!(reason.starts_with("no answer in time"), "{reason}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(server.requests().len(), 1, "{reason}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_until_the_server_closes_it() {
    for (header, connections) in [("connection: close", 3), ("connection: keep-alive", 1)] {
        let body = r#"{"BulkEmailEntryResults":[{"Status":"SUCCESS"}]}"#;
        let server = Server::start(move |_| Reply::text("200 OK", header, body));
        let rig = Rig::new(&server.url);
        for _ in 0..3 {
            let outcomes = rig.send(&activations(&["a@example.org"])).await;
            assert_eq!(classes(&outcomes), ["sent"]);
        }
        assert_eq!(server.connections(), connections, "{header}");
    }
}
