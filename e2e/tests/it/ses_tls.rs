//! TLS to SES: who is not who it says gets no request, and with it no token, address or signature.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tempfile::NamedTempFile;
use testkit::{Authority, Pipeline, Ses};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::SOON;
use crate::support::sign_up;
use crate::world::{World, stop};

const MAILS: usize = 3;

/// An authority, and the file by which a machine is told to trust it.
fn trusted() -> (Authority, NamedTempFile) {
    let authority = Authority::new("The company's own").unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &authority.pem).unwrap();
    (authority, file)
}

/// A pipe whose sender trusts the authorities in `file`, and asks at `endpoint` for its rate, too.
fn pipe(world: &World, endpoint: &str, file: &NamedTempFile) -> Pipeline {
    let sender = world
        .sender()
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("SSL_CERT_FILE", file.path())
        .env("MAILROOM_SES_RATE", "");
    Pipeline::spawn(world.collector(), sender).unwrap()
}

/// The mails were put off because of a connection that did not come about, which the log explains in
/// these words; the sender goes on.
async fn put_off(world: &World, pipe: &Pipeline, words: &str) {
    let line = pipe.sender.wait_for("event=mails_again", SOON).unwrap();
    assert!(line.contains("outcome=deferred") && line.contains("not sent: "), "{line}");
    assert!(line.contains(words), "{line}");
    let rate = pipe.sender.wait_for("event=send_rate_unknown", SOON).unwrap();
    assert!(rate.contains(words), "{rate}");
    let all_put_off = format!(
        "SELECT (SELECT count(DISTINCT token) = {MAILS} FROM delivery_log)
            AND (SELECT count(*) = {MAILS} FROM deliveries WHERE state = 'pending')"
    );
    world.db.wait_until(&all_put_off, SOON).await.unwrap();
    let others = format!(
        "SELECT count(*) FROM delivery_log
          WHERE outcome <> 'deferred' OR strpos(detail, $w${words}$w$) = 0"
    );
    assert_eq!(world.db.query_i64(&others).await.unwrap(), 0, "provably not sent, and why");
    assert!(pipe.sender.is_running().unwrap());
    assert_eq!((world.ses.calls().len(), world.ses.account_calls()), (0, 0));
}

/// Now that the peer is the right one, each mail goes out once.
async fn mended(world: &World, pipe: &Pipeline) {
    world.settled().await;
    stop(pipe);
    world.each_mailed_once(MAILS).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["mails_again"]).await;
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_ssl_cert_file() {
    let (authority, file) = trusted();
    let mut world = World::new().await;
    world.ses = Ses::start_tls(&authority.certificate_for(&["localhost"]).unwrap()).unwrap();
    world.db.execute(&sign_up("trusting", MAILS)).await.unwrap();
    let pipe = pipe(&world, &world.ses.url(), &file);
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(MAILS).await;
    assert_eq!(world.ses.account_calls(), 1, "the rate was asked for over TLS, too");
    assert!(world.ses.handshakes().complete > 0);
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

/// Nothing is sent to a peer with this certificate, and all when it has a better one.
async fn refused(kind: Kind, words: &str) {
    let (authority, file) = trusted();
    let names = ["localhost"];
    let certificate = match kind {
        Kind::WrongName => authority.certificate_for(&["email.example.com", "127.0.0.2"]),
        Kind::UnknownAuthority => Authority::new("Another").unwrap().certificate_for(&names),
        Kind::Impostor => Authority::new("The company's own").unwrap().certificate_for(&names),
        Kind::Expired => authority.expired_certificate_for(&names),
    };
    let mut world = World::new().await;
    world.ses = Ses::start_tls(&certificate.unwrap()).unwrap();
    world.db.execute(&sign_up("wary", MAILS)).await.unwrap();
    let pipe = pipe(&world, &world.ses.url(), &file);
    put_off(&world, &pipe, words).await;
    testkit::eventually(SOON, "both were refused", || world.ses.handshakes().refused >= 2);
    assert_eq!(world.ses.handshakes().complete, 0);
    world.ses.present(&authority.certificate_for(&names).unwrap()).unwrap();
    mended(&world, &pipe).await;
}

enum Kind {
    WrongName,
    UnknownAuthority,
    /// Has the name of one that is trusted, and not its key.
    Impostor,
    Expired,
}

#[tokio::test]
async fn a_certificate_for_another_name_is_given_nothing() {
    refused(Kind::WrongName, "invalid peer certificate: certificate not valid for name").await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_given_nothing() {
    refused(Kind::UnknownAuthority, "invalid peer certificate: UnknownIssuer").await;
}

#[tokio::test]
async fn a_certificate_that_only_claims_its_authority_is_given_nothing() {
    refused(Kind::Impostor, "invalid peer certificate: BadSignature").await;
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_given_nothing() {
    refused(Kind::Expired, "invalid peer certificate: certificate expired").await;
}

/// A peer that answers whatever comes with the same bytes, until it steps aside.
struct Stranger {
    addr: SocketAddr,
    state: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<Vec<u8>>,
    aside: bool,
}

impl Stranger {
    async fn before(behind: SocketAddr, answer: &'static [u8]) -> Stranger {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (addr, state) = (listener.local_addr().unwrap(), Arc::<Mutex<Seen>>::default());
        let seen = state.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    if seen.lock().unwrap().aside {
                        let mut behind = TcpStream::connect(behind).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
                        return;
                    }
                    let mut first = vec![0; 4096];
                    let read = stream.read(&mut first).await.unwrap();
                    first.truncate(read);
                    let _ = stream.write_all(answer).await;
                    let _ = stream.shutdown().await;
                    // And whatever the client has to say to that.
                    let _ = stream.read_to_end(&mut first).await;
                    seen.lock().unwrap().bytes.push(first);
                });
            }
        });
        Stranger { addr, state }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.addr.port())
    }
}

async fn strange(answer: &'static [u8], words: &str) {
    let (authority, file) = trusted();
    let mut world = World::new().await;
    world.ses = Ses::start_tls(&authority.certificate_for(&["localhost"]).unwrap()).unwrap();
    world.db.execute(&sign_up("estranged", MAILS)).await.unwrap();
    let stranger = Stranger::before(world.ses.addr(), answer).await;
    let pipe = pipe(&world, &stranger.url(), &file);
    put_off(&world, &pipe, words).await;
    let heard = || stranger.state.lock().unwrap().bytes.len();
    testkit::eventually(SOON, "both have said what they had to say", || heard() >= 2);
    let seen = {
        let mut state = stranger.state.lock().unwrap();
        state.aside = true;
        std::mem::take(&mut state.bytes)
    };
    for bytes in seen {
        assert_eq!(bytes.get(..2), Some(&[0x16, 3][..]), "a greeting of TLS");
        let text = String::from_utf8_lossy(&bytes);
        for word in ["POST", "uthorization", "AKIATEST", "estranged", "mail.example", "noreply"] {
            assert!(!text.contains(word), "{word} was sent: {text:?}");
        }
    }
    mended(&world, &pipe).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_tls_is_given_nothing() {
    let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    strange(answer, "InvalidContentType").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_speaks_only_tls_1_1_is_given_nothing() {
    // ServerHello of version 3.2 with TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no session, no extensions.
    const HELLO: [u8; 47] = {
        let mut hello = [0x5a; 47];
        let start = [0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        let end = [0, 0xc0, 0x13, 0];
        let mut at = 0;
        while at < start.len() {
            hello[at] = start[at];
            at += 1;
        }
        at = 0;
        while at < end.len() {
            hello[start.len() + 32 + at] = end[at];
            at += 1;
        }
        hello
    };
    strange(&HELLO, "ServerDoesNotSupportTls12Or13").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_refuses_our_versions_of_tls_is_given_nothing() {
    // The alert protocol_version, which a server says that knows 1.1 at most.
    strange(&[0x15, 3, 2, 0, 2, 2, 70], "ProtocolVersion").await;
}
