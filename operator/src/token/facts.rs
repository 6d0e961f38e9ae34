//! What can be told of a token.

use std::fmt;

use anyhow::Context;
use mailroom::{SecretKey, Token};
use serde::Serialize;
use tokio_postgres::error::SqlState;

use super::actions::Kind;
use super::signed_for;
use crate::database::Database;
use crate::moments::{date, from_seconds, stamp};
use crate::output::printable;

const INSPECT: &str = include_str!("../../sql/token/inspect.sql");

/// See the module. Nothing of it would let anybody in.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    /// 86 characters of the alphabet, in their one spelling.
    pub(super) well_formed: bool,
    /// What is wrong with its form.
    fault: Option<String>,
    /// The action whose signature it has; not asked without a key.
    pub(super) signed_for: Option<String>,
    pub(super) key_known: bool,
    #[serde(skip)]
    code_given: bool,
    database_asked: bool,
    /// Why the database did not tell.
    refused: Option<String>,
    row: Option<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    token: i64,
    action: String,
    account: i64,
    #[serde(serialize_with = "as_date")]
    expires_at: Option<i64>,
    expired: bool,
    #[serde(serialize_with = "as_date")]
    consumed_at: Option<i64>,
    state: Option<String>,
}

/// Seconds since 1970.
#[expect(clippy::ref_option, reason = "serde gives a reference")]
fn as_date<S: serde::Serializer>(at: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|at| date(from_seconds(at))).serialize(to)
}

impl Facts {
    /// What the token itself tells.
    pub(super) fn of(
        text: &str,
        key: Option<&SecretKey>,
        kinds: &[Kind],
        code: Option<&str>,
    ) -> Facts {
        let facts =
            Facts { key_known: key.is_some(), code_given: code.is_some(), ..Facts::default() };
        if Token::decode(text).is_err() {
            return Facts { fault: Some(fault(text)), ..facts };
        }
        let kind = key.and_then(|key| signed_for(key, kinds, text, code));
        Facts { well_formed: true, signed_for: kind.map(|kind| kind.label.clone()), ..facts }
    }

    /// Whether it is one, and, as far as that was asked, signed by us.
    pub(super) fn is_good(&self) -> bool {
        self.well_formed && (self.signed_for.is_some() || !self.key_known)
    }

    /// The database could not be asked, and why.
    pub(super) fn without_database(self, error: &anyhow::Error) -> Facts {
        let actions = if self.key_known && self.signed_for.is_none() {
            "; the signature was tried with the actions that every database begins with"
        } else {
            ""
        };
        Facts { refused: Some(format!("{error:#}{actions}")), ..self }
    }

    /// Adds what the database knows of it.
    pub(super) async fn ask(&mut self, text: &str, database: &Database) -> anyhow::Result<()> {
        let Ok(token) = Token::decode(text) else { return Ok(()) };
        self.database_asked = true;
        match database.query_opt(INSPECT, &[&token.secret().as_bytes().as_slice()]).await {
            Ok(row) => {
                self.row = row.map(|row| Row {
                    token: row.get("id"),
                    action: row.get("action"),
                    account: row.get("account"),
                    expires_at: row.get("expires_at"),
                    expired: row.get::<_, Option<bool>>("expired").unwrap_or_default(),
                    consumed_at: row.get("consumed_at"),
                    state: row.get("delivery"),
                });
            }
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                self.refused = Some(
                    "this role may not look tokens up by their secret; mailroom_sender may".into(),
                );
            }
            Err(error) => return Err(error).context("look the token up"),
        }
        Ok(())
    }
}

/// What is wrong with the form of this.
pub(super) fn fault(text: &str) -> String {
    let stranger = |c: &char| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_');
    let chars = text.chars().count();
    if let Some(c) = text.chars().find(stranger) {
        format!("it has the character {c:?}, and only letters, digits, - and _ may be in it")
    } else if chars != Token::CHARS {
        let cut = if chars < Token::CHARS { "; was the link cut?" } else { "" };
        format!("it has {chars} characters and not {}{cut}", Token::CHARS)
    } else {
        "its last character is none of A, Q, g, w: it was changed".to_owned()
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fault) = &self.fault {
            return writeln!(f, "form       not a token: {fault}");
        }
        writeln!(f, "form       a token")?;
        match (&self.signed_for, self.key_known) {
            (Some(action), _) => writeln!(f, "signature  good, for {action}")?,
            (None, true) if self.code_given => {
                writeln!(f, "signature  not good with this key and this code")?;
            }
            (None, true) => writeln!(
                f,
                "signature  not good with this key (for actions that sign the code, give --code)"
            )?,
            (None, false) => {
                writeln!(f, "signature  not checked: MAILROOM_SECRET_KEY is not set")?;
            }
        }
        if let Some(refused) = &self.refused {
            return writeln!(f, "database   not asked: {}", printable(refused));
        }
        let Some(row) = &self.row else {
            let answer = if self.database_asked {
                "knows no such token: it was deleted, or is another database's"
            } else {
                "not asked: MAILROOM_DATABASE_URL is not set"
            };
            return writeln!(f, "database   {answer}");
        };
        let until = |at: i64| stamp(from_seconds(at));
        let action = printable(&row.action);
        writeln!(f, "token      {}, {action} for account {}", row.token, row.account)?;
        match row.expires_at {
            Some(at) if row.expired => writeln!(f, "life       expired at {} UTC", until(at))?,
            Some(at) => writeln!(f, "life       until {} UTC", until(at))?,
            None => writeln!(f, "life       never expires")?,
        }
        match row.consumed_at {
            Some(at) => writeln!(f, "use        used at {} UTC", until(at))?,
            None => writeln!(f, "use        not used")?,
        }
        writeln!(f, "mail       {}", row.state.as_deref().unwrap_or("nothing is known of it"))
    }
}
