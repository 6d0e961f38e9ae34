//! What the database knows at the end: every token that was committed, and what became of it.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use testkit::Database;

/// A token that was committed.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) id: i64,
    pub(super) account: i64,
    pub(super) action: String,
    /// When its link died: by the clock, or because it was used or deleted.
    pub(super) expires: Instant,
    pub(super) ended: Option<Instant>,
    /// The last outcome in the log, `sent` before all others; `None`: nothing is recorded.
    pub(super) outcome: Option<String>,
    /// Whether it could be mailed now and for another minute (a call does not begin with a token that
    /// it may outlive), so that nothing excuses that it was skipped.
    pub(super) eligible: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// By secret, in hexadecimal.
    pub(super) tokens: HashMap<String, Token>,
    /// Until when an account had which address; `None`: it has it.
    pub(super) addresses: HashMap<(i64, String), Option<Instant>>,
    /// When which message id was recorded.
    pub(super) recorded: HashMap<String, Instant>,
    /// Deliveries that are still outstanding.
    pub(super) outstanding: i64,
}

const TOKENS: &str = "
    SELECT h.id, h.account, h.action, h.expires_at, extract(epoch FROM h.ended_at),
        (SELECT l.outcome FROM delivery_log AS l WHERE l.token = h.id
          ORDER BY (l.outcome = 'sent') DESC, l.at DESC LIMIT 1),
        coalesce(t.consumed_at IS NULL AND t.expires_at > extract(epoch FROM now()) + 60
            AND a.status = ANY (k.statuses), false),
        encode(h.secret, 'hex')
    FROM soak.tokens AS h
    LEFT JOIN tokens AS t ON t.id = h.id
    LEFT JOIN accounts AS a ON a.id = t.account
    LEFT JOIN actions AS k ON k.action = t.action";

impl Records {
    pub(super) async fn read(database: &Database, clock: Clock) -> anyhow::Result<Records> {
        let mut records = Records {
            outstanding: database.query_i64("SELECT count(*) FROM deliveries").await?,
            ..Records::default()
        };
        for mut row in database.query_rows(TOKENS).await? {
            let mut column = |n: usize| row[n].take();
            let token = Token {
                id: column(0).context("id")?.parse()?,
                account: column(1).context("account")?.parse()?,
                action: column(2).context("action")?,
                expires: clock.read(&column(3).context("expires_at")?)?,
                ended: column(4).map(|at| clock.read(&at)).transpose()?,
                outcome: column(5),
                eligible: column(6).as_deref() == Some("t"),
            };
            records.tokens.insert(column(7).context("secret")?, token);
        }
        let sql = "SELECT account, email, extract(epoch FROM until) FROM soak.addresses";
        for row in database.query_rows(sql).await? {
            let [Some(account), Some(email), until] = row.as_slice() else { continue };
            let until = until.as_ref().map(|at| clock.read(at)).transpose()?;
            records.addresses.insert((account.parse()?, email.clone()), until);
        }
        let sql = "SELECT provider_id, extract(epoch FROM at) FROM delivery_log
                    WHERE outcome = 'sent'";
        for row in database.query_rows(sql).await? {
            let [Some(id), Some(at)] = row.as_slice() else { continue };
            records.recorded.insert(id.clone(), clock.read(at)?);
        }
        Ok(records)
    }
}

/// What PostgreSQL's seconds since 1970 are for us. It runs on the same machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    epoch: f64,
}

impl Clock {
    /// Nothing that is asked for later may lie before.
    pub(super) fn start() -> anyhow::Result<Clock> {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
        Ok(Clock { start: Instant::now(), epoch: epoch.as_secs_f64() })
    }

    fn read(&self, epoch: &str) -> anyhow::Result<Instant> {
        let epoch: f64 = epoch.parse().with_context(|| format!("{epoch:?} is no time"))?;
        Ok(self.start + Duration::from_secs_f64((epoch - self.epoch).max(0.0)))
    }

    /// Seconds since the start, for people.
    pub(super) fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64()
    }

    /// The start, as PostgreSQL has it.
    pub(super) fn epoch(&self) -> f64 {
        self.epoch
    }
}
