//! The limit: the very statements of the two halves, one after another, each half's on a connection
//! set as its own, with nothing around them: no signing, no pipe, no second process.

use anyhow::{Context, ensure};
use collector::floors::Floors;
use daemon::session::SPARING;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, NoTls, Row, Statement};

use super::stats::count;

const PRIORITIES: &str = include_str!("../../../collector/sql/priorities.sql");
const CLAIM: &str = include_str!("../../../collector/sql/claim.sql");
const BEGIN: &str = include_str!("../../../sender/sql/begin.sql");
const SETTLE_SENT: &str = include_str!("../../../sender/sql/settle_sent.sql");

/// What a session of ours asks for besides ([`SPARING`]), on its connection (`daemon/src/postgres/`).
const SETTINGS: &str = "SET default_transaction_isolation = 'read committed';
    SET row_security = off; SET client_connection_check_interval = 5000";

/// A holder that was never registered: nobody else looks.
const HOLDER: i32 = 1_000_000_000;
const QUEUE: &str = "mailroom";
/// Seconds a token must still live, and ambiguous attempts that are enough.
const MARGIN: i64 = 11;
const AMBIGUITIES: i32 = 10;

struct Connection {
    client: Client,
    backend: i32,
    /// Of each notification.
    heard: UnboundedReceiver<()>,
}

impl Connection {
    async fn open(url: &str, settings: &str) -> anyhow::Result<Self> {
        let (client, mut connection) =
            tokio_postgres::connect(url, NoTls).await.context("connect")?;
        let (tell, heard) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) =
                std::future::poll_fn(|cx| connection.poll_message(cx)).await
            {
                if matches!(message, AsyncMessage::Notification(_)) {
                    // Nobody may be listening any more.
                    let _ = tell.send(());
                }
            }
        });
        let settings = format!("{SPARING}; {SETTINGS}; {settings}");
        client.batch_execute(&settings).await.context("make settings")?;
        let backend = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        Ok(Self { client, backend, heard })
    }
}

pub(super) struct Bare {
    collector: Connection,
    sender: Connection,
    priorities: Statement,
    claim: Statement,
    begin: Statement,
    settle: Statement,
    floors: Floors,
}

impl Bare {
    pub(super) async fn connect(url: &str) -> anyhow::Result<Bare> {
        let collector = Connection::open(url, "SET synchronous_commit = off").await?;
        let sender = Connection::open(url, "SET synchronous_commit = on").await?;
        Ok(Bare {
            priorities: collector.client.prepare(PRIORITIES).await.context("priorities")?,
            claim: collector.client.prepare(CLAIM).await.context("claim")?,
            begin: sender.client.prepare(BEGIN).await.context("begin")?,
            settle: sender.client.prepare(SETTLE_SENT).await.context("settle_sent")?,
            collector,
            sender,
            floors: Floors::default(),
        })
    }

    /// LISTENs on the connection that claims, and at each notification claims a row and hands over its
    /// address, until the connection ends.
    pub(super) async fn claim_when_notified(
        &mut self,
        channel: &str,
        mut hand_over: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let sql = format!("LISTEN {channel}");
        self.collector.client.batch_execute(&sql).await.context(sql)?;
        while self.collector.heard.recv().await.is_some() {
            for row in self.claim(1).await? {
                hand_over(row.get("email"))?;
            }
        }
        Ok(())
    }

    /// Claims `rows`, `limit` at a time. Rows a second, the first claim apart: it plans.
    pub(super) async fn claim_all(&mut self, limit: u32, rows: u64) -> anyhow::Result<f64> {
        let mut claimed = count(self.claim(limit).await?.len());
        let (first, started) = (claimed, Instant::now());
        while claimed < count(rows) {
            claimed += count(self.claim(limit).await?.len());
        }
        Ok((claimed - first) / started.elapsed().as_secs_f64())
    }

    /// Claims `rows`, `limit` at a time, begins and settles each claim in calls of `call`. Rows a
    /// second, the first claim apart.
    pub(super) async fn settle_all(
        &mut self,
        limit: u32,
        call: usize,
        rows: u64,
    ) -> anyhow::Result<f64> {
        let mut settled = self.claim_and_settle(limit, call).await?;
        let (first, started) = (settled, Instant::now());
        while settled < rows {
            settled += self.claim_and_settle(limit, call).await?;
        }
        Ok(count(settled - first) / started.elapsed().as_secs_f64())
    }

    async fn claim(&mut self, limit: u32) -> anyhow::Result<Vec<Row>> {
        let now = Instant::now();
        if self.floors.are_stale(now) {
            let params: [&(dyn ToSql + Sync); 2] = [&self.collector.backend, &QUEUE];
            let rows = self
                .collector
                .client
                .query(&self.priorities, &params)
                .await
                .context("priorities")?;
            self.floors.replace(rows.iter().map(|row| row.get("priority")).collect(), now);
        }
        let (priorities, due) = self.floors.parameters();
        let rows_max = i64::from(limit);
        let params: [&(dyn ToSql + Sync); 6] =
            [&self.collector.backend, &HOLDER, &QUEUE, &rows_max, &priorities, &due];
        let rows = self.collector.client.query(&self.claim, &params).await.context("claim")?;
        let places = rows.iter().map(|row| (row.get("priority"), row.get("due_at")));
        let everywhere = self.floors.claimed(places, u32::try_from(rows.len())?, limit);
        ensure!(!(rows.is_empty() && everywhere), "there is not enough to claim");
        Ok(rows)
    }

    async fn claim_and_settle(&mut self, limit: u32, call: usize) -> anyhow::Result<u64> {
        let claimed = self.claim(limit).await?;
        let mut settled = 0;
        for rows in claimed.chunks(call) {
            let number: i16 = rows.first().context("an empty call")?.get("number");
            let secrets: Vec<&[u8]> = rows.iter().map(|row| row.get("secret")).collect();
            let emails: Vec<&str> = rows
                .iter()
                .map(|row| std::str::from_utf8(row.get("email")).context("an address"))
                .collect::<anyhow::Result<_>>()?;
            let params: [&(dyn ToSql + Sync); 7] =
                [&self.sender.backend, &HOLDER, &number, &secrets, &emails, &MARGIN, &AMBIGUITIES];
            let begun = self.sender.client.query(&self.begin, &params).await.context("begin")?;
            ensure!(begun.len() == rows.len(), "{} of {} begun", begun.len(), rows.len());
            let tokens: Vec<i64> = begun.iter().map(|row| row.get("token")).collect();
            let attempts: Vec<i32> = begun.iter().map(|row| row.get("attempts")).collect();
            let ids = vec![""; tokens.len()];
            let params: [&(dyn ToSql + Sync); 6] =
                [&self.sender.backend, &vec![HOLDER], &"noop", &tokens, &attempts, &ids];
            let done = self.sender.client.execute(&self.settle, &params).await.context("settle")?;
            ensure!(done == u64::try_from(rows.len())?, "{done} of {} settled", rows.len());
            settled += done;
        }
        Ok(settled)
    }
}
