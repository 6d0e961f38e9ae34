//! What a person calls a mail by: the token's id, or its account's address or login.

use anyhow::anyhow;
use daemon::exit::{Exit, ExitExt};
use daemon::session::Sql;
use daemon::sql;

use crate::database::Database;
use crate::output::printable;

const FIND: Sql = sql!("deliveries/find");

/// Tokens of one account that a name means, when something is done to them.
const TOKENS_MAX: i64 = 1000;

/// Before a token's id, an address, a login: that it is this and nothing else.
const PREFIXES: [&str; 3] = ["token:", "email:", "login:"];

/// A name, and what it can mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    id: Option<i64>,
    address: Option<String>,
    login: Option<String>,
}

/// What found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Token,
    Address,
    Login,
}

/// What a name means: a token, or an account that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) account: Option<i64>,
    pub(super) token: Option<i64>,
    pub(super) action: Option<String>,
    pub(super) kind: Kind,
    /// Older tokens of the account that are left out.
    pub(super) more: i64,
}

impl Found {
    /// What is meant: this token, or this account.
    fn meaning(&self) -> (Kind, Option<i64>) {
        let of = if self.kind == Kind::Token { self.token } else { self.account };
        (self.kind, of)
    }
}

impl Name {
    pub(super) fn parse(said: &str) -> Self {
        let [token, email, login] = PREFIXES.map(|prefix| said.strip_prefix(prefix));
        if let Some(Ok(id)) = token.map(str::parse) {
            Self { id: Some(id), ..Self::default() }
        } else if let Some(address) = email {
            Self { address: Some(address.to_owned()), ..Self::default() }
        } else if let Some(login) = login {
            Self { login: Some(login.to_owned()), ..Self::default() }
        } else {
            let text = Some(said.to_owned());
            Self { id: said.parse().ok(), address: text.clone(), login: text }
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
    let Name { id, address, login } = Name::parse(said);
    let rows = database.rows(FIND, &[&id, &address, &login, &tokens_max]).await?;
    let mut found: Vec<Found> = rows
        .iter()
        .map(|row| Found {
            account: row.get("account"),
            token: row.get("token"),
            action: row.get("action"),
            kind: match row.get("kind") {
                "token" => Kind::Token,
                "address" => Kind::Address,
                _ => Kind::Login,
            },
            more: row.get("more"),
        })
        .collect();
    found.sort_by_key(|one| one.kind);
    Ok(found)
}

/// The one meaning of each of these names, for those who change something.
///
/// # Errors
/// When a name has no meaning, or two.
pub(super) async fn meant(database: &Database, names: &[String]) -> anyhow::Result<Vec<Found>> {
    let mut all = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let found = find(database, name, TOKENS_MAX).await?;
        let mut meanings: Vec<_> = found.iter().map(Found::meaning).collect();
        meanings.dedup();
        match meanings.len() {
            0 => return Err(missing(name)),
            1 => all.extend(found),
            _ => return Err(ambiguous(place + 1, names.len(), &meanings)),
        }
    }
    Ok(all)
}

/// Nothing is called so.
pub(super) fn missing(said: &str) -> anyhow::Error {
    anyhow!(
        "{}: no account has this address or login, and no mail this id; \
         an address must be written as the account has it, or in lower case",
        printable(said)
    )
    .exit(Exit::Config)
}

/// Whose mail is meant is not ours to guess: a login may be chosen to be somebody else's address. It is
/// not repeated: stderr is often kept, and this is somebody's address.
fn ambiguous(place: usize, names: usize, meanings: &[(Kind, Option<i64>)]) -> anyhow::Error {
    let (mut what, mut prefixes) = (Vec::new(), Vec::new());
    for (kind, id) in meanings {
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let (words, prefix) = match kind {
            Kind::Token => (format!("token {id}"), "token:"),
            Kind::Address => (format!("the address of account {id}"), "email:"),
            Kind::Login => (format!("the login of account {id}"), "login:"),
        };
        what.push(words);
        prefixes.push(prefix);
    }
    let (what, prefixes) = (what.join(" and "), prefixes.join(" or "));
    let name = if names == 1 { "the name".to_owned() } else { format!("name {place} of {names}") };
    anyhow!("{name} is {what}: nothing was done; say which with {prefixes} before it")
        .exit(Exit::Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_mean_more_than_one_unless_it_says_which() {
        let name = |id, address: Option<&str>, login: Option<&str>| Name {
            id,
            address: address.map(str::to_owned),
            login: login.map(str::to_owned),
        };
        let any = |text| name(None, Some(text), Some(text));
        assert_eq!(Name::parse("812"), name(Some(812), Some("812"), Some("812")));
        assert_eq!(Name::parse("token:812"), name(Some(812), None, None));
        assert_eq!(Name::parse("email:ada@x.example"), name(None, Some("ada@x.example"), None));
        assert_eq!(Name::parse("login:email:ada"), name(None, None, Some("email:ada")));
        assert_eq!(Name::parse("token:ada"), any("token:ada"));
        assert_eq!(Name::parse("ada@example.com"), any("ada@example.com"));
        let many = "99999999999999999999";
        assert_eq!(Name::parse(many), any(many), "no id has as many digits");
    }
}
