//! What a person sees of the whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use testkit::{Database, Ses, Signal};

use crate::support::{SOON, environment, finish};
use crate::world::{end, mailroom, pipe, process, said, sign_up};

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn the_depth_the_rates_and_those_at_work_are_told() {
    let db = Database::fresh().await.unwrap();
    let page = said(&db, &["status"]);
    assert!(page.contains("schema: version 5\nprovider: not asked: nothing is sent\n"), "{page}");
    assert!(page.contains("Nothing is outstanding.\n\nNothing happened in the last 15 minutes.\n"));
    assert!(page.ends_with("No collector lives here: nothing is handed over.\nNo sender lives here: nothing is recorded as sent."));

    sign_up(&db, 2).await;
    end(&db, "failed", "rejected").await;
    db.execute(
        "UPDATE delivery_log SET at = now() - interval '3 minutes' WHERE token = 2;
         INSERT INTO tokens (account, action) VALUES (1, 'password_recovery'), (2, 'password_recovery');
         UPDATE deliveries SET promised_at = now() - interval '2 hours 5 minutes',
             due_at = now() - interval '2 minutes' WHERE token = 3;
         UPDATE deliveries SET due_at = now() + interval '1 minute' WHERE token = 4;
         INSERT INTO deliveries (token, queue, priority, state, holder) VALUES (99, 'mailroom', 5, 'sending', 1)",
    )
    .await
    .unwrap();
    let page = said(&db, &["status"]);
    let table: Vec<&str> = page.lines().skip(4).take(5).collect();
    assert_eq!(
        table[0].split_whitespace().collect::<Vec<_>>().join(" "),
        "ACTION STATE DELIVERIES DUE OVERDUE OLDEST"
    );
    assert_eq!(
        table[1].split_whitespace().collect::<Vec<_>>()[..5],
        ["password_recovery", "pending", "2", "1", "1"]
    );
    assert!(table[1].contains("2h 5m"), "{page}");
    assert!(table[2].starts_with("unknown            sending"), "{page}");
    let status = json(&said(&db, &["status", "--json"]));
    let failed = &status["log"][2];
    assert_eq!(failed["outcome"], "failed");
    assert_eq!((&failed["last_minute"], &failed["last_5_minutes"]), (&1.into(), &2.into()));
    assert_eq!(status["schema"]["version"], 5);

    let ses = Ses::start().unwrap();
    let pipe = pipe(&db, &ses);
    let alive = "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
        AND classid::bigint = mailroom_holder_class() AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    db.wait_until(alive, SOON).await.unwrap();
    let holders = json(&said(&db, &["status", "--json"]))["holders"].clone();
    assert_eq!((&holders[0]["kind"], &holders[1]["kind"]), (&"collector".into(), &"sender".into()));
    assert_eq!(holders[0]["pid"], pipe.collector.pid());
    drop(pipe);
    db.wait_until(&alive.replace("= 2 FROM", "= 0 FROM"), SOON).await.unwrap();
    assert_eq!(json(&said(&db, &["status", "--json"]))["holders"], serde_json::json!([]));
}

#[tokio::test]
async fn the_quota_is_told_and_a_provider_that_fails_spoils_nothing() {
    let db = Database::fresh().await.unwrap();
    let ses = Ses::start().unwrap();
    let ask = || {
        let status = process(&db, &["status"]).env("MAILROOM_TRANSPORT", "ses");
        let ran = finish(status.envs(environment(&ses)));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        ran.out[2].clone()
    };
    ses.set_quota(14.0, 50_000);
    let told = ask();
    assert!(
        told.starts_with("provider: SES, 14 mails a second, 0 of 50000 sent in the last 24"),
        "{told}"
    );
    ses.fail_account(403, "AccessDeniedException", "not yours");
    let told = ask();
    assert!(told.starts_with("provider: SES: ") && told.contains("not yours"), "{told}");
    let url = ses.url();
    drop(ses);
    let gone =
        process(&db, &["status"]).env("MAILROOM_TRANSPORT", "ses").env("AWS_ENDPOINT_URL", url);
    let ran =
        finish(gone.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_REGION", "eu-central-1"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out[2].starts_with("provider: SES: "), "{ran:?}");
}

#[tokio::test]
async fn watching_goes_on_until_it_is_interrupted_or_nobody_reads() {
    let db = Database::fresh().await.unwrap();
    let args = ["status", "--watch", "1", "--json"];
    let watching = process(&db, &args).spawn().unwrap();
    watching.wait_line(2, SOON).unwrap();
    watching.signal(Signal::INT).unwrap();
    assert_eq!((watching.wait(SOON).unwrap(), watching.stderr()), (0, String::new()));

    let watching = process(&db, &args).stdout_held().spawn().unwrap();
    drop(watching.take_stdout());
    assert_eq!((watching.wait(SOON).unwrap(), watching.stderr()), (0, String::new()));
}

#[tokio::test]
async fn who_watches_sees_the_database_go_and_come_back() {
    let server = testkit::Postgres::start().unwrap();
    let db = Database::fresh_on(&server).await.unwrap();
    let watching = process(&db, &["status", "--watch", "1", "--json"]).spawn().unwrap();
    watching.wait_line(1, SOON).unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'mailroom' AND datname = current_database()";
    assert_eq!(db.query_i64(end).await.unwrap(), 1);
    let seen = watching.lines().len();
    let error = watching.wait_line(seen + 1, SOON).unwrap();
    let next = watching.wait_line(seen + 2, SOON).unwrap();
    assert!(error.contains("asking again") || next.contains("asking again"), "{error}\n{next}");
    watching.wait_line(seen + 3, SOON).unwrap();
    assert!(watching.is_running().unwrap());
}

#[tokio::test]
async fn a_schema_that_is_older_is_named_with_the_remedy() {
    let db = Database::empty().await.unwrap();
    let ran = mailroom(&db, &["status"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    let words = "the schema is missing or older than this program: run the migrations (mailroom migrate up)";
    assert!(ran.err.contains(words) && !ran.err.contains("depth"), "{ran:?}");
}
