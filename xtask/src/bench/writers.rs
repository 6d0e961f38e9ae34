//! The application: connections of its role that sign people up, one statement and one transaction
//! each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Statement};

use super::stats::count;

const SIGN_UP: &str = "INSERT INTO accounts (email, login) VALUES ($1, $2)";

/// When the answer to a sign-up came: it was committed by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed {
    pub(super) number: u64,
    pub(super) at: Instant,
    pub(super) time: SystemTime,
}

struct Writer {
    client: Client,
    sign_up: Statement,
}

pub(super) struct Writers {
    all: Vec<Arc<Writer>>,
    /// The number of who signs up next.
    next: Arc<AtomicU64>,
}

impl Writers {
    pub(super) async fn connect(url: &str, connections: usize) -> anyhow::Result<Writers> {
        Writers::with(url, connections, SIGN_UP, 0).await
    }

    /// With a sign-up of one's own ($1 the address, $2 the login), of people from this number on.
    pub(super) async fn with(
        url: &str,
        connections: usize,
        sql: &str,
        first: u64,
    ) -> anyhow::Result<Writers> {
        let mut all = Vec::new();
        for _ in 0..connections {
            let (client, connection) =
                tokio_postgres::connect(url, NoTls).await.context("connect")?;
            tokio::spawn(connection);
            let sign_up = client.prepare(sql).await.context("prepare")?;
            all.push(Arc::new(Writer { client, sign_up }));
        }
        Ok(Writers { all, next: Arc::new(AtomicU64::new(first)) })
    }

    /// Sets `mailroom.notify` for all of them.
    pub(super) async fn notify(&self, mode: &str) -> anyhow::Result<()> {
        let sql = format!("SET mailroom.notify = '{mode}'");
        for writer in &self.all {
            writer.client.batch_execute(&sql).await.context("set mailroom.notify")?;
        }
        Ok(())
    }

    /// This many of them, one sign-up after another for `time`: sign-ups a second.
    pub(super) async fn busy(&self, writers: usize, time: Duration) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut work = JoinSet::new();
        for writer in self.all.iter().take(writers) {
            let (writer, next) = (writer.clone(), self.next.clone());
            work.spawn(async move {
                let mut done = 0_u64;
                while started.elapsed() < time {
                    writer.sign_up(next.fetch_add(1, Ordering::Relaxed)).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            });
        }
        let mut done = 0;
        while let Some(writer) = work.join_next().await {
            done += writer.context("a writer")??;
        }
        Ok(count(done) / started.elapsed().as_secs_f64())
    }

    /// `sign_ups` of them at `rate` a second, whether or not the earlier ones are done.
    pub(super) async fn at_rate(&self, rate: u32, sign_ups: u64) -> anyhow::Result<Vec<Committed>> {
        let (free, mut idle) = mpsc::unbounded_channel();
        for writer in &self.all {
            free.send(writer.clone()).ok().context("a channel")?;
        }
        let started = Instant::now();
        let mut work = JoinSet::new();
        for n in 0..sign_ups {
            let due = started + Duration::from_secs_f64(count(n) / f64::from(rate));
            tokio::time::sleep_until(due.into()).await;
            let writer = idle.recv().await.context("a channel")?;
            let (free, number) = (free.clone(), self.next.fetch_add(1, Ordering::Relaxed));
            work.spawn(async move {
                let done = writer.sign_up(number).await;
                let committed = Committed { number, at: Instant::now(), time: SystemTime::now() };
                let _ = free.send(writer);
                done.map(|()| committed)
            });
        }
        let mut all = Vec::new();
        while let Some(committed) = work.join_next().await {
            all.push(committed.context("a writer")??);
        }
        let late = started.elapsed().as_secs_f64() - count(sign_ups) / f64::from(rate);
        ensure!(late < 5.0, "the application cannot sign up {rate} a second: {late:.1} s late");
        Ok(all)
    }
}

impl Writer {
    async fn sign_up(&self, number: u64) -> anyhow::Result<()> {
        let (email, login) = (address(number), format!("login{number}"));
        self.client.query(&self.sign_up, &[&email, &login]).await.context("sign up")?;
        Ok(())
    }
}

/// Of the person with this number.
pub(super) fn address(number: u64) -> String {
    format!("new{number}@example.com")
}

/// The other way round.
pub(super) fn number(address: &str) -> Option<u64> {
    address.strip_prefix("new")?.strip_suffix("@example.com")?.parse().ok()
}
