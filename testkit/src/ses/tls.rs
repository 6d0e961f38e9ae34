//! The double's TLS: the certificate that it presents, and how that was received.

use std::sync::{Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::Certificate;
use crate::tls::acceptor;

/// How connections to the double began. Before its handshake is complete, nothing that a client
/// says is more than a greeting; if it is refused, nothing more comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// The client took the certificate.
    pub complete: usize,
    /// It did not, or went away.
    pub refused: usize,
}

pub(super) struct Tls {
    acceptor: Mutex<TlsAcceptor>,
    handshakes: Mutex<Handshakes>,
}

impl Tls {
    pub(super) fn presenting(certificate: &Certificate) -> anyhow::Result<Tls> {
        let acceptor = Mutex::new(acceptor(certificate)?);
        Ok(Tls { acceptor, handshakes: Mutex::default() })
    }

    pub(super) fn present(&self, certificate: &Certificate) -> anyhow::Result<()> {
        let acceptor = acceptor(certificate)?;
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }

    pub(super) fn handshakes(&self) -> Handshakes {
        *self.handshakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if the client wants it.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = acceptor.accept(stream).await.ok();
        let mut handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        match stream {
            Some(_) => handshakes.complete += 1,
            None => handshakes.refused += 1,
        }
        drop(handshakes);
        stream
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("handshakes", &self.handshakes()).finish_non_exhaustive()
    }
}
