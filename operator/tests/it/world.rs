#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]
//! A migrated database, and the program as somebody with an operator's rights runs it.

use testkit::{Database, Pipeline, Process, Role, Ses};

use crate::support::{Ran, environment, finish};

/// 32 bytes, in hex.
const KEY: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

pub(crate) fn mailroom(db: &Database, args: &[&str]) -> Ran {
    finish(process(db, args))
}

/// It asks no provider.
pub(crate) fn process(db: &Database, args: &[&str]) -> Process {
    Process::new("mailroom")
        .args(args)
        .env("MAILROOM_DATABASE_URL", db.url_as(Role::Operator))
        .env("MAILROOM_TRANSPORT", "noop")
}

/// What it said, if it ended well.
pub(crate) fn said(db: &Database, args: &[&str]) -> String {
    let ran = mailroom(db, args);
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    assert_eq!(ran.err, "", "{args:?}");
    ran.out.join("\n")
}

/// `count` provisioned accounts, u1 and so on, so as many tokens and deliveries, numbered from 1.
pub(crate) async fn sign_up(db: &Database, count: u32) {
    let sql = format!(
        "INSERT INTO accounts (email, login)
         SELECT 'u' || n || '@example.com', 'u' || n FROM generate_series(1, {count}) AS n"
    );
    db.execute(&sql).await.unwrap();
}

/// All that is outstanding has ended so.
pub(crate) async fn end(db: &Database, outcome: &str, detail: &str) {
    let sql = format!(
        "WITH gone AS (DELETE FROM deliveries RETURNING *)
         INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, transport, detail)
         SELECT token, action, promised_at, 1, '{outcome}', 'ses', '{detail}' FROM gone
         ORDER BY token"
    );
    db.execute(&sql).await.unwrap();
}

/// `collector | sender`, which send through `ses`.
pub(crate) fn pipe(db: &Database, ses: &Ses) -> Pipeline {
    let collector = Process::new("collector")
        .env("MAILROOM_DATABASE_URL", db.url_as(Role::Collector))
        .env("MAILROOM_SECRET_KEY", KEY)
        .env("MAILROOM_BATCH_TIMEOUT", "50");
    let sender = Process::new("sender")
        .env("MAILROOM_DATABASE_URL", db.url_as(Role::Sender))
        .env("MAILROOM_SES_OUTPUT_PATH", std::env::temp_dir())
        .env("MAILROOM_SES_RATE", "100000")
        .envs(environment(ses));
    Pipeline::spawn(collector, sender).unwrap()
}
