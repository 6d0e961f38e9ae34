//! The stream under an SMTP connection, in the clear or encrypted.
//!
//! lettre's connection begins with the server's greeting. After STARTTLS there is none, so the wire
//! plays the one that came before the upgrade once more. And lettre forgets of the answer to EHLO what
//! it does not know; to ask again is an error to OpenSMTPD. So what is read passes by [`Replies`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::replies::Replies;

/// Read at once, in bytes.
const CHUNK_BYTES: usize = 2 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// Whole lines that are still to be read.
    heard: Vec<u8>,
    replies: Replies,
    /// The server has hung up.
    ended: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// In the clear; the server speaks first.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::new(Stream::Plain(stream))
    }

    /// Encrypted; `greeting` is read before anything that comes from the server.
    ///
    /// # Errors
    /// A greeting that is no answer.
    pub(super) fn tls(stream: TlsStream<TcpStream>, greeting: &[u8]) -> io::Result<Self> {
        let mut wire = Self::new(Stream::Tls(Box::new(stream)));
        wire.replies.hear(greeting, &mut wire.heard)?;
        Ok(wire)
    }

    fn new(stream: Stream) -> Self {
        Self { stream, heard: Vec::new(), replies: Replies::default(), ended: false }
    }

    /// What passes by.
    pub(super) fn replies(&self) -> Replies {
        self.replies.clone()
    }

    /// Hears what there is; ready when that was something, or the end.
    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, &mut chunk),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, &mut chunk),
        })?;
        self.ended = chunk.filled().is_empty();
        Poll::Ready(self.replies.hear(chunk.filled(), &mut self.heard))
    }

    /// Before a question: nothing may have been answered yet, and somebody must be there.
    fn before_a_question(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.ended {
            match self.poll_hear(cx) {
                Poll::Ready(heard) => heard?,
                Poll::Pending => break,
            }
        }
        if !self.replies.in_step() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to nothing we said"));
        }
        if self.ended {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.heard.is_empty() && !self.ended {
            ready!(self.poll_hear(cx))?;
        }
        let part = self.heard.len().min(buf.remaining());
        buf.put_slice(&self.heard.drain(..part).collect::<Vec<u8>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replies.is_to_be_said() {
            self.before_a_question(cx)?;
            self.replies.said();
        }
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
