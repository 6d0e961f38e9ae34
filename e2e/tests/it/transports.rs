//! What holds of the whole pipe, whatever the transport.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use testkit::{Act, Pipeline, Process, Signal, SmtpServer, Stage};

use crate::SOON;
use crate::support::{recovery, rows_by_pgcrypto, sign_up};
use crate::world::{World, stop};

const TRANSPORTS: [&str; 4] = ["ses", "smtp", "file", "noop"];

/// Where each transport would leave its mail.
struct Ends {
    world: World,
    relay: SmtpServer,
    folder: tempfile::TempDir,
}

impl Ends {
    async fn new() -> Ends {
        let (relay, folder) = (SmtpServer::start().unwrap(), tempfile::tempdir().unwrap());
        Ends { world: World::new().await, relay, folder }
    }

    fn with(&self, sender: Process, transport: &str) -> Process {
        // The templates that are stored in SES know no base URL.
        let base = (transport != "ses").then_some(("MAILROOM_BASE_URL", "https://app.example"));
        sender
            .envs(base)
            .env("MAILROOM_TRANSPORT", transport)
            .env("MAILROOM_FILE_PATH", self.folder.path().join("mail"))
            .env("MAILROOM_SMTP_HOST", "127.0.0.1")
            .env("MAILROOM_SMTP_PORT", self.relay.addr().port().to_string())
            .env("MAILROOM_SMTP_TLS", "none")
    }

    /// How many mails went out by SES, by SMTP and into files.
    fn sent(&self) -> [usize; 3] {
        let files = fs::read_dir(self.folder.path().join("mail")).map_or(0, Iterator::count);
        [self.world.ses.mail_count(), self.relay.messages().len(), files]
    }
}

#[tokio::test]
async fn each_transport_sends_its_mail_and_is_named_in_the_log() {
    for (transport, sent) in
        [("ses", [2, 0, 0]), ("smtp", [0, 2, 0]), ("file", [0, 0, 2]), ("noop", [0; 3])]
    {
        let ends = Ends::new().await;
        ends.world.db.execute(&sign_up("ann", 1)).await.unwrap();
        ends.world.db.execute(&recovery("bob")).await.unwrap();
        let sender = ends.with(ends.world.sender(), transport);
        let pipe = Pipeline::spawn(ends.world.collector(), sender).unwrap();
        ends.world.settled().await;
        stop(&pipe);
        ends.world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
        assert_eq!(ends.sent(), sent, "{transport}");
        let sql = "SELECT string_agg(transport || ' ' || outcome, ', ') FROM delivery_log";
        let log = ends.world.db.query_text(sql).await.unwrap();
        assert_eq!(log, format!("{transport} sent, {transport} sent"));
    }
}

#[tokio::test]
async fn a_dry_run_of_each_transport_prints_its_mail_and_sends_none() {
    let ends = Ends::new().await;
    ends.world.db.execute(&sign_up("ann", 2)).await.unwrap();
    let rows = rows_by_pgcrypto(&ends.world.db).await;
    for transport in TRANSPORTS {
        let sender = ends
            .with(ends.world.sender(), transport)
            .env("MAILROOM_DEBUG", "true")
            .stdin_bytes(format!("{}\n", rows.join(",")))
            .spawn()
            .unwrap();
        assert_eq!(sender.wait(SOON).unwrap(), 0, "{transport}: {}", sender.stderr());
        testkit::assert_quiet(&sender.stderr(), &[]);
        let printed = sender.lines();
        assert!(!printed.is_empty(), "{transport}");
        for line in &printed {
            serde_json::from_str::<Value>(line).unwrap();
        }
        for row in &rows {
            let fields: Vec<&str> = row.split(',').collect();
            for field in [1, 3] {
                assert!(printed.iter().any(|line| line.contains(fields[field])), "{printed:?}");
            }
        }
        assert_eq!(ends.sent(), [0; 3], "{transport}");
        assert_eq!((ends.relay.connections(), ends.world.ses.calls().len()), (0, 0));
        assert!(!ends.folder.path().join("mail").exists());
    }
    let sql = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND attempts = 0";
    assert_eq!(ends.world.db.query_i64(sql).await.unwrap(), 2, "a dry run marks nothing");
}

#[tokio::test]
async fn a_template_that_is_missing_ends_the_sender_and_keeps_the_work() {
    for transport in ["ses", "smtp", "file"] {
        let ends = Ends::new().await;
        let templates = ends.folder.path().join("templates");
        let place = templates.join("activation/en");
        fs::create_dir_all(&place).unwrap();
        for name in ["subject.txt", "body.txt", "body.html"] {
            fs::write(place.join(name), "{{secret}}\n").unwrap();
        }
        ends.world.db.execute(&recovery("bob")).await.unwrap();
        let sender =
            ends.with(ends.world.sender(), transport).env("MAILROOM_TEMPLATES", &templates);
        let pipe = Pipeline::spawn(ends.world.collector(), sender).unwrap();
        assert_eq!(pipe.sender.wait(SOON).unwrap(), 78, "{transport}: {}", pipe.sender.stderr());
        let log = pipe.sender.stderr();
        assert!(log.contains("there is no template password_recovery/en"), "{log}");
        assert_eq!(pipe.collector.wait(SOON).unwrap(), 75, "its reader is gone");
        assert_eq!(ends.sent(), [0; 3], "{transport}");
        let sql = "SELECT count(*) FROM deliveries WHERE state = 'pending'";
        ends.world.db.wait_until(&format!("SELECT ({sql}) = 1"), SOON).await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_or_a_kill_in_the_middle_of_a_call_repeats_no_more_than_it_must() {
    for kill in [false, true] {
        let ends = Ends::new().await;
        let (world, relay) = (&ends.world, &ends.relay);
        // The third mail is accepted, and the answer takes its time.
        relay.script(|at, reached| match (at, reached) {
            (Stage::Dot, 3) => Act::Delay(Duration::from_secs(2)),
            _ => Act::Go,
        });
        let sender = || ends.with(world.sender(), "smtp").env("MAILROOM_SENDER_CONCURRENCY", "1");
        let first = Pipeline::spawn(world.collector(), sender()).unwrap();
        // One call.
        world.asleep().await;
        world.db.execute(&sign_up("stopped", 8)).await.unwrap();
        relay.wait_messages(3, SOON).unwrap();
        if kill {
            first.sender.kill().unwrap();
        } else {
            first.sender.signal(Signal::TERM).unwrap();
            assert_eq!(first.sender.wait(SOON).unwrap(), 0, "{}", first.sender.stderr());
            let recorded = "SELECT count(*) FROM delivery_log WHERE outcome = 'sent'";
            assert_eq!(world.db.query_i64(recorded).await.unwrap(), 3);
            let counted = "SELECT count(*) FROM deliveries WHERE attempts > 0";
            assert_eq!(world.db.query_i64(counted).await.unwrap(), 0, "what was not tried");
        }
        first.collector.wait(SOON).unwrap();
        let again = Pipeline::spawn(world.collector(), sender()).unwrap();
        let settled = "SELECT count(*) = 0 FROM deliveries";
        world.db.wait_until(settled, 2 * SOON).await.unwrap();
        stop(&again);
        let mut to: Vec<String> = relay.messages().into_iter().flat_map(|m| m.to).collect();
        let all = to.len();
        to.sort();
        to.dedup();
        assert_eq!(to.len(), 8);
        assert_eq!(all - to.len(), if kill { 3 } else { 0 }, "duplicates");
        let ambiguous = "SELECT count(*) FROM delivery_log WHERE outcome = 'ambiguous'";
        let ambiguous = world.db.query_i64(ambiguous).await.unwrap();
        assert_eq!(ambiguous, if kill { 8 } else { 0 }, "countable");
        let expected = ["reader_gone", "deliveries_released", "mails_again"];
        world.quiet(&[&first.collector, &first.sender], &expected).await;
        world.quiet(&[&again.collector, &again.sender], &expected).await;
    }
}
