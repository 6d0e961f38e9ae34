//! What the soak plays on: the server, the double, and a proxy before each half's database.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use mailroom::SecretKey;
use testkit::{Database, HELD_UNLESS_PENDING, Postgres, Process, Proxy, Role, Ses};

/// Pipelines at work.
pub(super) const PIPES: usize = 2;
/// Their batch limits: calls of a few mails, and large ones.
const BATCH_LIMITS: [&str; PIPES] = ["10", "50"];
/// Calls in flight: so many that mail does not pile up behind the slow ones, for then nothing would
/// meet anything.
const CONCURRENCY: &str = "8";
const KEY: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
/// Mails a second and a day, as the double states its quota.
const QUOTA: (f64, i64) = (1_000.0, 10_000_000);

/// One of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Collector,
    Sender,
}

pub(super) struct Stage {
    // Dropped in this order.
    proxies: Vec<[Proxy; 2]>,
    pub(super) database: Database,
    pub(super) ses: Ses,
    pub(super) postgres: Postgres,
}

impl Stage {
    pub(super) async fn set_up() -> anyhow::Result<Stage> {
        let postgres = Postgres::start().context("start PostgreSQL")?;
        let database = Database::fresh_on(&postgres).await.context("make a database")?;
        database.execute(HELD_UNLESS_PENDING).await.context("check what the schema promises")?;
        database.execute(include_str!("history.sql")).await.context("keep a history")?;
        let ses = Ses::start().context("start the double of SES")?;
        ses.set_quota(QUOTA.0, QUOTA.1);
        let proxy = || Proxy::start(postgres.addr());
        let proxies = (0..PIPES).map(|_| Ok([proxy()?, proxy()?]));
        let proxies = proxies.collect::<anyhow::Result<_>>().context("start a proxy")?;
        Ok(Stage { proxies, database, ses, postgres })
    }

    /// What stands between this half and its database.
    pub(super) fn proxy(&self, pipe: usize, half: Half) -> &Proxy {
        let [collectors, senders] = &self.proxies[pipe];
        match half {
            Half::Collector => collectors,
            Half::Sender => senders,
        }
    }

    /// A collector to be.
    pub(super) fn collector(&self, pipe: usize) -> Process {
        Process::new("collector")
            .env("MAILROOM_DATABASE_URL", self.url(pipe, Half::Collector))
            .env("MAILROOM_SECRET_KEY", KEY)
            .env("MAILROOM_BATCH_LIMIT", BATCH_LIMITS[pipe])
            .env("MAILROOM_BATCH_TIMEOUT", "200")
            .env("MAILROOM_HEALTHCHECK_INTERVAL", "5000")
    }

    /// A sender to be, whose mails tell by their source whose they are.
    pub(super) fn sender(&self, pipe: usize) -> Process {
        Process::new("sender")
            .env("MAILROOM_DATABASE_URL", self.url(pipe, Half::Sender))
            .env("MAILROOM_SES_OUTPUT_PATH", self.output(pipe))
            .env("MAILROOM_SES_SOURCE", source(pipe))
            .env("MAILROOM_SENDER_CONCURRENCY", CONCURRENCY)
            .env("AWS_ENDPOINT_URL", self.ses.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "soak")
            .env("AWS_SECRET_ACCESS_KEY", "soak")
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    fn url(&self, pipe: usize, half: Half) -> String {
        let role = match half {
            Half::Collector => Role::Collector,
            Half::Sender => Role::Sender,
        };
        self.proxy(pipe, half).rewrite(&self.database.url_as(role))
    }

    /// Beside the server's files: it goes when they go.
    fn output(&self, pipe: usize) -> PathBuf {
        self.postgres.socket_dir().join(format!("output{pipe}"))
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Half::Collector => "collector",
            Half::Sender => "sender",
        })
    }
}

fn source(pipe: usize) -> String {
    format!("pipe{pipe}@example.com")
}

/// Whose mail has this source.
pub(super) fn pipe_of(from: &str) -> Option<usize> {
    (0..PIPES).find(|&pipe| source(pipe) == from)
}

/// The key that the tokens are signed with.
pub(super) fn key() -> anyhow::Result<SecretKey> {
    KEY.parse().context("the soak's key")
}
