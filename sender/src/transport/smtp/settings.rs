//! What the SMTP transport is told.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use lettre::transport::smtp::authentication::Mechanism;

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Begins in the clear and must be upgraded before anything else.
    StartTls,
    /// From the first byte.
    Implicit,
    /// Not at all.
    None,
}

impl Security {
    /// The words of the setting.
    pub const WORDS: [(&'static str, Self); 3] =
        [("starttls", Self::StartTls), ("implicit", Self::Implicit), ("none", Self::None)];
}

/// Who we are to the relay.
#[derive(Clone)]
pub struct Login {
    /// The user's name.
    pub username: String,
    /// The password, or the token of XOAUTH2.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// A relay.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// The name or address of the relay; its certificate must be for this name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// Certificates to trust beside the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Who we are, if the relay asks.
    pub login: Option<Login>,
    /// Ways to say so, the best first.
    pub mechanisms: Vec<Mechanism>,
    /// The longest wait for a connection that is ready, and for any answer.
    pub timeout: Duration,
}
