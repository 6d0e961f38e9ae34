//! The application: what people do with their accounts, in transactions of every shape.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio_postgres::Client;

use super::stage::Stage;

/// Milliseconds between two deeds of a writer.
const PAUSE: std::ops::Range<u64> = 20..250;
/// Milliseconds that a transaction is left open.
const OPEN: std::ops::Range<u64> = 100..4_000;
/// Rows of a bulk INSERT.
const BULK: std::ops::RangeInclusive<usize> = 1..=50;
/// Before another try to reach a server that is down.
const AWAY: Duration = Duration::from_millis(100);

pub(super) struct Writer {
    number: usize,
    rng: Rng,
    accounts: usize,
    done: Done,
}

/// What a writer has done, and what went wrong that no fault explains: a deadlock, say.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) deeds: BTreeMap<&'static str, usize>,
    pub(super) complaints: Vec<String>,
}

impl Writer {
    pub(super) fn new(number: usize, rng: Rng) -> Writer {
        Writer { number, rng, accounts: 0, done: Done::default() }
    }

    /// Writes as long as `open` says so.
    pub(super) async fn write(mut self, stage: Arc<Stage>, open: Arc<AtomicBool>) -> Done {
        while open.load(Ordering::Relaxed) {
            let Ok(client) = stage.database.client().await else {
                tokio::time::sleep(AWAY).await;
                continue;
            };
            while open.load(Ordering::Relaxed) && !client.is_closed() {
                match self.act(&client).await {
                    Ok(deed) => *self.done.deeds.entry(deed).or_default() += 1,
                    Err(error) if is_away(&error) => break,
                    Err(error) => {
                        let words = error.as_db_error().map(ToString::to_string);
                        self.done.complaints.push(words.unwrap_or_else(|| error.to_string()));
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_millis(self.rng.u64(PAUSE))).await;
            }
        }
        self.done
    }

    async fn act(&mut self, client: &Client) -> Result<&'static str, tokio_postgres::Error> {
        let (deed, sql) = match self.rng.u8(..100) {
            0..25 => ("sign-up", self.sign_up(1)),
            25..31 => {
                let rows = self.rng.usize(BULK);
                ("bulk sign-up", self.sign_up(rows))
            }
            31..43 => return self.leave_open(client).await,
            43..46 => ("rolled back", format!("BEGIN; {}; ROLLBACK", self.sign_up(5))),
            46..49 => ("sign-up, short-lived token", self.short_lived()),
            49..51 => ("sign-up again", self.sign_up_again()),
            51..65 => ("activation", self.consume("activation")),
            65..80 => ("password recovery", self.recover(None)),
            80..83 => {
                let seconds = self.rng.u32(1..60);
                ("password recovery, short-lived", self.recover(Some(seconds)))
            }
            83..86 => ("password changed", self.consume("password_recovery")),
            86..90 => ("suspended", self.set_status("suspended", "<>")),
            90..95 => ("unsuspended", self.set_status("active", "=")),
            95..98 => ("address changed", self.change_address()),
            _ => ("account deleted", format!("DELETE FROM accounts WHERE {}", self.someone())),
        };
        client.batch_execute(&sql).await.map(|()| deed)
    }

    /// Takes its ids now, and commits after others, or not at all.
    async fn leave_open(&mut self, client: &Client) -> Result<&'static str, tokio_postgres::Error> {
        let rows = self.rng.usize(1..=5);
        client.batch_execute(&format!("BEGIN; {}", self.sign_up(rows))).await?;
        tokio::time::sleep(Duration::from_millis(self.rng.u64(OPEN))).await;
        let (deed, end) = if self.rng.u8(..4) == 0 {
            ("left open, rolled back", "ROLLBACK")
        } else {
            ("left open, committed late", "COMMIT")
        };
        client.batch_execute(end).await.map(|()| deed)
    }

    fn sign_up(&mut self, rows: usize) -> String {
        let (writer, first) = (self.number, self.accounts + 1);
        self.accounts += rows;
        format!(
            "INSERT INTO accounts (email, login)
             SELECT 'w{writer}n' || n || '@example.com', 'w{writer}n' || n
               FROM generate_series({first}, {}) AS n",
            self.accounts
        )
    }

    /// The token expires in a minute at most: some can still be mailed, some cannot.
    fn short_lived(&mut self) -> String {
        let seconds = self.rng.u32(1..60);
        let (sign_up, writer) = (self.sign_up(1), self.number);
        format!(
            "BEGIN; {sign_up};
             UPDATE tokens SET expires_at = extract(epoch FROM now()) + {seconds}
              WHERE account = (SELECT id FROM accounts WHERE login = 'w{writer}n{}');
             COMMIT",
            self.accounts
        )
    }

    fn sign_up_again(&mut self) -> String {
        self.accounts = self.accounts.saturating_sub(1);
        format!("{} ON CONFLICT DO NOTHING", self.sign_up(2))
    }

    fn recover(&mut self, seconds: Option<u32>) -> String {
        let columns = if seconds.is_some() { ", expires_at" } else { "" };
        let expiry = seconds.map(|s| format!(", extract(epoch FROM now()) + {s}"));
        format!(
            "INSERT INTO tokens (account, action{columns})
             SELECT id, 'password_recovery'{} FROM accounts
              WHERE login LIKE 'w{}n%' AND status = 'active' ORDER BY random() LIMIT 1",
            expiry.unwrap_or_default(),
            self.number
        )
    }

    /// Any, or in one of two cases one of the latest, whose mail may be on its way.
    fn consume(&mut self, action: &str) -> String {
        let order = if self.rng.bool() { "random()" } else { "t.id DESC" };
        format!(
            "UPDATE tokens SET consumed_at = extract(epoch FROM now()) WHERE id = (
                 SELECT t.id FROM tokens AS t JOIN accounts AS a ON a.id = t.account
                  WHERE a.login LIKE 'w{}n%' AND t.action = '{action}' AND t.consumed_at IS NULL
                    AND t.expires_at > extract(epoch FROM now())
                  ORDER BY {order} LIMIT 1)",
            self.number
        )
    }

    fn set_status(&mut self, to: &str, suspended: &str) -> String {
        let someone = match suspended {
            // There are few of them.
            "=" => format!(
                "id = (SELECT id FROM accounts WHERE login LIKE 'w{}n%' AND status = 'suspended'
                        ORDER BY random() LIMIT 1)",
                self.number
            ),
            _ => self.someone(),
        };
        format!(
            "UPDATE accounts SET status = '{to}' WHERE {someone} AND status {suspended} 'suspended'"
        )
    }

    fn change_address(&mut self) -> String {
        let number = self.rng.u32(..);
        format!(
            "UPDATE accounts SET email = login || '.{number}@example.org' WHERE {}",
            self.someone()
        )
    }

    /// One of our accounts, if it is there: every other time one of the latest.
    fn someone(&mut self) -> String {
        let oldest = if self.rng.bool() { 1 } else { self.accounts.saturating_sub(30).max(1) };
        let which = self.rng.usize(oldest..=self.accounts.max(oldest));
        format!("login = 'w{}n{which}'", self.number)
    }
}

/// The server or the connection to it, which is none of the statement's business: 25006 is a server
/// that takes no writes now.
fn is_away(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|code| {
        let code = code.code();
        code.starts_with("57P") || code.starts_with("08") || code == "25006"
    })
}
