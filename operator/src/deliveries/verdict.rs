//! What stands against sending a mail again, or against stopping it.

use std::collections::BTreeMap;
use std::fmt;

use daemon::session::Sql;
use daemon::sql;
use daemon::trouble::Trouble;
use serde::Serialize;

use crate::database::Database;

const VERDICTS: Sql = sql!("deliveries/verdicts");

/// How mail is to be sent again.
#[derive(Debug, Clone, Default)]
pub(super) struct How {
    /// The outcome it was chosen for; `None`: it was named.
    pub(super) outcome: Option<String>,
    /// What tokens shall live at least, in seconds; `None`: as long as they do.
    pub(super) extend: Option<i64>,
    /// What was sent, or may have been, too.
    pub(super) even_sent: bool,
    /// What an operator has cancelled, too, also where it is not named.
    pub(super) even_cancelled: bool,
}

/// How many are left out, by the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct LeftOut(BTreeMap<String, u64>);

impl LeftOut {
    pub(super) fn add(&mut self, reason: &str, count: u64) {
        if count > 0 {
            *self.0.entry(reason.to_owned()).or_default() += count;
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        for (reason, count) in other.0 {
            self.add(&reason, count);
        }
    }
}

impl fmt::Display for LeftOut {
    /// A sentence; nothing when nothing is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.0.values().sum();
        if all == 0 {
            return Ok(());
        }
        let of = |(reason, count): (&String, &u64)| format!("{count} {}", words(reason));
        let reasons: Vec<String> = self.0.iter().map(of).collect();
        write!(f, "Left out: {}.", reasons.join("; "))
    }
}

/// The reasons that statements give, in words.
fn words(reason: &str) -> &str {
    match reason {
        "barred" => "not for accounts of that status",
        "cancelled" => "cancelled by an operator (--detail-contains cancelled means them, too)",
        "changed" => "with another outcome by now",
        "deleted" => "whose token was deleted",
        "expired" => "whose link has expired (--extend 15m gives it more time)",
        "interrupted" => "not reached before the interruption",
        "outstanding" => "outstanding already",
        "sending" => "being sent right now",
        "sent" => "sent already (--even-sent sends it again, by name)",
        "settled" => "not outstanding any more",
        "unknown action" => "whose action has no row in actions",
        "unrecorded" => {
            "from before deliveries were recorded, or whose log was purged (--even-sent sends it, by \
             name)"
        }
        "used" => "whose link was used already",
        other => other,
    }
}

/// Those of `tokens` that can be sent again, and how many cannot. `ours`: their deliveries are taken.
pub(super) async fn judge(
    database: &Database,
    tokens: &[i64],
    how: &How,
    ours: bool,
) -> Result<(Vec<i64>, LeftOut), Trouble> {
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&tokens, &how.outcome, &how.extend.is_some(), &how.even_sent, &ours, &how.even_cancelled];
    let (mut good, mut left_out) = (Vec::new(), LeftOut::default());
    for row in database.attempt(VERDICTS, &params).await? {
        match row.get::<_, Option<&str>>("verdict") {
            None => good.push(row.get("token")),
            Some(reason) => left_out.add(reason, 1),
        }
    }
    Ok((good, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_by_its_reason() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.to_string(), "");
        left_out.add("expired", 10);
        left_out.add("used", 1);
        left_out.add("sent", 0);
        let mut more = LeftOut::default();
        more.add("used", 1);
        left_out.extend(more);
        assert_eq!(
            left_out.to_string(),
            "Left out: 10 whose link has expired (--extend 15m gives it more time); \
             2 whose link was used already."
        );
        assert_eq!(serde_json::to_string(&left_out).unwrap(), r#"{"expired":10,"used":2}"#);
    }
}
