//! Certificates, and servers that present them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use testkit::{Options, Postgres};

/// A certificate and its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key: String,
}

/// An authority of its own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("sign").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn certificate_for(&self, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().expect("key");
        let certificate = params_for(names).signed_by(&key, &self.issuer).expect("sign");
        Certificate { pem: certificate.pem(), key: key.serialize_pem() }
    }
}

/// What `openssl req -x509` makes: it is its own authority, and says that it is one.
pub(crate) fn self_signed(names: &[&str], expired: bool) -> Certificate {
    let key = KeyPair::generate().expect("key");
    let mut params = params_for(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if expired {
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let certificate = params.self_signed(&key).expect("sign");
    Certificate { pem: certificate.pem(), key: key.serialize_pem() }
}

fn params_for(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
        .expect("names")
}

/// A server that presents `certificate`, with these lines in `pg_hba.conf`.
pub(crate) async fn server(certificate: &Certificate, hba: &str) -> Postgres {
    let server = Postgres::start_with(&Options::fast()).expect("start PostgreSQL");
    let mut admin = super::connect(&server.conninfo("postgres")).await.expect("connect");
    for (name, text) in [("cert.pem", &certificate.pem), ("key.pem", &certificate.key)] {
        let path = server.socket_dir().join(name);
        std::fs::write(&path, text).expect("write");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("chmod");
        let owner = std::fs::metadata(server.socket_dir()).expect("metadata");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("chown");
        let setting = if name == "key.pem" { "ssl_key_file" } else { "ssl_cert_file" };
        let sql = format!("ALTER SYSTEM SET {setting} = '{}'", path.display());
        super::execute(&mut admin, &sql).await;
    }
    super::execute(&mut admin, "ALTER SYSTEM SET ssl = on").await;
    let hba_file = super::ask(&mut admin, "SHOW hba_file").await;
    std::fs::write(hba_file, hba).expect("write pg_hba.conf");
    drop(admin);
    server.stop_fast().and_then(|()| server.start_again()).expect("restart");
    server
}
