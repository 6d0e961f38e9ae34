//! From a host's name to a connection that takes mail: TCP, greeting, TLS, EHLO, AUTH.
//!
//! Until the connection is encrypted nothing is taken from the server but whole answers, read byte
//! by byte, so that nothing said in the clear can be read as said under TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::meaning::{self, Stage};
use super::replies::Replies;
use super::settings::{Security, SmtpSettings};
use super::wire::Wire;
use crate::transport::Outcome;

/// Longest answer that is read in the clear, in bytes.
const CLEAR_ANSWER_BYTES_MAX: usize = 8 * 1024;

/// How long a goodbye may take.
const QUIT_WITHIN: Duration = Duration::from_secs(1);

/// A connection that takes mail.
pub(super) struct Connection {
    pub(super) smtp: AsyncSmtpConnection,
    /// Whether commands may be sent before earlier ones are answered.
    pub(super) pipelining: bool,
    pub(super) replies: Replies,
    /// Whether a mail has gone over it: then the server may hang up any moment, and owes us nothing.
    pub(super) used: bool,
    resting_since: Option<Instant>,
}

impl Connection {
    /// Opens one, within `patience`.
    pub(super) async fn open(
        settings: &SmtpSettings,
        tls: Option<&Arc<ClientConfig>>,
        patience: Duration,
    ) -> Result<Self, Outcome> {
        let mut stage = Stage::Connect;
        let opened = timeout(patience, open(settings, tls, patience, &mut stage)).await;
        opened.unwrap_or_else(|_| Err(meaning::silence(stage, "no answer in time")))
    }

    /// Ready for the next call.
    pub(super) fn rest(mut self) -> Self {
        self.resting_since = Some(Instant::now());
        self
    }

    /// For how long it has rested.
    pub(super) fn rested(&self) -> Duration {
        self.resting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Says goodbye. What comes back is of no interest: all mail is answered for.
    pub(super) async fn quit(mut self) {
        self.replies.asking(1);
        _ = timeout(QUIT_WITHIN, self.smtp.quit()).await;
    }
}

async fn open(
    settings: &SmtpSettings,
    tls: Option<&Arc<ClientConfig>>,
    patience: Duration,
    stage: &mut Stage,
) -> Result<Connection, Outcome> {
    let fault = |error: io::Error| {
        meaning::silence(Stage::Connect, &format!("{}:{}: {error}", settings.host, settings.port))
    };
    let stream = connect(settings, patience).await.map_err(fault)?;
    // A mail is one write and then a wait: nothing is won by holding its end back.
    stream.set_nodelay(true).map_err(fault)?;
    let hello = hello(&stream);
    let wire = match (tls, settings.security) {
        (Some(tls), Security::Implicit) => {
            let stream = encrypt(stream, settings, tls).await?;
            Wire::tls(stream, b"").map_err(fault)?
        }
        (Some(tls), _) => {
            let (stream, greeting) = start_tls(stream, settings, tls, &hello, stage).await?;
            Wire::tls(stream, &greeting).map_err(fault)?
        }
        (None, _) => Wire::plain(stream),
    };
    *stage = Stage::Greeting;
    let replies = wire.replies();
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(wire), &hello).await;
    let mut smtp = connected.map_err(|error| {
        let stage = if replies.welcome() { Stage::Hello } else { Stage::Greeting };
        answer(stage, &error)
    })?;
    let pipelining = replies.offers("PIPELINING");
    if let Some(login) = &settings.login {
        *stage = Stage::Auth;
        let mechanism = settings
            .mechanisms
            .iter()
            .find(|&&mechanism| smtp.server_info().supports_auth_mechanism(mechanism));
        let Some(mechanism) = mechanism else {
            let reason = "AUTH: the server offers no way to log in that MAILROOM_SMTP_AUTH allows";
            return Err(Outcome::Misconfigured { reason: reason.to_owned(), hold: false });
        };
        let credentials = Credentials::new(login.username.clone(), login.password.clone());
        let said = smtp.auth(&[*mechanism], &credentials).await;
        let said = said.map_err(|error| answer(Stage::Auth, &error))?;
        if !said.has_code(235) {
            return Err(out_of_place(Stage::Auth, &said));
        }
    }
    replies.count_from_here();
    Ok(Connection { smtp, pipelining, replies, used: false, resting_since: None })
}

/// The first of the host's addresses that answers; each has its share of the time.
async fn connect(settings: &SmtpSettings, patience: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((settings.host.as_str(), settings.port)).await?.collect();
    let share = patience / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        }
    }
    Err(failed)
}

/// Who we say we are: our address on this connection, which is never a lie.
fn hello(stream: &TcpStream) -> ClientId {
    match stream.local_addr().map(|address| address.ip()) {
        Ok(std::net::IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        Ok(std::net::IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        Err(_) => ClientId::default(),
    }
}

/// Greeting, EHLO and STARTTLS in the clear, then TLS. Returns the greeting, too.
async fn start_tls(
    mut stream: TcpStream,
    settings: &SmtpSettings,
    tls: &Arc<ClientConfig>,
    hello: &ClientId,
    stage: &mut Stage,
) -> Result<(tokio_rustls::client::TlsStream<TcpStream>, Vec<u8>), Outcome> {
    *stage = Stage::Greeting;
    let (greeting, _) = clear(&mut stream, *stage, None, 220).await?;
    *stage = Stage::Hello;
    let (_, offered) = clear(&mut stream, *stage, Some(&format!("EHLO {hello}\r\n")), 250).await?;
    if !offered.lines().any(|line| keyword(line).eq_ignore_ascii_case("STARTTLS")) {
        return Err(meaning::untrusted(
            "STARTTLS: the server does not offer it, or somebody in between took it away; nothing \
             was sent (MAILROOM_SMTP_TLS=implicit for a port that is encrypted from the start)",
        ));
    }
    *stage = Stage::StartTls;
    clear(&mut stream, *stage, Some("STARTTLS\r\n"), 220).await?;
    Ok((encrypt(stream, settings, tls).await?, greeting))
}

/// Says something in the clear and reads the answer, which must have this code. Returns it as bytes,
/// and its lines without their codes.
async fn clear(
    stream: &mut TcpStream,
    stage: Stage,
    say: Option<&str>,
    expected: u16,
) -> Result<(Vec<u8>, String), Outcome> {
    let fault = |error: io::Error| meaning::silence(stage, &error.to_string());
    if let Some(say) = say {
        stream.write_all(say.as_bytes()).await.map_err(fault)?;
    }
    let mut bytes = Vec::new();
    let mut line = Vec::new();
    let mut text = String::new();
    let code = loop {
        let byte = match stream.read_u8().await {
            Ok(byte) => byte,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(meaning::silence(stage, "the server hung up"));
            }
            Err(error) => return Err(fault(error)),
        };
        bytes.push(byte);
        line.push(byte);
        if bytes.len() > CLEAR_ANSWER_BYTES_MAX {
            return Err(meaning::silence(stage, "the answer is too long"));
        }
        if byte != b'\n' {
            continue;
        }
        let said = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        let code = said.get(..3).and_then(|code| code.parse::<u16>().ok());
        let Some(code) = code.filter(|code| (200..600).contains(code)) else {
            return Err(meaning::silence(stage, "not an answer of SMTP"));
        };
        let rest = said.get(3..).unwrap_or_default();
        text.push_str(rest.get(1..).unwrap_or_default());
        text.push('\n');
        if !rest.starts_with('-') {
            break code;
        }
    };
    if code == expected {
        Ok((bytes, text))
    } else {
        Err(meaning::refused(stage, code, text.trim_end()))
    }
}

async fn encrypt(
    stream: TcpStream,
    settings: &SmtpSettings,
    tls: &Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Outcome> {
    let name = ServerName::try_from(settings.host.clone()).map_err(|_| {
        meaning::untrusted("TLS: MAILROOM_SMTP_HOST is no name a certificate can have")
    })?;
    let encrypted = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    encrypted.map_err(|error| {
        let certificate = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .is_some_and(|inner| matches!(inner, rustls::Error::InvalidCertificate(_)));
        if certificate {
            meaning::untrusted(&format!(
                "TLS: {error}; nothing was sent (MAILROOM_SMTP_CA_FILE names certificates to trust)"
            ))
        } else {
            meaning::silence(Stage::StartTls, &format!("TLS: {error}"))
        }
    })
}

fn keyword(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// What an error of lettre's means at this stage: the server's no, or nothing that is an answer.
pub(super) fn answer(stage: Stage, error: &lettre::transport::smtp::Error) -> Outcome {
    match error.status() {
        Some(code) => {
            let said = error.to_string();
            let text = said.split_once("): ").map_or("", |(_, text)| text);
            meaning::refused(stage, u16::from(code), text)
        }
        None => {
            let mut what = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(inner) = source {
                let inner_text = inner.to_string();
                if !what.contains(&inner_text) {
                    what = format!("{what}: {inner_text}");
                }
                source = inner.source();
            }
            meaning::silence(stage, &what)
        }
    }
}

/// An answer that is good, but not the one that belongs here.
pub(super) fn out_of_place(stage: Stage, said: &Response) -> Outcome {
    let code = u16::from(said.code());
    meaning::silence(stage, &format!("an answer out of place: {code}"))
}
