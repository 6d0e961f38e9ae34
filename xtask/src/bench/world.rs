//! A database with people in it whose mail waits, and the two halves as they would run there.

use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use testkit::{Database, Postgres, Process, Role};
use tokio_postgres::Client;

use super::options::Options;

pub(super) const KEY: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
/// The longest that anything but a drain may take, on a slow machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// How often it is looked whether all is done.
const PULSE: Duration = Duration::from_millis(10);
/// Accounts that one statement makes.
const CHUNK: u64 = 1_000_000;

/// True while a collector of this database sleeps.
const ASLEEP: &str = "SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_database AS d \
    ON d.oid = l.database WHERE l.locktype = 'advisory' AND l.classid = mailroom_gate_class()::oid \
    AND l.granted AND l.mode = 'ExclusiveLock' AND d.datname = current_database())";

pub(super) struct World {
    url: String,
    /// For what is not measured.
    pub(super) admin: Client,
    /// Tokens up to this number were settled long ago.
    settled: i64,
}

impl World {
    pub(super) async fn new(server: &Postgres, options: &Options) -> anyhow::Result<World> {
        // Never dropped: that would look for each of its addresses in every log. The server takes it
        // along.
        let database = ManuallyDrop::new(Database::fresh_on(server).await?);
        let admin = database.client().await?;
        let patient = "ALTER TABLE tokens ALTER COLUMN expires_at
            SET DEFAULT extract(epoch FROM now() + interval '1 day')";
        admin.batch_execute(patient).await.context("let tokens live for a day")?;
        let url = options.url(server, database.name());
        Ok(World { url, admin, settled: 0 })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn url_as(&self, role: Role) -> String {
        role.in_url(&self.url)
    }

    /// Makes this many deliveries that were settled a while ago, with all that they left behind.
    pub(super) async fn settle(&mut self, deliveries: u64) -> anyhow::Result<()> {
        // Triggers off; the one index that is filled at random is made at the end.
        let before = "SET session_replication_role = replica; SET synchronous_commit = off;
            SET maintenance_work_mem = '256MB';
            ALTER TABLE tokens DROP CONSTRAINT tokens_secret_key";
        self.admin.batch_execute(before).await.context(before)?;
        for from in (0..deliveries).step_by(usize::try_from(CHUNK)?) {
            let to = deliveries.min(from + CHUNK);
            self.history(from + 1, to).await?;
        }
        let after = "ALTER TABLE tokens ADD CONSTRAINT tokens_secret_key UNIQUE (secret);
            RESET session_replication_role; RESET synchronous_commit";
        self.admin.batch_execute(after).await.context(after)?;
        self.admin.batch_execute("VACUUM (ANALYZE)").await.context("vacuum")?;
        let last = "SELECT coalesce(max(id), 0) FROM tokens";
        self.settled = self.admin.query_one(last, &[]).await.context(last)?.get(0);
        Ok(())
    }

    async fn history(&self, from: u64, to: u64) -> anyhow::Result<()> {
        let sql = format!(
            "INSERT INTO accounts (email, login, status, activated_at)
             SELECT 'former' || lpad(n::text, 9, '0') || '@example.com',
                    'former' || lpad(n::text, 9, '0'), 'active', 1700000000
             FROM generate_series({from}, {to}) AS n;
             INSERT INTO tokens (action, secret, code, account, expires_at, consumed_at, created_at)
             SELECT 'activation', sha256(int8send(a.id)), '12345', a.id, 1700000900, 1700000100,
                    1700000000
             FROM accounts AS a WHERE a.id BETWEEN {from} AND {to} ORDER BY a.id;
             INSERT INTO delivery_log
                 (at, token, promised_at, attempt, outcome, action, transport, provider_id)
             SELECT s.at, t.id, s.at - interval '1 second', 1, 'sent', 'activation', 'ses',
                    'a message id of SES, which has sixty characters, or so-' || t.id
             FROM tokens AS t
             CROSS JOIN LATERAL (SELECT to_timestamp(1700000000 + t.id * 0.1) AS at) AS s
             WHERE t.account BETWEEN {from} AND {to} ORDER BY t.id"
        );
        self.admin.batch_execute(&sql).await.context("make settled deliveries")
    }

    /// Makes people, if there are fewer, and leaves the mail of this many of them waiting, in a table
    /// without a past. Returns the last token.
    pub(super) async fn waiting(&self, mails: u64) -> anyhow::Result<i64> {
        self.forget().await?;
        let have = format!("SELECT count(*) FROM tokens WHERE id > {}", self.settled);
        let have: i64 = self.admin.query_one(&have, &[]).await.context("count tokens")?.get(0);
        let have = u64::try_from(have)?;
        if have < mails {
            let sql = format!(
                "INSERT INTO accounts (email, login)
                 SELECT 'waiting' || n || '@example.com', 'waiting' || n
                 FROM generate_series({have} + 1, {mails}) AS n"
            );
            self.admin.batch_execute(&sql).await.context("make accounts")?;
            let sql = "TRUNCATE deliveries; VACUUM (ANALYZE) accounts, tokens";
            for sql in sql.split(';') {
                self.admin.batch_execute(sql).await.context("tidy up")?;
            }
        }
        let sql = format!(
            "WITH made AS (
                 INSERT INTO deliveries (token, queue, priority, action)
                 SELECT t.id, 'mailroom', 5, t.action FROM tokens AS t
                 WHERE t.id > {} ORDER BY t.id LIMIT {mails} RETURNING token
             ) SELECT max(token), count(*) FROM made",
            self.settled
        );
        let row = self.admin.query_one(&sql, &[]).await.context("make deliveries")?;
        ensure!(u64::try_from(row.get::<_, i64>(1))? == mails, "not all mail waits");
        // Every run starts as far from the next checkpoint as every other one.
        self.admin.batch_execute("CHECKPOINT").await.context("checkpoint")?;
        Ok(row.get(0))
    }

    /// Nothing is outstanding, and nothing was ever recorded since the past was made.
    pub(super) async fn forget(&self) -> anyhow::Result<()> {
        self.admin.batch_execute("TRUNCATE deliveries").await.context("forget deliveries")?;
        let log = if self.settled == 0 {
            "TRUNCATE delivery_log".to_owned()
        } else {
            format!("DELETE FROM delivery_log WHERE token > {}", self.settled)
        };
        self.admin.batch_execute(&log).await.context("forget what happened")
    }

    /// Nobody has ever signed up.
    pub(super) async fn empty(&self) -> anyhow::Result<()> {
        let sql = "TRUNCATE accounts, tokens, deliveries, delivery_log";
        self.admin.batch_execute(sql).await.context(sql)?;
        self.admin.batch_execute("CHECKPOINT").await.context("checkpoint")
    }

    /// A collector, batches of `limit`; what comes, goes out at once.
    pub(super) fn collector(&self, limit: u32) -> Process {
        Process::new("collector")
            .env("MAILROOM_DATABASE_URL", self.url_as(Role::Collector))
            .env("MAILROOM_SECRET_KEY", KEY)
            .env("MAILROOM_BATCH_LIMIT", limit.to_string())
            .env("MAILROOM_BATCH_TIMEOUT", "0")
            .env("MAILROOM_LOG", "warn")
    }

    /// A sender that records everything and sends nothing.
    pub(super) fn sender(&self) -> Process {
        Process::new("sender")
            .env("MAILROOM_DATABASE_URL", self.url_as(Role::Sender))
            .env("MAILROOM_TRANSPORT", "noop")
            .env("MAILROOM_LOG", "warn")
    }

    /// Tells a collector that sleeps.
    pub(super) async fn wake(&self) -> anyhow::Result<()> {
        let sql = "SELECT mailroom_wake('mailroom')";
        self.admin.batch_execute(sql).await.context(sql)
    }

    /// Waits until a collector sleeps.
    pub(super) async fn asleep(&self) -> anyhow::Result<()> {
        self.until(ASLEEP).await.context("the collector does not fall asleep")
    }

    /// Waits until nothing is outstanding. The end of the queue is looked at first: it costs less.
    pub(super) async fn all_recorded(&self, last_token: i64) -> anyhow::Result<()> {
        let last = "SELECT EXISTS (SELECT FROM delivery_log WHERE token = $1)";
        let last = self.admin.prepare(last).await.context("prepare")?;
        let started = Instant::now();
        while !self.admin.query_one(&last, &[&last_token]).await?.get::<_, bool>(0) {
            ensure!(started.elapsed() < DRAINED_WITHIN, "the queue is not drained");
            tokio::time::sleep(PULSE).await;
        }
        self.until("SELECT NOT EXISTS (SELECT FROM deliveries)").await
    }

    /// Waits until `sql` answers true.
    pub(super) async fn until(&self, sql: &str) -> anyhow::Result<()> {
        let statement = self.admin.prepare(sql).await.with_context(|| sql.to_owned())?;
        let answers = async {
            while !self.admin.query_one(&statement, &[]).await?.get::<_, bool>(0) {
                tokio::time::sleep(PULSE).await;
            }
            anyhow::Ok(())
        };
        let waited = tokio::time::timeout(PATIENCE, answers).await;
        waited.with_context(|| format!("waited in vain for: {sql}"))?
    }

    /// Seconds since the first result was recorded, of those that are not from the past.
    pub(super) async fn seconds_since_the_first(&self) -> anyhow::Result<f64> {
        let sql = format!(
            "SELECT extract(epoch FROM clock_timestamp() - min(at))::float8 FROM delivery_log
             WHERE token > {}",
            self.settled
        );
        self.number(&sql).await
    }

    /// One number.
    pub(super) async fn number(&self, sql: &str) -> anyhow::Result<f64> {
        Ok(self.admin.query_one(sql, &[]).await.with_context(|| sql.to_owned())?.get(0))
    }
}
