//! `mailroom token`: whether the token of a link is good, and what it is.
//!
//! | exit code | |
//! |---|---|
//! | 0 | it is good; `inspect` without a key: it is well-formed |
//! | 65 | it is not |

mod actions;
mod facts;

use anyhow::Context;
use clap::Subcommand;
use daemon::exit::{Exit, ExitExt};
use daemon::postgres::Target;
use daemon::settings::{Problems, said};
use mailroom::{SecretKey, Token, verify};
use serde::{Deserialize, Serialize};

use crate::database::{Database, block_on};
use crate::environment::Environment;
use crate::output::Output;
use actions::Kind;
use facts::{Facts, fault};

/// What is said after `token`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const HELP: &str = "The token may be given with its link around it; as - it is read from stdin, so that \
    nobody else on the\nmachine sees it.\n\
    Settings: MAILROOM_SECRET_KEY (or _FILE). With MAILROOM_DATABASE_URL (or _FILE) the actions are \
    those of the\ndatabase, and inspect says what it knows of the token.\n\
    Exit codes: 0 it is good (inspect without a key: it has the form of one), 65 it is not, 75 try again, 78 a person must look.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say whether a token's signature is good, and for which action
    Verify {
        /// The token, or the link with it; -: from stdin
        token: String,
        /// The code that was mailed with it, for actions that sign it
        #[arg(long)]
        code: Option<String>,
        /// Only for this action; else for any
        #[arg(long)]
        action: Option<String>,
        /// A JSON object: valid, action, reason
        #[arg(long)]
        json: bool,
    },
    /// Say what a token is, as far as can be told: its form, its signature, what became of it
    Inspect {
        /// The token, or the link with it; -: from stdin
        token: String,
        /// The code that was mailed with it
        #[arg(long)]
        code: Option<String>,
        /// A JSON object: the same facts; times as 2030-12-31T18:00:00Z
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    secret_key: Option<String>,
    secret_key_file: Option<String>,
    database_url: Option<String>,
    database_url_file: Option<String>,
}

/// Does it.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let said: Said = said(environment.vars())?;
    let has_database = said.database_url.is_some() || said.database_url_file.is_some();
    let mut problems = Problems::default();
    let key = said.secret_key.is_some() || said.secret_key_file.is_some();
    let key = (key || matches!(args.verb, Verb::Verify { .. }))
        .then(|| {
            problems.required_or_file("MAILROOM_SECRET_KEY", said.secret_key, said.secret_key_file)
        })
        .flatten()
        .and_then(|key| problems.check("MAILROOM_SECRET_KEY", key.parse::<SecretKey>()));
    problems.finish(())?;
    block_on(async {
        let target = if has_database { Some(environment.database()?) } else { None };
        match args.verb {
            Verb::Verify { token, code, action, json } => {
                let database = match &target {
                    Some(target) => Some(Database::connect(target).await?),
                    None => None,
                };
                let kinds = actions::all(database.as_ref()).await?;
                let kinds = actions::chosen(kinds, action.as_deref())?;
                let key = key.context("there is no key")?;
                verdict(&key, &kinds, &token_of(&token)?, code.as_deref(), json, out)
            }
            Verb::Inspect { token, code, json } => {
                let (token, code) = (token_of(&token)?, code.as_deref());
                let asked = inspect(&token, key.as_ref(), code, target.as_ref()).await;
                let (facts, away) = match asked {
                    Ok(facts) => (facts, None),
                    // What can be told without it is told first.
                    Err(error) => {
                        let facts =
                            Facts::of(&token, key.as_ref(), &actions::all(None).await?, code);
                        (facts.without_database(&error), Some(error))
                    }
                };
                if json { out.json(&facts) } else { out.text(&facts.to_string()) }?;
                match away {
                    Some(error) if facts.well_formed => Err(error),
                    _ if facts.is_good() => Ok(Exit::Done),
                    _ => Ok(Exit::Input),
                }
            }
        }
    })
}

async fn inspect(
    token: &str,
    key: Option<&SecretKey>,
    code: Option<&str>,
    target: Option<&Target>,
) -> anyhow::Result<Facts> {
    let Some(target) = target else {
        return Ok(Facts::of(token, key, &actions::all(None).await?, code));
    };
    let database = Database::connect(target).await?;
    let mut facts = Facts::of(token, key, &actions::all(Some(&database)).await?, code);
    facts.ask(token, &database).await?;
    Ok(facts)
}

#[derive(Serialize)]
struct Verdict<'a> {
    valid: bool,
    action: Option<&'a str>,
    reason: Option<String>,
}

fn verdict(
    key: &SecretKey,
    kinds: &[Kind],
    token: &str,
    code: Option<&str>,
    json: bool,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let good = signed_for(key, kinds, token, code);
    let reason = match good {
        Some(_) => None,
        None if Token::decode(token).is_err() => Some(format!("not a token: {}", fault(token))),
        None if code.is_none() && kinds.iter().any(|kind| kind.action.signs_code()) => Some(
            "the signature is not good without a code; if one was mailed with it, give --code".into(),
        ),
        None => Some(
            "the signature is not good: made with another key, for another action or code, or forged"
                .into(),
        ),
    };
    let action = good.map(|kind| kind.label.as_str());
    if json {
        out.json(&Verdict { valid: good.is_some(), action, reason })?;
    } else {
        match (action, reason) {
            (Some(action), _) => out.line(format_args!(
                "valid for {action}; whether it has expired or was used only the database knows"
            ))?,
            (None, reason) => {
                out.line(format_args!("not valid: {}", reason.unwrap_or_default()))?;
            }
        }
    }
    Ok(if good.is_some() { Exit::Done } else { Exit::Input })
}

/// The kind of mail whose signature this is.
fn signed_for<'a>(
    key: &SecretKey,
    kinds: &'a [Kind],
    token: &str,
    code: Option<&str>,
) -> Option<&'a Kind> {
    let keys = std::slice::from_ref(key);
    kinds.iter().find(|kind| verify(keys, &kind.action, token, code).is_ok())
}

/// The token in what somebody has pasted: itself, or a link with it. Of a link that was cut, what is
/// left of it.
fn token_of(given: &str) -> anyhow::Result<String> {
    let text = if given == "-" {
        std::io::read_to_string(std::io::stdin().lock()).context("read stdin").exit(Exit::Input)?
    } else {
        given.to_owned()
    };
    let text = text.trim();
    let in_alphabet = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = || text.split(|c| !in_alphabet(c));
    let whole = words().find(|word| word.len() == Token::CHARS);
    let longest = || words().max_by_key(|word| word.len()).filter(|_| text.contains("://"));
    Ok(whole.or_else(longest).unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str =
        "EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZaCAuJvbeTjsK4wavjBwSAeoQ";

    #[test]
    fn a_token_is_found_in_its_link() {
        for given in [
            TOKEN.to_owned(),
            format!(" {TOKEN}\n"),
            format!("https://example.com/activate/{TOKEN}"),
            format!("https://example.com/activate/{TOKEN}?utm=mail"),
            format!("<https://example.com/a?token={TOKEN}>"),
        ] {
            assert_eq!(token_of(&given).unwrap(), TOKEN, "{given}");
        }
        assert_eq!(token_of(" no token ").unwrap(), "no token");
        let cut = &TOKEN[..40];
        assert_eq!(token_of(&format!("https://example.com/activate/{cut}")).unwrap(), cut);
        assert_eq!(
            token_of(&format!("https://example.com/activate/{TOKEN}{cut}")).unwrap().len(),
            126
        );
    }
}
