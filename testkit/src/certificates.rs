//! Certificates of every kind, and the authorities that sign them.

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub pem: String,
    /// Its private key.
    pub key: String,
}

/// An authority of its own, which nobody trusts who is not told to.
#[derive(Debug)]
pub struct Authority {
    /// Its own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// An authority called so.
    ///
    /// # Errors
    ///
    /// If there is no randomness to be had, or the like.
    pub fn new(name: &str) -> anyhow::Result<Authority> {
        let key = KeyPair::generate().context("make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).context("sign a certificate")?.pem();
        Ok(Authority { pem, issuer: Issuer::new(params, key) })
    }

    /// A certificate for these names and addresses.
    ///
    /// # Errors
    ///
    /// If one of them cannot be a name.
    pub fn certificate_for(&self, names: &[&str]) -> anyhow::Result<Certificate> {
        self.sign(&params_for(names)?)
    }

    /// Likewise, but its time was over long ago.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn expired_certificate_for(&self, names: &[&str]) -> anyhow::Result<Certificate> {
        self.sign(&expired(params_for(names)?))
    }

    fn sign(&self, params: &CertificateParams) -> anyhow::Result<Certificate> {
        let key = KeyPair::generate().context("make a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("sign a certificate")?;
        Ok(Certificate { pem: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Certificate {
    /// What `openssl req -x509` makes: it is its own authority, and says that it is one.
    ///
    /// # Errors
    ///
    /// If one of the names cannot be one.
    pub fn self_signed(names: &[&str]) -> anyhow::Result<Certificate> {
        own(params_for(names)?)
    }

    /// Likewise, but its time was over long ago.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn expired_self_signed(names: &[&str]) -> anyhow::Result<Certificate> {
        own(expired(params_for(names)?))
    }
}

fn own(mut params: CertificateParams) -> anyhow::Result<Certificate> {
    let key = KeyPair::generate().context("make a key")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).context("sign a certificate")?;
    Ok(Certificate { pem: certificate.pem(), key: key.serialize_pem() })
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_after = date_time_ymd(2020, 1, 1);
    params
}

fn params_for(names: &[&str]) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).context("the names of a certificate")
}
