//! What a failed statement means for the one who asked: wait and reconnect, repeat, or give up.

use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// The classes a caller tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The connection is of no more use: open another one.
    Lost,
    /// The same statement may well succeed at once.
    Momentary,
    /// It will fail the same way until a person has mended something.
    WillNotMend,
    /// The same, and going on would break what the session stands for.
    Pooled,
    /// Ours to mend, and neither the connection nor the settings are to blame.
    Broken,
}

/// A statement failed.
#[derive(Debug, Clone)]
pub struct Trouble {
    class: Class,
    /// The statement, for the log of a program that has many.
    name: Option<String>,
    text: String,
}

impl Trouble {
    /// The connection is of no more use.
    pub fn lost(text: impl Into<String>) -> Self {
        Self { class: Class::Lost, name: None, text: text.into() }
    }

    /// Something that cannot happen did.
    pub fn broken(text: impl Into<String>) -> Self {
        Self { class: Class::Broken, name: None, text: text.into() }
    }

    /// Reads what PostgreSQL or the driver said of the statement `name`. The server's DETAIL is left
    /// out: it quotes values of rows.
    pub fn from_postgres(name: &str, error: &Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let class = if error.is_closed() || is_io(error) { Class::Lost } else { Class::Broken };
            return Self { class, name: Some(name.to_owned()), text: chain(error) };
        };
        let (class, remedy) = classify(db.code());
        let mut text = format!("{} ({})", db.message(), db.code().code());
        if let Some(remedy) = remedy {
            text.push_str("; ");
            text.push_str(remedy);
        }
        Self { class, name: Some(name.to_owned()), text }
    }

    /// The same without the statement's name, which says nothing to who has typed a command.
    #[must_use]
    pub fn unnamed(self) -> Self {
        Self { name: None, ..self }
    }

    /// The connection is of no more use.
    pub fn is_lost(&self) -> bool {
        self.class == Class::Lost
    }

    /// The same statement may succeed when it is repeated at once.
    pub fn is_momentary(&self) -> bool {
        self.class == Class::Momentary
    }

    /// Repeating is pointless before a person has mended something.
    pub fn will_not_mend(&self) -> bool {
        matches!(self.class, Class::WillNotMend | Class::Pooled)
    }

    /// The statement itself was refused: the same one will be refused again, on any connection.
    pub fn is_broken(&self) -> bool {
        self.class == Class::Broken
    }

    /// There is a transaction pooler in between: no session of ours can ever work.
    pub fn is_pooled(&self) -> bool {
        self.class == Class::Pooled
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for Trouble {}

const POOLER: &str = "Mailroom needs a connection of its own: connect to PostgreSQL directly or \
                      through a session pooler, not a transaction pooler";
const SCHEMA: &str = "the schema is missing or older than this program: run the migrations \
                      (mailroom migrate up)";
const RIGHTS: &str = "the role in MAILROOM_DATABASE_URL lacks a right: a collector's must be a member \
                      of mailroom_collector, a sender's of mailroom_sender, an operator's of \
                      mailroom_operator";

/// Codes are those of PostgreSQL's appendix A; MR001 is raised by `mailroom_session`.
fn classify(code: &SqlState) -> (Class, Option<&'static str>) {
    match code.code() {
        "MR001" | "26000" | "42P05" => (Class::Pooled, Some(POOLER)),
        "42P01" | "42883" | "42703" | "42704" | "3F000" => (Class::WillNotMend, Some(SCHEMA)),
        "42501" => (Class::WillNotMend, Some(RIGHTS)),
        "40P01" | "40001" | "55P03" => (Class::Momentary, None),
        // 08 connection, 53 resources, 57 operator's intervention, 58 system: another connection,
        // later, perhaps to another host. 25006: this server has become a standby.
        other => match other.get(..2) {
            Some("08" | "53" | "57" | "58" | "XX") => (Class::Lost, None),
            Some("25") => (Class::Lost, None),
            _ => (Class::Broken, None),
        },
    }
}

fn is_io(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: &str) -> Class {
        classify(&SqlState::from_code(code)).0
    }

    #[test]
    fn each_class_of_code_has_its_consequence() {
        assert_eq!(class("57P01"), Class::Lost, "the server shuts down");
        assert_eq!(class("53300"), Class::Lost, "too many connections");
        assert_eq!(class("25006"), Class::Lost, "read-only after a failover");
        assert_eq!(class("40P01"), Class::Momentary, "deadlock");
        assert_eq!(class("42P01"), Class::WillNotMend, "no such table");
        assert_eq!(class("MR001"), Class::Pooled, "another backend");
        assert_eq!(class("42P05"), Class::Pooled, "somebody else's prepared statement");
        assert_eq!(class("22012"), Class::Broken, "ours to mend");
    }
}
