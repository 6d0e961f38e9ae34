//! Connecting to PostgreSQL the way libpq's users expect it: URI or `key=value`, `PG…` variables,
//! Unix socket, password file, `sslmode`, several hosts.
//!
//! [`Target`] is what a connection string means; [`Target::connect`] goes there. The protocol itself
//! is tokio-postgres, the encryption rustls.
//!
//! Where we differ from libpq, on purpose:
//! * What we cannot do is refused and not passed over: services, client certificates, CRLs, Kerberos
//!   encryption, `require_auth`, `requirepeer`, abstract sockets. (libpq also uses a client certificate
//!   in `~/.postgresql` unasked; we have none.)
//! * `target_session_attrs` is `any`, `read-write` or `primary`, the last two meaning the same: we write.
//! * A name must be among the certificate's alternative names; its common name does not count. X.509
//!   version 1 certificates are refused in every mode that uses TLS (`prefer` goes on without).
//! * `sslrootcert` that names a missing file is an error with `sslmode=require`, too. With `prefer` and
//!   `allow` nothing is verified even if there is a root file.
//! * A `@` in the host or the database name of a URI is written `%40`: unescaped it is nearly always
//!   part of a password with another `@` or a `/` in it, and must not be shown.
//! * `connect_timeout` is 5 s unless said, and includes the name's look-up, TLS and the login; keepalives
//!   are on and quick.
//! * `prefer` tries again without TLS, and `allow` with it, only when the refusal can have to do with
//!   that, not after a wrong password.

mod connect;
mod conninfo;
mod describe;
mod driver;
mod error;
mod hosts;
mod options;
mod os;
mod passfile;
mod session_settings;
mod target;
mod tls;
mod tls_verify;

pub use connect::Connected;
pub use driver::Driver;
pub use error::ConnectError;
pub use os::Os;
pub use target::Target;
