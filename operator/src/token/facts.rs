//! What can be told of a token.

use std::fmt;

use anyhow::Context;
use mailroom::{SecretKey, Token};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio_postgres::error::SqlState;

use super::actions::Kind;
use super::signed_for;
use crate::database::Database;

const INSPECT: &str = include_str!("../../sql/token/inspect.sql");

/// See the module. Nothing of it would let anybody in.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    /// 86 characters of the alphabet, in their one spelling.
    pub(super) well_formed: bool,
    /// What is wrong with its form.
    fault: Option<String>,
    /// The action whose signature it has; not asked without a key.
    signed_for: Option<String>,
    key_known: bool,
    database_asked: bool,
    /// Why the database did not tell.
    refused: Option<String>,
    row: Option<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    delivery: i64,
    action: String,
    account: i64,
    expires_at: Option<String>,
    expired: bool,
    consumed_at: Option<String>,
    state: Option<String>,
}

impl Facts {
    pub(super) async fn of(
        text: &str,
        key: Option<&SecretKey>,
        kinds: &[Kind],
        code: Option<&str>,
        database: Option<&Database>,
    ) -> anyhow::Result<Facts> {
        let mut facts = Facts { key_known: key.is_some(), ..Facts::default() };
        let token = match Token::decode(text) {
            Ok(token) => token,
            Err(_) => {
                facts.fault = Some(fault(text));
                return Ok(facts);
            }
        };
        facts.well_formed = true;
        let kind = key.and_then(|key| signed_for(key, kinds, text, code));
        facts.signed_for = kind.map(|kind| kind.label.clone());
        if let Some(database) = database {
            facts.ask(&token, database).await?;
        }
        Ok(facts)
    }

    async fn ask(&mut self, token: &Token, database: &Database) -> anyhow::Result<()> {
        self.database_asked = true;
        match database.query_opt(INSPECT, &[&token.secret().as_bytes().as_slice()]).await {
            Ok(row) => {
                self.row = row.map(|row| Row {
                    delivery: row.get("id"),
                    action: row.get("action"),
                    account: row.get("account"),
                    expires_at: row.get::<_, Option<i64>>("expires_at").and_then(utc),
                    expired: row.get::<_, Option<bool>>("expired").unwrap_or_default(),
                    consumed_at: row.get::<_, Option<i64>>("consumed_at").and_then(utc),
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

/// Epoch seconds as people write them; `None` beyond the calendar.
fn utc(seconds: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC")).ok()
}

/// What is wrong with the form of this.
fn fault(text: &str) -> String {
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
            (None, true) => writeln!(
                f,
                "signature  not good with this key (for actions that sign the code, give --code)"
            )?,
            (None, false) => {
                writeln!(f, "signature  not checked: MAILROOM_SECRET_KEY is not set")?;
            }
        }
        if let Some(refused) = &self.refused {
            return writeln!(f, "database   not asked: {refused}");
        }
        let Some(row) = &self.row else {
            let answer = if self.database_asked {
                "knows no such token: it was deleted, or is another database's"
            } else {
                "not asked: MAILROOM_DATABASE_URL is not set"
            };
            return writeln!(f, "database   {answer}");
        };
        writeln!(f, "delivery   {}, {} for account {}", row.delivery, row.action, row.account)?;
        let expires_at = row.expires_at.as_deref().unwrap_or("a time beyond the calendar");
        let expired = if row.expired { "expired" } else { "lives until" };
        writeln!(f, "life       {expired} {expires_at}")?;
        match &row.consumed_at {
            Some(at) => writeln!(f, "use        used {at}")?,
            None => writeln!(f, "use        not used")?,
        }
        writeln!(f, "mail       {}", row.state.as_deref().unwrap_or("nothing is known of it"))
    }
}
