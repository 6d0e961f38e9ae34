//! Servers that present certificates.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use testkit::{Certificate, Options, Postgres};

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
