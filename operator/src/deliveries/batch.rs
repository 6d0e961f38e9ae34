//! A batch of tokens is sent again in one transaction, or not at all.
//!
//! First the deliveries are made: nobody else can then make, claim, begin or settle one of these
//! tokens before we commit. Only then, in a statement of its own, it is asked what became of them so
//! far. Asked before, another operator's requeue, or an account's change of status, could have them
//! sent in between, and ours would send them twice.

use daemon::session::Sql;
use daemon::sql;
use daemon::trouble::Trouble;

use super::verdict::{How, LeftOut, judge};
use crate::database::{Database, REPEATS_MAX, failed};

const TAKE: Sql = sql!("deliveries/take");
const REQUEUE: Sql = sql!("deliveries/requeue");

const BEGIN: Sql = Sql { name: "begin", text: "BEGIN" };
const COMMIT: Sql = Sql { name: "commit", text: "COMMIT" };
const ROLLBACK: Sql = Sql { name: "rollback", text: "ROLLBACK" };

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Requeued {
    pub(super) count: u64,
    pub(super) left_out: LeftOut,
}

/// Sends these again, those that still can be.
pub(super) async fn requeue(
    database: &Database,
    tokens: &[i64],
    how: &How,
) -> anyhow::Result<Requeued> {
    let mut repeats = 0;
    loop {
        match transaction(database, tokens, how).await {
            Ok(done) => return Ok(done),
            Err(trouble) if trouble.is_momentary() && repeats < REPEATS_MAX => {
                database.attempt(ROLLBACK, &[]).await.map_err(failed)?;
                repeats += 1;
            }
            Err(trouble) => return Err(failed(trouble)),
        }
    }
}

async fn transaction(database: &Database, tokens: &[i64], how: &How) -> Result<Requeued, Trouble> {
    let mut tokens = tokens.to_vec();
    tokens.sort_unstable();
    database.attempt(BEGIN, &[]).await?;
    let rows = database.attempt(TAKE, &[&tokens, &how.extend.is_some()]).await?;
    let taken: Vec<i64> = rows.iter().map(|row| row.get("token")).collect();
    let (good, mut left_out) = judge(database, &taken, how, true).await?;
    let back: Vec<i64> = taken.iter().copied().filter(|token| !good.contains(token)).collect();
    let done = database.attempt(REQUEUE, &[&good, &back, &how.extend]).await?;
    database.attempt(COMMIT, &[]).await?;
    // They had one already, or there is nothing to make one of: the token is gone.
    left_out.add("outstanding", u64::try_from(tokens.len() - taken.len()).unwrap_or_default());
    let count = done.first().map_or(0, |row| row.get::<_, i64>("requeued"));
    Ok(Requeued { count: u64::try_from(count).unwrap_or_default(), left_out })
}
