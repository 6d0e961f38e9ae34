//! The stream under an SMTP connection, in the clear or encrypted.
//!
//! lettre's connection begins with the server's greeting. After STARTTLS there is none, so the wire
//! plays the one that came before the upgrade once more. And lettre forgets of the answer to EHLO what
//! it does not know; to ask again is an error to OpenSMTPD. So the wire can be overheard.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// More than this, in bytes, of what a server says is not kept.
const OVERHEARD_BYTES_MAX: usize = 8 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// Bytes of a greeting that are still to be read.
    greeting: Vec<u8>,
    overheard: Weak<Mutex<Vec<u8>>>,
}

/// What the server has said, as far as it was read; kept up as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Overheard(Arc<Mutex<Vec<u8>>>);

impl Overheard {
    /// Whether the server has said that we are welcome.
    pub(super) fn welcome(&self) -> bool {
        lock(&self.0).starts_with(b"220")
    }

    /// Whether the server offers this, in its answer to EHLO.
    pub(super) fn offers(&self, wanted: &str) -> bool {
        let said = lock(&self.0);
        String::from_utf8_lossy(&said)
            .lines()
            .filter_map(|line| line.strip_prefix("250"))
            .filter_map(|line| line.get(1..)?.split_whitespace().next())
            .any(|keyword| keyword.eq_ignore_ascii_case(wanted))
    }
}

fn lock(said: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// In the clear; the server speaks first.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), greeting: Vec::new(), overheard: Weak::new() }
    }

    /// Encrypted; `greeting` is read before anything that comes from the server.
    pub(super) fn tls(stream: TlsStream<TcpStream>, greeting: Vec<u8>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), greeting, overheard: Weak::new() }
    }

    /// Overhears what is read from now on.
    pub(super) fn overhear(&mut self) -> Overheard {
        let overheard = Overheard::default();
        self.overheard = Arc::downgrade(&overheard.0);
        overheard
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let part = self.greeting.len().min(buf.remaining());
            buf.put_slice(&self.greeting.drain(..part).collect::<Vec<u8>>());
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.poll_stream(cx, buf);
        if let Some(overheard) = self.overheard.upgrade()
            && let Some(new) = buf.filled().get(before..)
        {
            let mut overheard = lock(&overheard);
            let room = OVERHEARD_BYTES_MAX.saturating_sub(overheard.len()).min(new.len());
            overheard.extend(new.iter().take(room));
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.stream {
            Stream::Plain(stream) => stream.peer_addr(),
            Stream::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}
