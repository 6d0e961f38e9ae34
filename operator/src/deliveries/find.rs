//! What a person calls a mail by: the token's id, or its account's address or login.

use anyhow::anyhow;
use daemon::exit::{Exit, ExitExt};
use daemon::session::Sql;
use daemon::sql;

use crate::database::Database;

const FIND: Sql = sql!("deliveries/find");

/// Tokens of one account that a name means, when something is done to them.
const TOKENS_MAX: i64 = 1000;

/// Says that a number is a token's id and nobody's login.
const BY_ID: &str = "token:";

/// A name, and what it can mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    id: Option<i64>,
    text: Option<String>,
}

/// What a name means: a token, or an account that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) account: Option<i64>,
    pub(super) token: Option<i64>,
    pub(super) action: Option<String>,
    /// The token's id was said, not its account.
    pub(super) by_id: bool,
    /// Older tokens of the account that are left out.
    pub(super) more: i64,
}

impl Name {
    pub(super) fn parse(said: &str) -> Self {
        match said.strip_prefix(BY_ID).map(str::parse) {
            Some(Ok(id)) => Self { id: Some(id), text: None },
            _ => Self { id: said.parse().ok(), text: Some(said.to_owned()) },
        }
    }
}

/// All that is called so, what the id found first, of an account the newest `tokens_max` tokens. Empty
/// when nothing is called so.
pub(super) async fn find(
    database: &Database,
    said: &str,
    tokens_max: i64,
) -> anyhow::Result<Vec<Found>> {
    let Name { id, text } = Name::parse(said);
    let found = ask(database, id, text.as_deref(), tokens_max).await?;
    let folded = said.to_lowercase();
    if !found.is_empty() || folded == said || text.is_none() {
        return Ok(found);
    }
    ask(database, None, Some(&folded), tokens_max).await
}

async fn ask(
    database: &Database,
    id: Option<i64>,
    text: Option<&str>,
    tokens_max: i64,
) -> anyhow::Result<Vec<Found>> {
    let rows = database.rows(FIND, &[&id, &text, &tokens_max]).await?;
    Ok(rows
        .iter()
        .map(|row| Found {
            account: row.get("account"),
            token: row.get("token"),
            action: row.get("action"),
            by_id: row.get("by_id"),
            more: row.get("more"),
        })
        .collect())
}

/// The one meaning of each of these names, for those who change something.
///
/// # Errors
/// When a name has no meaning, or two.
pub(super) async fn meant(database: &Database, names: &[String]) -> anyhow::Result<Vec<Found>> {
    let mut all = Vec::new();
    for name in names {
        let found = find(database, name, TOKENS_MAX).await?;
        if found.is_empty() {
            return Err(missing(name));
        }
        if found.iter().any(|one| one.by_id) && found.iter().any(|one| !one.by_id) {
            return Err(ambiguous(name));
        }
        all.extend(found);
    }
    Ok(all)
}

/// Nothing is called so.
pub(super) fn missing(said: &str) -> anyhow::Error {
    anyhow!(
        "{said}: no account has this address or login, and no mail this id; \
         an address must be written as the account has it, or in lower case"
    )
    .exit(Exit::Config)
}

/// The name of a token is a login, too: whose mail is meant is not ours to guess.
fn ambiguous(said: &str) -> anyhow::Error {
    anyhow!(
        "{said} is a token and somebody's login, too: say {BY_ID}{said} for the token, \
         or give the account's address"
    )
    .exit(Exit::Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_may_be_an_id_or_a_login() {
        let name = |id, text: Option<&str>| Name { id, text: text.map(str::to_owned) };
        assert_eq!(Name::parse("812"), name(Some(812), Some("812")));
        assert_eq!(Name::parse("token:812"), name(Some(812), None));
        assert_eq!(Name::parse("token:ada"), name(None, Some("token:ada")));
        assert_eq!(Name::parse("ada@example.com"), name(None, Some("ada@example.com")));
        assert_eq!(
            Name::parse("99999999999999999999"),
            name(None, Some("99999999999999999999")),
            "no id has as many digits"
        );
    }
}
