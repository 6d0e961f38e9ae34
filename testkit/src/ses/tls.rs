//! The double's TLS: the certificate that it presents, and how that was received.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, version};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};

use crate::certificates::Certificate;

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

fn acceptor(certificate: &Certificate) -> anyhow::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(certificate.pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).context("read a key")?;
    let config: Result<ServerConfig, rustls::Error> =
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&version::TLS12, &version::TLS13])
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(chain.unwrap_or_default(), key)
            });
    Ok(TlsAcceptor::from(Arc::new(config.context("present a certificate")?)))
}
