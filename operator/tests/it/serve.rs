//! `mailroom serve` and `mailroom ready`: what they say.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

use std::net::SocketAddr;
use std::time::Instant;

use testkit::{
    Answer, Database, Exposition, Process, Proxy, Role, Running, Signal, assert_quiet, eventually,
    shared,
};

use crate::monitoring::promtool;
use crate::support::{SOON, finish};

const OUTCOMES: [&str; 7] =
    ["sent", "skipped", "failed", "unconfirmed", "deferred", "throttled", "ambiguous"];

/// `mailroom serve`, on a port of its own.
pub(crate) struct Serve {
    pub(crate) process: Running,
    pub(crate) addr: SocketAddr,
}

impl Serve {
    pub(crate) fn start(process: Process) -> Serve {
        let process = process.spawn().unwrap();
        let line = process.wait_for("event=listening", SOON).unwrap();
        let addr = line.rsplit("address=").next().unwrap().parse().unwrap();
        process.wait_for("event=connected", SOON).unwrap();
        Serve { process, addr }
    }

    pub(crate) fn of(db: &Database) -> Serve {
        Serve::start(serve(&db.url_as(Role::Operator)))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::get(self.addr, path).unwrap()
    }

    pub(crate) fn scrape(&self) -> Exposition {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
        Exposition::parse(&answer.body).unwrap_or_else(|e| panic!("{e:#}\n{}", answer.body))
    }

    /// Waits until it is red, or green; what it says then.
    pub(crate) fn turns(&self, status: u16) -> String {
        let mut said = String::new();
        eventually(SOON, &format!("/ready is {status}"), || {
            let answer = self.get("/ready");
            said = answer.body;
            answer.status == status
        });
        said
    }

    pub(crate) fn stop(&self) {
        self.process.signal(Signal::TERM).unwrap();
        assert_eq!(self.process.wait(SOON).unwrap(), 0, "{}", self.process.stderr());
    }
}

pub(crate) fn serve(url: &str) -> Process {
    Process::new("mailroom")
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("MAILROOM_DATABASE_URL", url)
}

pub(crate) fn ready(url: &str) -> Process {
    Process::new("mailroom").arg("ready").env("MAILROOM_DATABASE_URL", url)
}

/// Provisioned accounts, the promises of whose activation mails are as old as this.
async fn outstanding(db: &Database, name: &str, count: usize, age: &str) {
    db.execute(&format!(
        "INSERT INTO accounts (email, login)
         SELECT '{name}-' || n || '@mail.example', '{name}-login-' || n
         FROM generate_series(1, {count}) AS n;
         UPDATE deliveries SET promised_at = now() - interval '{age}'
         WHERE token IN (SELECT t.id FROM tokens AS t JOIN accounts AS a ON a.id = t.account
             WHERE a.login LIKE '{name}-login-%');"
    ))
    .await
    .unwrap();
}

#[tokio::test]
async fn every_action_and_outcome_is_there_from_the_first_scrape() {
    let db = Database::fresh().await.unwrap();
    let serve = Serve::of(&db);
    let metrics = serve.scrape();
    assert_eq!(metrics.value("mailroom_up", &[]), Some(1.0));
    assert_eq!(metrics.value("mailroom_scrape_errors_total", &[]), Some(0.0));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(metrics.value("mailroom_build_info", &[("version", version)]), Some(1.0));
    let schema = db.query_i64("SELECT version FROM schema_migrations").await.unwrap();
    assert_eq!(metrics.value("mailroom_schema_version", &[]), Some(schema as f64));
    let actions = db.query_rows("SELECT action::text FROM actions").await.unwrap();
    assert!(actions.len() >= 2, "{actions:?}");
    for action in actions.into_iter().flatten().flatten() {
        let action = ("action", &*action);
        for outcome in OUTCOMES {
            let labels = [action, ("outcome", outcome)];
            assert_eq!(metrics.value("mailroom_outcomes_total", &labels), Some(0.0), "{outcome}");
        }
        for state in ["pending", "dispatched", "sending"] {
            let labels = [action, ("state", state)];
            assert_eq!(metrics.value("mailroom_deliveries", &labels), Some(0.0), "{state}");
        }
        for name in [
            "mailroom_delivery_seconds_count",
            "mailroom_delivery_seconds_sum",
            "mailroom_oldest_delivery_age_seconds",
            "mailroom_overdue_deliveries",
        ] {
            assert_eq!(metrics.value(name, &[action]), Some(0.0), "{name}");
        }
    }
    for kind in ["collector", "sender"] {
        assert_eq!(metrics.value("mailroom_holders", &[("kind", kind)]), Some(0.0), "{kind}");
    }
    assert_eq!(serve.get("/ready").body, "ready: no mail is outstanding\n");
    assert_eq!(serve.get("/live").body, "alive\n");
    serve.stop();
    assert_quiet(&serve.process.stderr(), &[]);
}

/// A mail was accepted so long ago.
async fn accepted(db: &Database, age: &str) {
    db.execute(&format!(
        "INSERT INTO delivery_log (at, token, attempt, outcome)
         VALUES (now() - interval '{age}', 0, 1, 'sent')"
    ))
    .await
    .unwrap();
}

#[tokio::test]
async fn what_is_outstanding_is_counted_and_mail_that_stands_still_turns_readiness() {
    let db = Database::fresh().await.unwrap();
    outstanding(&db, "young", 3, "1 s").await;
    let serve = Serve::of(&db);
    assert!(serve.turns(200).starts_with("ready: the oldest of 3 outstanding mails is "));
    // Tried again in an hour, and nothing else is accepted, either.
    outstanding(&db, "late", 1, "100 s").await;
    db.execute("UPDATE deliveries SET due_at = now() + interval '1 hour' WHERE token = 4")
        .await
        .unwrap();
    db.execute("UPDATE deliveries SET state = 'sending', holder = 7 WHERE token = 1")
        .await
        .unwrap();
    accepted(&db, "90 s").await;
    let said = serve.turns(503);
    assert!(said.starts_with("not ready: the oldest of 4 outstanding mails is 10"), "{said}");
    assert!(said.ends_with(" s old, and none was accepted for 30 s\n"), "{said}");
    let line = serve.process.wait_for("event=not_ready", SOON).unwrap();
    assert!(line.contains(" reason=unaccepted"), "{line}");
    let metrics = serve.scrape();
    let action = ("action", "activation");
    for (state, count) in [("pending", 3.0), ("dispatched", 0.0), ("sending", 1.0)] {
        let labels = [action, ("state", state)];
        assert_eq!(metrics.value("mailroom_deliveries", &labels), Some(count), "{state}");
    }
    assert_eq!(metrics.value("mailroom_ready", &[]), Some(0.0));
    assert_eq!(metrics.value("mailroom_overdue_deliveries", &[action]), Some(0.0), "none is due");
    let oldest = metrics.value("mailroom_oldest_delivery_age_seconds", &[action]).unwrap();
    assert!((100.0..200.0).contains(&oldest), "{oldest}");
    db.execute("DELETE FROM deliveries WHERE token = 4").await.unwrap();
    serve.turns(200);
    serve.process.wait_for("event=ready", SOON).unwrap();
    assert_eq!(serve.scrape().value("mailroom_ready", &[]), Some(1.0));
    serve.stop();
    assert_quiet(&serve.process.stderr(), &["not_ready"]);
}

/// For some fifteen minutes a mail server that does not know us takes nothing: its mail, not all.
#[tokio::test]
async fn one_greylisted_mail_and_an_import_that_takes_long_are_green_while_mail_is_accepted() {
    let db = Database::fresh().await.unwrap();
    outstanding(&db, "greylisted", 1, "100 s").await;
    db.execute("UPDATE deliveries SET due_at = now() + interval '1 hour'").await.unwrap();
    outstanding(&db, "import", 50, "200 s").await;
    db.execute(
        "UPDATE deliveries SET due_at = promised_at WHERE token > 1;
         UPDATE deliveries SET state = 'dispatched', holder = 7 WHERE token = 2",
    )
    .await
    .unwrap();
    let url = db.url_as(Role::Collector);
    assert_eq!(finish(ready(&url)).code, 75, "nothing is accepted");
    accepted(&db, "1 s").await;
    let ran = finish(ready(&url));
    assert_eq!((ran.code, &*ran.err), (0, ""), "{ran:?}");
    assert!(ran.out[0].ends_with(" s old, and mail is accepted"), "{ran:?}");
    let overdue = Serve::of(&db).scrape().sum("mailroom_overdue_deliveries");
    assert_eq!(overdue, 49.0, "as they could have been handed over");
}

/// Another queue's mail goes out meanwhile.
#[tokio::test]
async fn mail_that_nobody_collects_is_red_whatever_else_is_accepted() {
    let db = Database::fresh().await.unwrap();
    outstanding(&db, "stuck", 2, "100 s").await;
    db.execute("UPDATE deliveries SET due_at = promised_at").await.unwrap();
    accepted(&db, "1 s").await;
    let ran = finish(ready(&db.url_as(Role::Collector)));
    assert_eq!((ran.code, &*ran.err), (75, ""));
    let words = "not ready: 2 mails have been due for longer than 30 s, and nobody collects";
    assert_eq!(ran.out, [words]);
}

/// However long the log, and however long nothing was accepted.
#[tokio::test]
async fn readiness_reads_of_the_log_only_its_index() {
    let db = Database::fresh().await.unwrap();
    for age in ["1 day", "1 s"] {
        db.execute(&format!(
            "INSERT INTO delivery_log (at, token, attempt, outcome)
             SELECT now() - interval '{age}', n, 1, 'sent' FROM generate_series(1, 20000) AS n;
             ANALYZE delivery_log"
        ))
        .await
        .unwrap();
        let sql = include_str!("../../sql/serve/outstanding.sql").replace("$1", "30");
        let plan = db.query_rows(&format!("EXPLAIN {sql}")).await.unwrap();
        let plan: Vec<String> = plan.into_iter().flatten().flatten().collect();
        let plan = plan.join("\n");
        assert!(plan.contains("using delivery_log_outcome_idx"), "{plan}");
        assert!(!plan.contains("Scan on delivery_log"), "{plan}");
    }
}

#[tokio::test]
async fn a_mail_whose_action_is_not_said_is_counted_as_unknown() {
    let db = Database::fresh().await.unwrap();
    outstanding(&db, "unsaid", 2, "1 s").await;
    db.execute("UPDATE deliveries SET action = NULL WHERE token = 1").await.unwrap();
    let ran = finish(ready(&db.url_as(Role::Collector)));
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let serve = Serve::of(&db);
    assert_eq!(serve.turns(200).split(" mails").next(), Some("ready: the oldest of 2 outstanding"));
    let metrics = serve.scrape();
    for action in ["unknown", "activation"] {
        let labels = [("action", action), ("state", "pending")];
        assert_eq!(metrics.value("mailroom_deliveries", &labels), Some(1.0), "{action}");
    }
    assert_eq!(metrics.value("mailroom_up", &[]), Some(1.0));
}

/// An enum's label may hold anything.
#[tokio::test]
async fn a_label_is_escaped() {
    let db = Database::fresh().await.unwrap();
    let name = "a\"b\\n\nc{d=\",\"}";
    db.execute(&format!("ALTER TYPE token_action ADD VALUE '{name}'")).await.unwrap();
    db.execute(&format!(
        "INSERT INTO actions (action, number, path, statuses) VALUES ('{name}', 99, '/x', '{{active}}')"
    ))
    .await
    .unwrap();
    let serve = Serve::of(&db);
    let value = serve.scrape().value("mailroom_delivery_seconds_count", &[("action", name)]);
    assert_eq!(value, Some(0.0));
    promtool(&serve.get("/metrics").body);
}

/// A log of mails of every outcome that took so many seconds each.
async fn happened(db: &Database, age: &str, mails: i64, seconds: f64) {
    db.execute(&format!(
        "INSERT INTO delivery_log (at, token, promised_at, attempt, outcome, action)
         SELECT now() - interval '{age}', -n, now() - interval '{age}' - interval '{seconds} s', 1,
             o.outcome, 'activation'
         FROM generate_series(1, {mails}) AS n,
             unnest(enum_range(NULL::delivery_outcome)) AS o (outcome)"
    ))
    .await
    .unwrap();
}

/// It counts the log by itself; nothing of it can be seen in the metrics.
#[tokio::test]
async fn what_happened_is_counted_once_before_and_after_the_log_is() {
    let db = Database::fresh().await.unwrap();
    for (age, mails, seconds) in [("3 days", 3, 0.05), ("1 day", 4, 40.0), ("1 s", 2, 7200.0)] {
        happened(&db, age, mails, seconds).await;
    }
    let serve = Serve::of(&db);
    let counted = "SELECT coalesce(sum(count), 0) = 7 FROM delivery_totals WHERE outcome = 'sent'";
    let action = ("action", "activation");
    let check = |metrics: Exposition| {
        for outcome in OUTCOMES {
            let labels = [action, ("outcome", outcome)];
            assert_eq!(metrics.value("mailroom_outcomes_total", &labels), Some(9.0), "{outcome}");
        }
        for (le, count) in [("0.1", 3.0), ("30", 3.0), ("60", 7.0), ("3600", 7.0), ("+Inf", 9.0)] {
            let labels = [action, ("le", le)];
            let value = metrics.value("mailroom_delivery_seconds_bucket", &labels);
            assert_eq!(value, Some(count), "{le}");
        }
        let sum = metrics.value("mailroom_delivery_seconds_sum", &[action]).unwrap();
        assert!((sum - (0.15 + 160.0 + 14_400.0)).abs() < 0.001, "{sum}");
    };
    check(serve.scrape());
    db.wait_until(counted, SOON).await.unwrap();
    drop(serve);
    let serve = Serve::of(&db);
    check(serve.scrape());
    promtool(&serve.get("/metrics").body);
}

#[tokio::test]
async fn however_many_ask_there_is_one_look_a_second() {
    let db = Database::fresh().await.unwrap();
    let url = db.url_as(Role::Operator);
    let serve = Serve::start(serve(&url).env("MAILROOM_LOG", "debug"));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for path in ["/metrics", "/ready"].repeat(10) {
                    assert_eq!(serve.get(path).status, 200);
                }
            });
        }
    });
    let seconds = start.elapsed().as_secs() as usize;
    serve.stop();
    let looks = serve.process.stderr().matches("event=looked").count();
    assert!((1..=seconds + 3).contains(&looks), "{looks} looks in {seconds} s");
}

#[tokio::test]
async fn ready_answers_once_with_any_role_of_ours() {
    let db = Database::fresh().await.unwrap();
    for role in [Role::Collector, Role::Sender, Role::Operator] {
        let ran = finish(ready(&db.url_as(role)));
        assert_eq!((ran.code, &*ran.err), (0, ""), "{role}");
        assert_eq!(ran.out, ["ready: no mail is outstanding"]);
    }
    outstanding(&db, "late", 1, "100 s").await;
    let url = db.url_as(Role::Sender);
    let ran = finish(ready(&url));
    assert_eq!((ran.code, &*ran.err), (75, ""));
    assert!(ran.out[0].starts_with("not ready: the mail that is outstanding is 10"), "{ran:?}");
    let ran = finish(ready(&url).arg("--json").env("MAILROOM_READY_AGE", "3600000"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out[0].starts_with("{\"ready\":true,\"deliveries\":1,\"oldest_seconds\":10"));

    let proxy = Proxy::start(shared().addr()).unwrap();
    proxy.refuse(true).unwrap();
    let ran = finish(ready(&proxy.rewrite(&url)).arg("--json"));
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(ran.err.starts_with("mailroom: not ready: connect to PostgreSQL: "), "{ran:?}");
    let away =
        "{\"ready\":false,\"deliveries\":null,\"oldest_seconds\":null,\"said\":\"not ready: ";
    assert!(ran.out[0].starts_with(away), "{ran:?}");
}
