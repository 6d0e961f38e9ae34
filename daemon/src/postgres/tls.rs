//! `sslmode` and its relatives: whether to encrypt, and what to verify.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslNegotiation;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::Options;
use super::os::Os;
use super::tls_verify::{Unverified, Verified};

/// The values of `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

pub(super) const MODES: [(&str, Mode); 6] = [
    ("disable", Mode::Disable),
    ("allow", Mode::Allow),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

/// Where trust begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// The certificates of the operating system.
    System,
    /// Those in a PEM file.
    File(PathBuf),
    /// Those in `~/.postgresql/root.crt` if there is such a file.
    HomeFile(PathBuf),
    /// No home directory, and nothing was said.
    Nowhere,
}

/// How to encrypt. Certificates are read for each connection, so that renewed ones count, and only if
/// `mode` needs them.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) mode: Mode,
    pub(super) roots: Roots,
    pub(super) negotiation: SslNegotiation,
    server_name: bool,
}

impl Tls {
    /// # Errors
    /// Words that are none, combinations that make no sense, roots that are needed and not there.
    pub(super) fn from_options(options: &Options, os: &Os) -> Result<Self, String> {
        let system = options.text("sslrootcert") == Some("system");
        let default = if system { Mode::VerifyFull } else { Mode::Prefer };
        let mode = options.one_of("sslmode", default, &MODES)?;
        if system && mode != Mode::VerifyFull {
            return Err("sslrootcert=system goes with sslmode=verify-full only".to_owned());
        }
        let direct = [("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];
        let negotiation = options.one_of("sslnegotiation", SslNegotiation::Postgres, &direct)?;
        if negotiation == SslNegotiation::Direct && mode < Mode::Require {
            return Err("sslnegotiation=direct goes with sslmode=require or stronger".to_owned());
        }
        let roots = match options.text("sslrootcert") {
            Some("system") => Roots::System,
            Some(path) => Roots::File(path.into()),
            None => os
                .home
                .as_ref()
                .map_or(Roots::Nowhere, |home| Roots::HomeFile(home.join(".postgresql/root.crt"))),
        };
        let server_name = options.one_of("sslsni", true, &[("0", false), ("1", true)])?;
        let tls = Self { mode, roots, negotiation, server_name };
        if !matches!(tls.roots, Roots::System) {
            tls.trusted()?;
        }
        Ok(tls)
    }

    /// The encrypting side of a connection.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous();
        let mut config = match self.trusted()? {
            None => builder.with_custom_certificate_verifier(Arc::new(Unverified { algorithms })),
            Some(trusted) => builder.with_custom_certificate_verifier(Arc::new(Verified::new(
                algorithms,
                trusted,
                self.mode == Mode::VerifyFull,
            )?)),
        }
        .with_no_client_auth();
        config.enable_sni = self.server_name;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        // One connection at a time, and rarely a second: nothing to resume.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(MakeRustlsConnect::new(config))
    }

    /// The root certificates to verify against; `None` if nothing is to be verified. With `require` a
    /// root file turns verification on, as with libpq.
    fn trusted(&self) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
        let path = match (&self.roots, self.mode) {
            (_, Mode::Disable | Mode::Allow | Mode::Prefer) => return Ok(None),
            (Roots::System, _) => return system_roots().map(Some),
            (Roots::File(path), _) => path,
            (Roots::HomeFile(path), _) if path.exists() => path,
            (_, Mode::Require) => return Ok(None),
            (Roots::HomeFile(_) | Roots::Nowhere, _) => {
                return Err(
                    "sslmode=verify-ca and verify-full need root certificates: name a file \
                            with sslrootcert, or put it at ~/.postgresql/root.crt, or use \
                            sslrootcert=system"
                        .to_owned(),
                );
            }
        };
        let fault = |why: String| format!("root certificates {}: {why}", path.display());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
            .map_err(|error| fault(error.to_string()))?
            .collect();
        let certificates = certificates.map_err(|error| fault(error.to_string()))?;
        usable(&certificates).map_err(fault)?;
        Ok(Some(certificates))
    }
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    usable(&found.certs).map_err(|why| format!("the system's root certificates: {why}"))?;
    Ok(found.certs)
}

fn usable(certificates: &[CertificateDer<'static>]) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    let (good, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if good == 0 { Err("there is no certificate in them".to_owned()) } else { Ok(()) }
}
