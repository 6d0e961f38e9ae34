//! What the provider answers, and what becomes of the mail.

use std::collections::BTreeMap;

use testkit::ses::Call;
use testkit::{Pipeline, Process, Reply, Signal};

use crate::SOON;
use crate::faults::{ended, hurry, left};
use crate::support::sign_up;
use crate::world::{World, stop};

const REFUSED: [&str; 6] = [
    "mails_again",
    "mail_failed",
    "reader_gone",
    "gave_up",
    "call_repeated",
    "deliveries_released",
];

/// A mail a line, and so a call for each.
fn one_by_one(collector: Process) -> Process {
    collector.env("MAILROOM_BATCH_LIMIT", "1").env("MAILROOM_BATCH_TIMEOUT", "0")
}

/// What the log has of the token of `<name>-1`: each outcome and which attempt it was, in order.
async fn story(world: &World, name: &str) -> String {
    let sql = format!(
        "SELECT coalesce(string_agg(l.outcome || ' ' || l.attempt, ', ' ORDER BY l.at), 'nothing')
         FROM delivery_log AS l JOIN tokens AS t ON t.id = l.token
         JOIN accounts AS a ON a.id = t.account WHERE a.login = '{name}-login-1'"
    );
    world.db.query_text(&sql).await.unwrap()
}

/// `pending 0`: its state, and the attempts that count.
async fn row(world: &World, name: &str) -> String {
    let sql = format!(
        "SELECT coalesce(max(d.state || ' ' || d.attempts), 'settled')
         FROM deliveries AS d JOIN tokens AS t ON t.id = d.token
         JOIN accounts AS a ON a.id = t.account WHERE a.login = '{name}-login-1'"
    );
    world.db.query_text(&sql).await.unwrap()
}

fn entry(status: &str, error: &str) -> Reply {
    Reply::fail_all(status, error)
}

fn call(status: u16, kind: &str, message: &str) -> Reply {
    Reply::error(status, kind, message)
}

/// FACTS §4.1: an answer to the first call, what the row is then, what the log says in the end.
fn answers() -> Vec<(&'static str, Reply, &'static str, &'static str)> {
    let again = ("pending 1", "pending 0");
    vec![
        ("success", Reply::Ok, "settled", "sent 1"),
        ("transient", entry("TRANSIENT_FAILURE", "soon"), again.0, "deferred 1, sent 2"),
        ("throttled", entry("ACCOUNT_THROTTLED", "rate"), again.1, "throttled 1, sent 1"),
        ("many", call(429, "TooManyRequestsException", "many"), again.1, "throttled 1, sent 1"),
        ("rate", call(400, "ThrottlingException", "rate"), again.1, "throttled 1, sent 1"),
        ("rejected", entry("MESSAGE_REJECTED", "no"), "settled", "failed 1"),
        ("parameter", entry("INVALID_PARAMETER", "no"), "settled", "failed 1"),
        ("message", call(400, "MessageRejected", "no"), "settled", "failed 1"),
        ("bad", call(400, "BadRequestException", "no"), "settled", "failed 1"),
        ("failed", entry("FAILED", "hm"), again.0, "ambiguous 1, sent 2"),
        ("unknown", entry("SOMETHING_NEW", "hm"), again.0, "ambiguous 1, sent 2"),
        ("internal", call(500, "InternalFailure", "oh"), again.0, "ambiguous 1, sent 2"),
        ("unavailable", call(503, "ServiceUnavailable", "oh"), again.0, "ambiguous 1, sent 2"),
        ("cut", Reply::CutAfterRead { accept: false }, again.0, "ambiguous 1, sent 2"),
        ("nonsense", Reply::Nonsense { accept: false }, again.0, "ambiguous 1, sent 2"),
        ("partial", Reply::Partial { accept: false }, again.0, "ambiguous 1, sent 2"),
        ("silence", Reply::Hang { accept: false }, again.0, "ambiguous 1, sent 2"),
        ("expired", call(403, "ExpiredTokenException", "old"), "settled", "sent 1"),
        ("request", call(403, "RequestExpired", "old"), "settled", "sent 1"),
    ]
}

/// Each mail gets its answer the first time it is in a call.
fn each_once(world: &World, answers: &[(&'static str, Reply, &str, &str)]) {
    let mut first: BTreeMap<String, Reply> = BTreeMap::new();
    for (name, reply, ..) in answers {
        first.insert(format!("{name}-1@mail.example"), reply.clone());
    }
    world.ses.script(move |call: &Call| {
        let known = call.entries.iter().find_map(|entry| first.remove(&entry.to));
        known.unwrap_or(Reply::Ok)
    });
}

/// Each makes of the row and of the log what the table says.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn every_answer() {
    let world = World::new().await;
    let answers = answers();
    each_once(&world, &answers);
    // Nothing comes again before it has been looked at.
    let later = "CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.due_at := NEW.due_at + interval ''1 hour''; RETURN NEW; END';
        CREATE TRIGGER later BEFORE UPDATE OF due_at ON deliveries FOR EACH ROW
            WHEN (OLD.state = 'sending') EXECUTE FUNCTION later()";
    world.db.execute(later).await.unwrap();
    for (name, ..) in &answers {
        world.db.execute(&sign_up(name, 1)).await.unwrap();
    }
    let pipe = Pipeline::spawn(one_by_one(world.collector()), world.sender()).unwrap();
    for (name, _, expected, events) in &answers {
        let logged = format!(
            "SELECT EXISTS (SELECT FROM delivery_log AS l JOIN tokens AS t ON t.id = l.token
                JOIN accounts AS a ON a.id = t.account WHERE a.login = '{name}-login-1')"
        );
        world.db.wait_until(&logged, SOON).await.unwrap();
        assert_eq!(row(&world, name).await, *expected, "{name}");
        assert_eq!(story(&world, name).await, events.split(", ").next().unwrap(), "{name}");
    }
    world.db.execute("DROP TRIGGER later ON deliveries").await.unwrap();
    hurry(&world).await;
    world.settled().await;
    stop(&pipe);
    let mut accepted = Vec::new();
    for (name, _, _, events) in &answers {
        assert_eq!(story(&world, name).await, *events, "{name}");
        accepted.extend(events.contains("sent").then(|| format!("{name}-1@mail.example")));
    }
    let mut mailed: Vec<String> = world.ses.mails().into_iter().map(|mail| mail.to).collect();
    mailed.sort();
    accepted.sort();
    assert_eq!(mailed, accepted);
    world.quiet(&[&pipe.collector, &pipe.sender], &REFUSED).await;
    // What was refused for good has no mail; all that is left was mailed once.
    let refused = "DELETE FROM tokens AS t WHERE EXISTS (
        SELECT FROM delivery_log WHERE token = t.id AND outcome = 'failed')";
    assert_eq!(world.db.execute(refused).await.unwrap(), 4);
    world.each_mailed_once(answers.len() - 4).await;
}

/// An answer for which the sender ends, or holds everything: no row suffers for it, and whoever runs
/// the pipe next mails it.
struct Held {
    reply: Reply,
    /// The exit code; 0: it holds, and is asked to stop.
    code: i32,
    event: &'static str,
    /// When the row is due again, in seconds after the log was written: less than after the
    /// statement's beginning, from which it counts.
    due_in: std::ops::Range<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn held(case: &Held) {
    let world = World::new().await;
    world.ses.reply(case.reply.clone());
    world.db.execute(&sign_up("kept", 1)).await.unwrap();
    let pipe = world.pipe();
    world.db.wait_until("SELECT count(*) = 1 FROM delivery_log", SOON).await.unwrap();
    let due_in = "SELECT extract(epoch FROM d.due_at - l.at) FROM deliveries AS d
        JOIN delivery_log AS l ON l.token = d.token";
    let due_in: f64 = world.db.query_text(due_in).await.unwrap().parse().unwrap();
    assert!(case.due_in.contains(&due_in), "{due_in} s: {:?}", case.reply);
    if case.code == 0 {
        assert!(pipe.sender.is_running().unwrap(), "it may mend from outside: {:?}", case.reply);
        pipe.sender.signal(Signal::TERM).unwrap();
    }
    ended(&pipe.sender, case.code);
    ended(&pipe.collector, 75);
    assert_eq!(row(&world, "kept").await, "pending 0", "{:?}", case.reply);
    let again = world.pipe();
    hurry(&world).await;
    world.mails(1).await;
    world.settled().await;
    stop(&again);
    let expected = format!("{} 1, sent 1", case.event);
    assert_eq!(story(&world, "kept").await, expected, "{:?}", case.reply);
    world.each_mailed_once(1).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &REFUSED).await;
    world.quiet(&[&again.collector, &again.sender], &[]).await;
}

#[test]
fn what_no_mail_can_help_costs_none_an_attempt() {
    let ends = |reply| Held { reply, code: 78, event: "deferred", due_in: 2.7..6.3 };
    let holds = |reply| Held { reply, code: 0, event: "deferred", due_in: 2.7..6.3 };
    let late = |reply| Held { reply, code: 0, event: "throttled", due_in: 224.0..376.0 };
    let cases = [
        ends(entry("MAIL_FROM_DOMAIN_NOT_VERIFIED", "no")),
        ends(entry("CONFIGURATION_SET_NOT_FOUND", "no")),
        ends(entry("TEMPLATE_NOT_FOUND", "no")),
        ends(entry("INVALID_SENDING_POOL_NAME", "no")),
        ends(entry("ACCOUNT_SUSPENDED", "no")),
        ends(call(400, "MailFromDomainNotVerifiedException", "no")),
        ends(call(400, "AccountSuspendedException", "no")),
        ends(call(404, "NotFoundException", "no such template")),
        ends(call(403, "AccessDeniedException", "not allowed")),
        holds(entry("ACCOUNT_SENDING_PAUSED", "wait")),
        holds(entry("CONFIGURATION_SET_SENDING_PAUSED", "wait")),
        holds(call(400, "SendingPausedException", "wait")),
        late(entry("ACCOUNT_DAILY_QUOTA_EXCEEDED", "enough")),
        late(entry("ACCOUNT_THROTTLED", "Daily message quota exceeded.")),
        late(call(400, "ThrottlingException", "Daily message quota exceeded.")),
        late(call(400, "LimitExceededException", "enough")),
    ];
    // Not all at once, for the sake of small machines.
    for some in cases.chunks(8) {
        std::thread::scope(|scope| {
            for case in some {
                scope.spawn(|| held(case));
            }
        });
    }
}

/// Until somebody has mended them, a supervisor starts the pipe again and again.
#[tokio::test]
async fn wrong_credentials_keep_the_work_until_they_are_right() {
    const STARTS: usize = 4;
    let world = World::new().await;
    let wrong = || call(403, "InvalidSignatureException", "The signature does not match");
    world.ses.script(move |_| wrong());
    world.db.execute(&sign_up("patient", 30)).await.unwrap();
    for start in 1..=STARTS {
        let pipe = world.pipe();
        ended(&pipe.sender, 78);
        ended(&pipe.collector, 75);
        assert!(world.ses.calls().len() <= 2 * start, "no more than were under way");
        assert_eq!(left(&world).await, "30 pending");
        let gave_up = pipe.sender.wait_for("event=gave_up", SOON).unwrap();
        assert!(gave_up.contains("InvalidSignature"), "{gave_up}");
        world.quiet(&[&pipe.collector, &pipe.sender], &REFUSED).await;
        hurry(&world).await;
    }
    assert_eq!(world.ses.mail_count(), 0);
    world.ses.script(|_| Reply::Ok);
    let pipe = world.pipe();
    world.mails(30).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(30).await;
    let attempts = "SELECT max(attempt) FROM delivery_log";
    assert_eq!(world.db.query_i64(attempts).await.unwrap(), 1, "none was counted");
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn the_log_tells_the_story_of_a_mail() {
    let world = World::new().await;
    world.ses.replies([
        entry("TRANSIENT_FAILURE", "Try again"),
        entry("ACCOUNT_THROTTLED", "Maximum sending rate exceeded."),
        call(500, "InternalFailure", "Oh"),
        Reply::Ok,
    ]);
    let pipe = world.pipe();
    world.db.execute(&sign_up("told", 1)).await.unwrap();
    for events in 1..=3 {
        let logged = format!("SELECT count(*) = {events} FROM delivery_log");
        world.db.wait_until(&logged, SOON).await.unwrap();
        hurry(&world).await;
    }
    world.settled().await;
    stop(&pipe);
    let told =
        "SELECT attempt || ' ' || outcome || ' by ' || transport || coalesce(': ' || detail, '')
        FROM delivery_log WHERE token = 1 ORDER BY at";
    let told: Vec<String> =
        world.db.query_rows(told).await.unwrap().into_iter().flatten().flatten().collect();
    assert_eq!(
        told,
        [
            "1 deferred by ses: TRANSIENT_FAILURE: Try again",
            "2 throttled by ses: ACCOUNT_THROTTLED: Maximum sending rate exceeded.",
            "2 ambiguous by ses: InternalFailure (500): Oh",
            "3 sent by ses",
        ]
    );
    world.each_mailed_once(1).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["mails_again"]).await;
}

#[tokio::test]
async fn a_sender_without_credentials_warns_before_there_is_any_mail_and_keeps_what_comes() {
    let world = World::new().await;
    let nobody = world
        .sender()
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_SECRET_ACCESS_KEY", "")
        .env("MAILROOM_SES_RATE", "");
    let pipe = Pipeline::spawn(world.collector(), nobody).unwrap();
    let line = pipe.sender.wait_for("event=send_rate_unknown", SOON).unwrap();
    assert!(line.contains("WARN") && line.contains("no AWS credentials"), "{line}");
    world.db.execute(&sign_up("kept", 1)).await.unwrap();
    ended(&pipe.sender, 78);
    ended(&pipe.collector, 75);
    assert_eq!(left(&world).await, "1 pending");
    let expected = ["send_rate_unknown", "mails_again", "gave_up", "reader_gone"];
    world.quiet(&[&pipe.collector, &pipe.sender], &expected).await;
}
