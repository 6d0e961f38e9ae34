//! Why there is no connection, and whether trying again can help.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why no server could be connected to. `Display` names each server tried as `host:port/dbname` with
/// what it said, on one line; neither passwords nor the connection string are in it.
#[derive(Debug)]
pub struct ConnectError {
    /// Server and cause, in the order tried; the last one decided. Never empty.
    failures: Vec<(String, Cause)>,
}

#[derive(Debug)]
pub(super) enum Cause {
    /// Something on our side is not as the settings want it.
    Settings(String),
    /// No connection within this time.
    Timeout(Duration),
    /// Not reached, or lost on the way.
    Network(String),
    /// The encryption failed. `lasting`: because of what one side is or presented.
    Tls { words: String, lasting: bool },
    /// One side cannot do what the other insists on: no TLS, no password, an unknown kind of login.
    Mismatch(String),
    /// The server said no.
    Server { sqlstate: String, words: String },
}

impl ConnectError {
    pub(super) fn new(failures: Vec<(String, Cause)>) -> Self {
        Self { failures }
    }

    /// Whether trying again is pointless until a person has mended something: wrong password, no such
    /// role or database, no permission, a certificate that is not trusted, TLS required and not
    /// offered. Never so for a server that is not there, is starting or is full, nor for a name that
    /// is not found, since it may be about to appear.
    pub fn will_not_mend(&self) -> bool {
        self.failures.last().is_some_and(|(_, cause)| cause.will_not_mend())
    }

    /// The SQLSTATE of the last server tried, if it came to answer.
    pub fn sqlstate(&self) -> Option<&str> {
        match self.failures.last()? {
            (_, Cause::Server { sqlstate, .. }) => Some(sqlstate),
            _ => None,
        }
    }

    /// Whether the last server tried and we did not agree on the encryption: no TLS where it is
    /// required, or a certificate that is not trusted.
    pub fn is_about_tls(&self) -> bool {
        match self.failures.last() {
            Some((_, Cause::Tls { .. })) => true,
            Some((_, Cause::Mismatch(words) | Cause::Settings(words))) => words.contains("TLS"),
            _ => false,
        }
    }
}

impl Cause {
    pub(super) fn will_not_mend(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Mismatch(_) => true,
            Self::Timeout(_) | Self::Network(_) => false,
            Self::Tls { lasting, .. } => *lasting,
            Self::Server { sqlstate, .. } => {
                // Invalid authorization; no such database, or schema; no privilege; a start-up option
                // that does not exist, or has a bad value; a feature the server does not have.
                matches!(sqlstate.get(..2), Some("28"))
                    || matches!(
                        sqlstate.as_str(),
                        "3D000" | "3F000" | "42501" | "42704" | "22023" | "0A000"
                    )
            }
        }
    }

    /// Whether the same server may welcome us with the other choice of encryption.
    pub(super) fn is_about_encryption(&self) -> bool {
        match self {
            Self::Tls { .. } => true,
            // pg_hba.conf has separate lines for encrypted and plain connections.
            Self::Server { sqlstate, .. } => sqlstate == "28000",
            _ => false,
        }
    }
}

impl From<tokio_postgres::Error> for Cause {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return Self::Server {
                sqlstate: db.code().code().to_owned(),
                words: one_line(db.message()),
            };
        }
        let words = with_sources(&error);
        let Some(source) = std::error::Error::source(&error) else { return Self::Network(words) };
        let Some(io) = source.downcast_ref::<io::Error>() else { return Self::Mismatch(words) };
        match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            None => Self::Network(words),
            Some(tls) => Self::Tls { words, lasting: is_lasting(tls) },
        }
    }
}

fn is_lasting(error: &rustls::Error) -> bool {
    use rustls::AlertDescription::{CloseNotify, InternalError, UserCanceled};
    use rustls::Error::{AlertReceived, InvalidCertificate, PeerIncompatible};
    match error {
        InvalidCertificate(_) | PeerIncompatible(_) => true,
        AlertReceived(alert) => !matches!(alert, CloseNotify | InternalError | UserCanceled),
        _ => false,
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        // An io::Error that wraps another error says what that one says.
        if !words.ends_with(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    one_line(&words)
}

fn one_line(words: &str) -> String {
    words.replace(|c: char| c.is_control(), " ")
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(words)
            | Self::Network(words)
            | Self::Tls { words, .. }
            | Self::Mismatch(words) => f.write_str(words),
            Self::Timeout(limit) => write!(f, "no connection within {} s", limit.as_secs()),
            Self::Server { sqlstate, words } => write!(f, "{words} (SQLSTATE {sqlstate})"),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (server, cause)) in self.failures.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{server}: {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(sqlstate: &str) -> Cause {
        Cause::Server { sqlstate: sqlstate.to_owned(), words: "no".to_owned() }
    }

    #[test]
    fn what_a_person_must_mend_and_what_passes() {
        for lasting in ["28000", "28P01", "3D000", "42501", "42704"] {
            assert!(server(lasting).will_not_mend(), "{lasting}");
        }
        for passing in ["57P03", "53300", "57P01", "08P01", "XX000", "55000", ""] {
            assert!(!server(passing).will_not_mend(), "{passing}");
        }
    }

    #[test]
    fn the_last_server_tried_decides() {
        let refused = || ("a:5432/x".to_owned(), Cause::Network("connection refused".to_owned()));
        let unknown = || ("b:5432/x".to_owned(), server("3D000"));
        let error = ConnectError::new(vec![refused(), unknown()]);
        assert!(error.will_not_mend());
        assert_eq!(error.sqlstate(), Some("3D000"));
        assert_eq!(
            error.to_string(),
            "a:5432/x: connection refused; b:5432/x: no (SQLSTATE 3D000)"
        );
        assert!(!ConnectError::new(vec![unknown(), refused()]).will_not_mend());
    }
}
