//! `deliveries show`.

use daemon::exit::Exit;
use serde::Serialize;

use super::find::{Found, find, missing};
use super::story::{Account, Story, accounts, stories};
use super::{now, words};
use crate::database::Database;
use crate::output::Output;

/// Tokens of one account.
const TOKENS_SHOWN: i64 = 10;

/// What is said after `show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A token's id, or an account's address or login; of an account the newest ten are shown.
    /// token:ID, email:ADDRESS and login:LOGIN are only that
    #[arg(value_name = "ID|ADDRESS|LOGIN")]
    name: String,
    /// A JSON object a line: the account, and the token with its events
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    account: Option<&'a Account>,
    delivery: Option<&'a Story>,
}

pub(super) async fn run(
    args: Args,
    database: &Database,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let found = find(database, &args.name, TOKENS_SHOWN).await?;
    if found.is_empty() {
        return Err(missing(&args.name));
    }
    let ids: Vec<i64> = found.iter().filter_map(|one| one.account).collect();
    let accounts = accounts(database, &ids).await?;
    let tokens: Vec<i64> = found.iter().filter_map(|one| one.token).collect();
    let stories = stories(database, &tokens).await?;
    let of = |one: &Found| one.account.and_then(|id| accounts.get(&id));
    let story = |one: &Found| one.token.and_then(|id| stories.get(&id));
    if args.json {
        for one in &found {
            out.json(&Line { account: of(one), delivery: story(one) })?;
        }
        return Ok(Exit::Done);
    }
    let now = now(database).await?;
    let mut above = None;
    for (n, one) in found.iter().enumerate() {
        // What the id found is told by itself, apart from what the login found, and one account from
        // another.
        let group = Some((one.kind, one.account));
        if above != group {
            if above.is_some() {
                out.line("")?;
            }
            for line in words::account(of(one)) {
                out.line(line)?;
            }
            above = group;
        }
        match story(one) {
            None => out.line("\nNo mail was ever asked for.")?,
            Some(story) => {
                out.line("")?;
                for line in words::story(story, now) {
                    out.line(line)?;
                }
            }
        }
        let is_last = found
            .get(n + 1)
            .is_none_or(|next| (next.kind, next.account) != (one.kind, one.account));
        match one.more {
            1 if is_last => out.line("\nThere is 1 older one.")?,
            2.. if is_last => out.line(format_args!("\nThere are {} older ones.", one.more))?,
            _ => {}
        }
    }
    Ok(Exit::Done)
}
