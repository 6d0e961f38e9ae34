//! A server's side of TLS.

use std::sync::Arc;

use anyhow::Context;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, version};

use crate::certificates::Certificate;

/// Presents this certificate.
pub(crate) fn acceptor(certificate: &Certificate) -> anyhow::Result<TlsAcceptor> {
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
