//! TLS as a client that verifies: chain and name, TLS 1.2 or newer, one provider of cryptography.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// What a client needs that trusts the operating system's root certificates (`SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name others), and those in `extra`, a PEM file.
///
/// # Errors
/// If `extra` cannot be read or holds no certificate, or there is nothing to trust.
pub fn verifying(extra: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra {
        let fault = |why: String| format!("{}: {why}", path.display());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
            .map_err(|error| fault(error.to_string()))?
            .collect();
        let certificates = certificates.map_err(|error| fault(error.to_string()))?;
        if certificates.is_empty() {
            return Err(fault("there is no certificate in it".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err("the system has no root certificates to trust: install ca-certificates".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
