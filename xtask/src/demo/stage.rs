//! What the demo plays on: the server, the double, and the two processes between them.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use mailroom::SecretKey;
use testkit::{Database, Pipeline, Postgres, Process, Role, Running, Ses, Signal, SmtpServer};

pub(super) const ACTIVATION_TEMPLATE: &str = "activationv1";
pub(super) const RECOVERY_TEMPLATE: &str = "passwordrecoveryv1";

const KEY: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
/// The longest a step may take, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the two processes are looked after.
const PULSE: Duration = Duration::from_millis(100);
/// Mails a second and a day, as the double states its quota.
const QUOTA: (f64, i64) = (1_000.0, 1_000_000);
/// Lines of each log that are shown when something fails.
const TAIL_LINES: usize = 15;

pub(super) struct Stage {
    // Dropped in this order.
    pipe: Pipeline,
    pub(super) database: Database,
    pub(super) ses: Ses,
    _postgres: Postgres,
}

impl Stage {
    pub(super) async fn set_up() -> anyhow::Result<Stage> {
        let postgres = Postgres::start().context("start PostgreSQL")?;
        let database = Database::fresh_on(&postgres).await.context("make a database")?;
        let ses = Ses::start().context("start the double of SES")?;
        ses.set_quota(QUOTA.0, QUOTA.1);
        let sender = Process::new("sender")
            .env("MAILROOM_DATABASE_URL", database.url_as(Role::Sender))
            // Beside the server's files: it goes when they go.
            .env("MAILROOM_SES_OUTPUT_PATH", postgres.socket_dir().join("output"))
            .env("AWS_ENDPOINT_URL", ses.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "demo")
            .env("AWS_SECRET_ACCESS_KEY", "demo")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let pipe = Pipeline::spawn(collector(&database), sender)?;
        let stage = Stage { pipe, database, ses, _postgres: postgres };
        let connected = stage.until("SELECT count(DISTINCT kind) = 2 FROM holders").await;
        connected.inspect_err(|_| stage.print_logs())?;
        Ok(stage)
    }

    /// The same pipe, but its mail goes to this relay, which is on our own machine.
    pub(super) fn switch_to_smtp(&mut self, relay: &SmtpServer) -> anyhow::Result<()> {
        let sender = Process::new("sender")
            .env("MAILROOM_DATABASE_URL", self.database.url_as(Role::Sender))
            .env("MAILROOM_TRANSPORT", "smtp")
            .env("MAILROOM_SMTP_HOST", relay.addr().ip().to_string())
            .env("MAILROOM_SMTP_PORT", relay.addr().port().to_string())
            .env("MAILROOM_SMTP_TLS", "none")
            .env("MAILROOM_FROM", "Mailroom <noreply@example.com>")
            .env("MAILROOM_BASE_URL", "https://app.example.com");
        self.pipe = Pipeline::spawn(collector(&self.database), sender)?;
        Ok(())
    }

    /// Waits until `tokens` of them are recorded as sent.
    pub(super) async fn until_sent(&self, tokens: usize) -> anyhow::Result<()> {
        self.until(&format!(
            "SELECT count(DISTINCT token) >= {tokens} FROM delivery_log WHERE outcome = 'sent'"
        ))
        .await
        .with_context(|| format!("SES has {} mails of {tokens}", self.ses.mail_count()))
    }

    /// Waits until `sql` answers true, as long as both processes live.
    async fn until(&self, sql: &str) -> anyhow::Result<()> {
        tokio::select! {
            waited = self.database.wait_until(sql, PATIENCE) => waited,
            ended = self.watch() => ended,
        }
    }

    /// Comes back only with the error that one of the processes has ended.
    async fn watch(&self) -> anyhow::Result<()> {
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            pulse.tick().await;
            for (name, process) in self.processes() {
                if !process.is_running()? {
                    bail!("{name} has ended, with exit code {}", process.wait(PATIENCE)?);
                }
            }
        }
    }

    /// Stops the pipe as an operator does: the collector is told, the sender reads to the end.
    pub(super) fn stop(&self) -> anyhow::Result<()> {
        self.pipe.collector.signal(Signal::TERM)?;
        for (name, process) in self.processes() {
            let code = process.wait(PATIENCE)?;
            anyhow::ensure!(code == 0, "{name} was asked to stop, and its exit code is {code}");
        }
        Ok(())
    }

    /// The end of both logs, on stderr.
    pub(super) fn print_logs(&self) {
        for (name, process) in self.processes() {
            let log = process.stderr();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            // Without a stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "\n{name}'s log ends:\n{}", tail.join("\n"));
        }
    }

    fn processes(&self) -> [(&'static str, &Running); 2] {
        [("collector", &self.pipe.collector), ("sender", &self.pipe.sender)]
    }
}

fn collector(database: &Database) -> Process {
    Process::new("collector")
        .env("MAILROOM_DATABASE_URL", database.url_as(Role::Collector))
        .env("MAILROOM_SECRET_KEY", KEY)
        .env("MAILROOM_BATCH_TIMEOUT", "200")
}

/// The key that this demo's tokens are signed with.
pub(super) fn key() -> anyhow::Result<SecretKey> {
    KEY.parse().context("the demo's key")
}
