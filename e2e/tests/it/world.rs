//! A database, a provider, and the two programs between them.

use tempfile::TempDir;
use testkit::{
    Database, HELD_UNLESS_PENDING, Pipeline, Postgres, Process, Proxy, Role, Running, Ses, Signal,
};

use crate::SOON;

/// The key of FACTS §1.2.
pub(crate) const KEY: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

/// What a test runs the pipe in. The programs get an environment in which nothing waits for long
/// and nothing leaves the machine; a test overrides what it is about (the last word counts).
pub(crate) struct World {
    pub(crate) db: Database,
    pub(crate) ses: Ses,
    output: TempDir,
}

impl World {
    pub(crate) async fn new() -> World {
        World::in_database(Database::fresh().await.unwrap())
    }

    pub(crate) async fn on(server: &Postgres) -> World {
        let db = Database::fresh_on(server).await.unwrap();
        db.execute(HELD_UNLESS_PENDING).await.unwrap();
        World::in_database(db)
    }

    pub(crate) fn in_database(db: Database) -> World {
        World { db, ses: Ses::start().unwrap(), output: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn collector(&self) -> Process {
        Process::new("collector")
            .env("MAILROOM_DATABASE_URL", self.db.url_as(Role::Collector))
            .env("MAILROOM_SECRET_KEY", KEY)
            .env("MAILROOM_BATCH_TIMEOUT", "200")
    }

    pub(crate) fn sender(&self) -> Process {
        let url = self.db.url_as(Role::Sender);
        self.sender_without_database().env("MAILROOM_DATABASE_URL", url)
    }

    pub(crate) fn sender_without_database(&self) -> Process {
        Process::new("sender")
            .env("MAILROOM_SES_OUTPUT_PATH", self.output.path())
            .env("MAILROOM_SES_RATE", "100000")
            .env("AWS_ENDPOINT_URL", self.ses.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// A collector whose connection goes through this.
    pub(crate) fn collector_through(&self, proxy: &Proxy) -> Process {
        let url = proxy.rewrite(&self.db.url_as(Role::Collector));
        self.collector().env("MAILROOM_DATABASE_URL", url)
    }

    /// A sender whose connection goes through this.
    pub(crate) fn sender_through(&self, proxy: &Proxy) -> Process {
        let url = proxy.rewrite(&self.db.url_as(Role::Sender));
        self.sender().env("MAILROOM_DATABASE_URL", url)
    }

    /// `collector | sender`.
    pub(crate) fn pipe(&self) -> Pipeline {
        Pipeline::spawn(self.collector(), self.sender()).unwrap()
    }

    /// `mailroom run`: the same as one unit. Its halves share a URL.
    pub(crate) fn unit(&self) -> Process {
        for half in ["collector", "sender"] {
            // Beside it.
            testkit::binary(half).unwrap();
        }
        Process::new("mailroom")
            .arg("run")
            .env_of(&self.sender())
            .env_of(&self.collector())
            .env("MAILROOM_DATABASE_URL", self.db.url())
    }

    /// Waits until nothing is outstanding.
    pub(crate) async fn settled(&self) {
        self.db.wait_until("SELECT count(*) = 0 FROM deliveries", SOON).await.unwrap();
    }

    /// Waits until so many mails have been accepted; if they are not, says what is outstanding.
    pub(crate) async fn mails(&self, count: usize) {
        if let Err(error) = self.ses.wait_mails(count, SOON) {
            let sql = "SELECT state, holder, dispatches, attempts, count(*), min(due_at - now()),
                    (SELECT array_agg((number, kind, missing_since)::text) FROM holders)
                FROM deliveries GROUP BY 1, 2, 3, 4";
            panic!("{error:#}; outstanding: {:#?}", self.db.query_rows(sql).await);
        }
    }

    /// Waits until a collector sleeps: it holds the gate.
    pub(crate) async fn asleep(&self) {
        self.db.wait_until(ASLEEP, SOON).await.unwrap();
    }

    /// Fails if one of these processes complained of something that was not expected, or said
    /// what is nobody's business: an address, a login, a secret (of the last 100) or the key.
    pub(crate) async fn quiet(&self, processes: &[&Running], expected: &[&str]) {
        let sql = "SELECT email, login FROM accounts ORDER BY id DESC LIMIT 100";
        let mut secrets: Vec<String> =
            self.db.query_rows(sql).await.unwrap().into_iter().flatten().flatten().collect();
        // A short one may stand in a log by chance.
        secrets.retain(|text| text.len() >= 6);
        let sql = "SELECT left(translate(encode(secret, 'base64'), '+/', '-_'), 42)
            FROM tokens ORDER BY id DESC LIMIT 100";
        secrets.extend(self.db.query_rows(sql).await.unwrap().into_iter().flatten().flatten());
        secrets.push(KEY.to_owned());
        for process in processes {
            let log = process.stderr();
            testkit::assert_quiet(&log, expected);
            for secret in &secrets {
                assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
            }
        }
    }
}

/// True while a collector of this database sleeps; 1919905645 is `mailroom_gate_class()`.
pub(crate) const ASLEEP: &str = "SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_database AS d \
    ON d.oid = l.database WHERE l.locktype = 'advisory' AND l.classid = 1919905645 AND l.granted \
    AND l.mode = 'ExclusiveLock' AND d.datname = current_database())";

/// Stops a pipe as a user does: the first half is told to go, the second one sees the end of its
/// input. Both must end well.
pub(crate) fn stop(pipe: &Pipeline) {
    pipe.collector.signal(Signal::TERM).unwrap();
    assert_eq!(pipe.collector.wait(SOON).unwrap(), 0, "{}", pipe.collector.stderr());
    assert_eq!(pipe.sender.wait(SOON).unwrap(), 0, "{}", pipe.sender.stderr());
}

/// Stops a collector that writes to the test.
pub(crate) fn stop_collector(collector: &Running) {
    collector.signal(Signal::TERM).unwrap();
    assert_eq!(collector.wait(SOON).unwrap(), 0, "{}", collector.stderr());
}
