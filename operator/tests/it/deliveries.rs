//! One user's mail is found, and what went wrong is put right.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use testkit::{Database, Ses, Signal};

use crate::support::{Ran, SOON, finish};
use crate::world::{end, mailroom, pipe, process, said, sign_up};

async fn count(db: &Database, sql: &str) -> i64 {
    db.query_i64(sql).await.unwrap()
}

const OUTSTANDING: &str = "SELECT count(*) FROM deliveries";

#[tokio::test]
async fn a_users_mail_is_found_by_address_login_or_id_and_its_story_told() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 3).await;
    end(&db, "ambiguous", "no answer within 15 s").await;
    db.execute(
        "INSERT INTO delivery_log (token, attempt, outcome, transport, provider_id, action)
         SELECT id, 2, 'sent', 'ses', 'an-id', action FROM tokens WHERE id = 2;
         UPDATE accounts SET created_at = 1893500000;
         UPDATE tokens SET created_at = 1893500000, consumed_at = 1893500100, code = '97586';
         UPDATE delivery_log SET at = to_timestamp(1893500000 + attempt)",
    )
    .await
    .unwrap();
    let told = said(&db, &["deliveries", "show", "u2@example.com"]);
    insta::assert_snapshot!(told, @r#"
    Account 2: u2@example.com, login u2
    active, made 2030-01-01 12:13:20

    Token 2: activation
      Made 2030-01-01 12:13:20 (times are UTC); its link was used at 2030-01-01 12:15:00.
      State: sent: the provider has accepted it.
      Attempt 1, 2030-01-01 12:13:21: the provider did not answer (no answer within 15 s); it may or may not have been sent.
      Attempt 2, 2030-01-01 12:13:22: the provider (ses) accepted it, as an-id.
    "#);
    for name in ["u2", "U2@Example.com", "U2", "2", "token:2"] {
        let same = said(&db, &["deliveries", "show", name]);
        assert_eq!(same, told, "{name}");
    }
    let json = said(&db, &["deliveries", "show", "u2", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["account"]["email"], "u2@example.com");
    assert_eq!(json["delivery"]["state"], "sent");
    assert_eq!(json["delivery"]["events"][0]["outcome"], "ambiguous");
    assert_eq!(json["delivery"]["events"][1]["provider_id"], "an-id");
    // Neither the code nor the secret, in hex or as a link has it: 42 characters are of nothing else.
    let mut all = told + &json.to_string();
    for args in [
        &["list", "--state", "sent"][..],
        &["list", "--state", "sent", "--json"],
        &["requeue", "u2", "--even-sent", "--dry-run"],
        &["requeue", "u3", "--dry-run", "--json"],
        &["requeue", "u2", "--even-sent", "--yes"],
        &["list"],
        &["list", "--json"],
        &["cancel", "u2", "--yes"],
        &["show", "u2", "--json"],
    ] {
        let ran = mailroom(&db, &[&["deliveries"], args].concat());
        all = all + &ran.out.join("\n") + &ran.err;
    }
    let secrets = "SELECT string_agg(code || ' ' || encode(secret, 'hex') || ' ' ||
        left(translate(encode(secret, 'base64'), '+/', '-_'), 42), ' ') FROM tokens";
    let secrets = db.query_text(secrets).await.unwrap();
    assert_eq!(secrets.split(' ').count(), 9, "three of each token");
    for secret in secrets.split(' ') {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let db = Database::fresh().await.unwrap();
    for name in ["nobody@example.com", "812", "token:812", "99999999999999999999", "", "'; --"] {
        for verb in ["show", "requeue", "cancel"] {
            let ran = mailroom(&db, &["deliveries", verb, name]);
            assert_eq!((ran.code, ran.out.len()), (78, 0), "{verb} {name}: {ran:?}");
            let error = format!("mailroom: {name}: no account has this address or login, ");
            assert!(ran.err.starts_with(&error), "{}", ran.err);
        }
    }
    for verb in ["requeue", "cancel"] {
        assert_eq!(mailroom(&db, &["deliveries", verb]).code, 78, "{verb} what?");
    }
}

#[tokio::test]
async fn of_an_account_the_newest_ten_tokens_are_shown_newest_first() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    db.execute(
        "INSERT INTO tokens (account, action) SELECT 1, 'activation' FROM generate_series(1, 11)",
    )
    .await
    .unwrap();
    db.execute(
        "INSERT INTO accounts (email, login, status) VALUES ('idle@example.com', '12', 'active')",
    )
    .await
    .unwrap();
    let told = said(&db, &["deliveries", "show", "u1"]);
    let tokens: Vec<&str> = told.lines().filter(|line| line.starts_with("Token ")).collect();
    assert_eq!(
        (tokens.len(), tokens[0], tokens[9]),
        (10, "Token 12: activation", "Token 3: activation")
    );
    assert!(told.ends_with("\nThere are 2 older ones."), "{told}");
    // 12 is a token of one account, and the login of another, who has none.
    let told = said(&db, &["deliveries", "show", "12"]);
    assert!(told.starts_with("Account 1: ") && told.contains("\nAccount 2: "), "{told}");
    assert!(told.ends_with("No mail was ever asked for."), "{told}");
    let ran = mailroom(&db, &["deliveries", "cancel", "12", "--yes"]);
    assert!(ran.code == 78 && ran.err.contains("with token: or login: before it"), "{ran:?}");
    assert_eq!(count(&db, OUTSTANDING).await, 12);
    said(&db, &["deliveries", "cancel", "token:12", "--yes"]);
    assert_eq!(count(&db, OUTSTANDING).await, 11);
    said(&db, &["deliveries", "cancel", "u1", "--yes"]);
    assert_eq!(count(&db, OUTSTANDING).await, 0);
}

#[tokio::test]
async fn a_deleted_token_leaves_its_story() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    end(&db, "failed", "rejected").await;
    db.execute("DELETE FROM accounts").await.unwrap();
    let told = said(&db, &["deliveries", "show", "1"]);
    assert!(
        told.contains("The token was deleted") && told.contains("given up: rejected"),
        "{told}"
    );
}

#[tokio::test]
async fn lists_show_what_is_outstanding_and_what_ended_so_and_is_so_still() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 4).await;
    end(&db, "failed", "rejected").await;
    db.execute(
        "INSERT INTO delivery_log (token, attempt, outcome) VALUES (3, 2, 'sent');
         INSERT INTO deliveries (token, queue, priority, action) VALUES (4, 'mailroom', 5, 'activation');
         INSERT INTO tokens (account, action) VALUES (1, 'password_recovery');
         INSERT INTO delivery_log (token, attempt, outcome, at)
             VALUES (2, 1, 'failed', now() - interval '1 day')",
    )
    .await
    .unwrap();
    let tokens = |args: &[&str]| -> String {
        let args = [&["deliveries", "list", "--json"], args].concat();
        let lines = mailroom(&db, &args).out.join("\n");
        let token = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["token"].to_string()
        };
        lines.lines().map(token).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(tokens(&[]), "4 5");
    assert_eq!(tokens(&["--limit", "1"]), "4");
    assert_eq!(tokens(&["--action", "password_recovery"]), "5");
    assert_eq!(tokens(&["--state", "sending"]), "");
    assert_eq!(tokens(&["--since", "1h"]), "4 5");
    assert_eq!(tokens(&["--until", "1h"]), "");
    assert_eq!(tokens(&["--state", "failed"]), "2 1", "newest first, each once");
    assert_eq!(tokens(&["--state", "failed", "--limit", "1"]), "2");
    assert_eq!(tokens(&["--state", "failed", "--until", "1h"]), "", "it failed again since");
    assert_eq!(tokens(&["--state", "failed", "--action", "password_recovery"]), "");
    assert_eq!(tokens(&["--state", "sent"]), "3");
    assert_eq!(said(&db, &["deliveries", "list", "--state", "skipped"]), "none");
    let table = said(&db, &["deliveries", "list", "--state", "failed"]);
    assert!(table.starts_with("TOKEN  ACTION"), "{table}");
    assert!(table.lines().nth(1).unwrap().starts_with("2      activation"), "{table}");
}

#[tokio::test]
async fn more_rows_of_one_time_than_a_step_takes_do_not_stop_the_walk() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO delivery_log (token, attempt, outcome, at)
         SELECT n, 1, 'failed', '2030-01-01' FROM generate_series(1, 12000) AS n;
         INSERT INTO delivery_log (token, attempt, outcome, at) VALUES (12001, 1, 'failed', '2029-01-01')",
    )
    .await
    .unwrap();
    let all =
        said(&db, &["deliveries", "list", "--state", "failed", "--limit", "100000", "--json"]);
    let mut tokens: Vec<i64> = all
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["token"].as_i64().unwrap()
        })
        .collect();
    assert_eq!((tokens.len(), tokens[12_000]), (12_001, 12_001));
    tokens.sort_unstable();
    assert_eq!(tokens, (1..=12_001).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_requeue_counts_first_and_says_what_it_leaves_out() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 9).await;
    end(&db, "failed", "Connect: REFUSED").await;
    db.execute(
        "UPDATE tokens SET consumed_at = 1 WHERE id = 1;
         UPDATE tokens SET expires_at = 1 WHERE id = 2;
         DELETE FROM tokens WHERE id = 3;
         UPDATE accounts SET status = 'suspended' WHERE id = 4;
         UPDATE delivery_log SET detail = 'other' WHERE token = 5",
    )
    .await
    .unwrap();
    let filter = ["deliveries", "requeue", "--state", "failed", "--detail-contains", "refused"];
    let with = |more: &[&str]| mailroom(&db, &[&filter, more].concat());
    let dry = with(&["--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert_eq!(
        dry.out,
        [
            "4 mails would be sent again.",
            "Left out: 1 not for accounts of that status; 1 whose token was deleted; 1 whose link \
             has expired (--extend 15m gives it more time); 1 whose link was used already."
        ]
    );
    let unasked = with(&[]);
    assert_eq!((unasked.code, unasked.out[0].as_str()), (78, "4 mails will be sent again."));
    assert_eq!(unasked.err, "mailroom: nothing was done: if it shall be, say --yes\n");
    assert_eq!(count(&db, OUTSTANDING).await, 0);

    let done = with(&["--yes", "--limit", "2", "--json"]);
    let left_out = r#"{"barred":1,"deleted":1,"expired":1,"used":1}"#;
    assert_eq!(done.out, [format!(r#"{{"requeued":2,"left_out":{left_out},"dry_run":false}}"#)]);
    let newest = "SELECT string_agg(token || ':' || state || ':' || attempts, ' ' ORDER BY token) FROM deliveries";
    assert_eq!(db.query_text(newest).await.unwrap(), "8:pending:1 9:pending:1");
    let log = "SELECT count(*) FROM delivery_log WHERE outcome = 'deferred' AND attempt = 1
        AND detail = 'requeued by an operator' AND action IS NOT NULL AND promised_at IS NOT NULL";
    assert_eq!(count(&db, log).await, 2);

    // More time is given to all, and nothing twice.
    let done = with(&["--yes", "--extend", "2h"]);
    assert_eq!(done.out.last().unwrap(), "3 mails were requeued.", "{done:?}");
    let live = "SELECT count(*) FROM tokens WHERE id IN (2, 6, 7)
        AND expires_at - extract(epoch FROM now()) BETWEEN 7000 AND 7201";
    assert_eq!(count(&db, live).await, 3);
    let again = with(&["--yes", "--extend", "2h"]);
    assert_eq!(again.out[0], "0 mails would be sent again.", "{again:?}");
    assert_eq!(count(&db, OUTSTANDING).await, 5);
}

#[tokio::test]
async fn what_was_sent_is_sent_again_only_when_it_is_named_and_that_is_said() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    end(&db, "sent", "").await;
    let ran = mailroom(&db, &["deliveries", "requeue", "u1@example.com", "--yes"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.out[1].contains("1 sent already (--even-sent sends it again, by name)"), "{ran:?}");
    let args = ["deliveries", "requeue", "--state", "failed", "--even-sent", "--yes"];
    assert_eq!(mailroom(&db, &args).code, 78);
    let args = ["deliveries", "requeue", "--state", "sent", "--yes"];
    assert_eq!(mailroom(&db, &args).code, 78);
    assert_eq!(count(&db, OUTSTANDING).await, 0);
    said(&db, &["deliveries", "requeue", "u1@example.com", "2", "--even-sent", "--yes"]);
    assert_eq!(count(&db, OUTSTANDING).await, 2);

    // The pipe takes it from there, and both are in the log.
    let ses = Ses::start().unwrap();
    let pipe = pipe(&db, &ses);
    ses.wait_mails(2, SOON).unwrap();
    let twice = "SELECT count(*) = 4 FROM delivery_log WHERE outcome = 'sent'";
    db.wait_until(twice, SOON).await.unwrap();
    drop(pipe);
}

#[tokio::test]
async fn of_an_account_the_newest_mail_of_each_action_is_sent_again() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    db.execute("INSERT INTO tokens (account, action) VALUES (1, 'activation')").await.unwrap();
    end(&db, "unconfirmed", "").await;
    said(&db, &["deliveries", "requeue", "u1", "--yes"]);
    let tokens = "SELECT string_agg(token::text, ' ') FROM deliveries";
    assert_eq!(db.query_text(tokens).await.unwrap(), "2");
}

#[tokio::test]
async fn a_thousand_failed_deliveries_requeued_while_the_pipe_runs_are_sent_once_each() {
    let db = Database::fresh().await.unwrap();
    let ses = Ses::start().unwrap();
    sign_up(&db, 1000).await;
    end(&db, "failed", "rejected").await;
    let pipe = pipe(&db, &ses);
    pipe.sender.wait_for("event=ses_ready", SOON).unwrap();
    // Three people at once, who do not know of each other.
    let args = ["deliveries", "requeue", "--state", "failed", "--yes", "--json"];
    let people: Vec<_> = (0..3).map(|_| process(&db, &args).spawn().unwrap()).collect();
    let mut requeued = 0;
    for person in people {
        assert_eq!(person.wait(SOON).unwrap(), 0, "{}", person.stderr());
        let done: serde_json::Value = serde_json::from_str(&person.lines()[0]).unwrap();
        requeued += done["requeued"].as_i64().unwrap();
    }
    assert_eq!(requeued, 1000);
    ses.wait_mails(1000, SOON).unwrap();
    let settled = "SELECT count(*) = 0 FROM deliveries";
    db.wait_until(settled, SOON).await.unwrap();
    assert_eq!((ses.mail_count(), ses.duplicates().len()), (1000, 0));
    let sent = "SELECT count(DISTINCT token) FROM delivery_log WHERE outcome = 'sent'";
    assert_eq!(count(&db, sent).await, 1000);
    for half in [&pipe.collector, &pipe.sender] {
        testkit::assert_quiet(&half.stderr(), &[]);
    }
}

#[tokio::test]
async fn what_was_sent_while_a_requeue_waited_is_not_sent_again() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    end(&db, "failed", "rejected").await;
    // Somebody else's requeue is under way, and holds one of the two.
    let other = db.client().await.unwrap();
    other
        .batch_execute(
            "BEGIN; INSERT INTO deliveries (token, queue, priority) VALUES (2, 'mailroom', 5)",
        )
        .await
        .unwrap();
    let args = ["deliveries", "requeue", "1", "2", "--yes", "--json"];
    let ours = process(&db, &args).spawn().unwrap();
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'mailroom' AND wait_event_type = 'Lock')";
    db.wait_until(waits, SOON).await.unwrap();
    // It is sent before ours goes on.
    other
        .batch_execute(
            "DELETE FROM deliveries WHERE token = 2;
             INSERT INTO delivery_log (token, attempt, outcome) VALUES (2, 2, 'sent'); COMMIT",
        )
        .await
        .unwrap();
    assert_eq!(ours.wait(SOON).unwrap(), 0, "{}", ours.stderr());
    let expected = r#"{"requeued":1,"left_out":{"sent":1},"dry_run":false}"#;
    assert_eq!(ours.lines(), [expected]);
    let tokens = "SELECT string_agg(token::text, ' ') FROM deliveries";
    assert_eq!(db.query_text(tokens).await.unwrap(), "1");
}

#[tokio::test]
async fn what_is_cancelled_is_never_sent_nor_brought_back() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 5).await;
    db.execute(
        "UPDATE deliveries SET state = 'sending', holder = 1 WHERE token = 1;
         UPDATE deliveries SET state = 'dispatched', holder = 1 WHERE token = 2",
    )
    .await
    .unwrap();
    let args = |more: &[&'static str]| [&["deliveries", "cancel"], more].concat();
    let Ran { code, out, .. } = mailroom(&db, &args(&["--action", "activation", "--dry-run"]));
    assert_eq!(
        (code, out.join(" ")),
        (0, "4 mails would be cancelled. Left out: 1 being sent right now.".into())
    );
    assert_eq!(mailroom(&db, &args(&["--action", "activation"])).code, 78);
    assert_eq!(count(&db, OUTSTANDING).await, 5);
    assert_eq!(
        said(&db, &args(&["--state", "dispatched", "--yes", "--json"])),
        r#"{"cancelled":1,"left_out":{},"dry_run":false}"#
    );
    let done = said(&db, &args(&["u1", "u2", "u3", "--yes"]));
    assert!(done.ends_with("1 mail was cancelled."), "{done}");
    said(&db, &args(&["--since", "1h", "--limit", "1", "--yes"]));
    let left = "SELECT string_agg(token || ':' || state, ' ' ORDER BY token) FROM deliveries";
    assert_eq!(db.query_text(left).await.unwrap(), "1:sending 5:pending");
    let log = "SELECT string_agg(token || ':' || outcome || ':' || detail, ' ' ORDER BY token)
        FROM delivery_log WHERE action = 'activation' AND promised_at IS NOT NULL";
    assert_eq!(
        db.query_text(log).await.unwrap(),
        "2:failed:cancelled by an operator 3:failed:cancelled by an operator \
         4:failed:cancelled by an operator"
    );
    for status in ["suspended", "provisioned"] {
        db.execute(&format!("UPDATE accounts SET status = '{status}' WHERE id = 3")).await.unwrap();
    }
    assert_eq!(count(&db, OUTSTANDING).await, 2);

    let filter = ["deliveries", "requeue", "--state", "failed", "--json"];
    assert_eq!(
        said(&db, &filter),
        r#"{"requeued":0,"left_out":{"cancelled":3},"dry_run":false}"#,
        "not with others that failed"
    );
    said(&db, &["deliveries", "requeue", "u3", "--yes"]);
    said(&db, &[&filter[..], &["--detail-contains", "Cancelled by", "--yes"]].concat());
    assert_eq!(count(&db, OUTSTANDING).await, 5);
}

#[tokio::test]
async fn a_line_on_its_way_sends_nothing_that_was_cancelled() {
    let db = Database::fresh().await.unwrap();
    let ses = Ses::start().unwrap();
    // Far more than a sender has in its calls at once, and none of these is answered.
    ses.hold();
    sign_up(&db, 3000).await;
    let pipe = pipe(&db, &ses);
    ses.wait_calls(1, SOON).unwrap();
    let on_its_way = "SELECT EXISTS (SELECT FROM deliveries WHERE state = 'dispatched')";
    db.wait_until(on_its_way, SOON).await.unwrap();
    let ran = finish(process(&db, &["deliveries", "cancel", "--since", "1h", "--yes"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    ses.release();
    db.wait_until("SELECT count(*) = 0 FROM deliveries", SOON).await.unwrap();
    let both = "SELECT count(*) FROM (
            SELECT token FROM delivery_log WHERE outcome IN ('sent', 'failed')
            GROUP BY token HAVING count(*) > 1
        ) AS twice";
    assert_eq!(count(&db, both).await, 0);
    let cancelled = "SELECT count(*) FROM delivery_log
        WHERE outcome = 'failed' AND detail = 'cancelled by an operator'";
    assert!(count(&db, cancelled).await > 0, "{ran:?}");
    // The provider got exactly the others.
    let others =
        "SELECT string_agg(email, ' ' ORDER BY email COLLATE \"C\") FROM accounts WHERE id NOT IN (
            SELECT t.account FROM delivery_log AS l JOIN tokens AS t ON t.id = l.token
            WHERE l.outcome = 'failed'
        )";
    let mut got: Vec<String> = ses.mails().into_iter().map(|mail| mail.to).collect();
    got.sort_unstable();
    assert_eq!(got.join(" "), db.query_text(others).await.unwrap());
    drop(pipe);
}

/// Ada has an address, and somebody else took it for a login.
async fn impostor(db: &Database) {
    db.execute(
        "INSERT INTO accounts (email, login) VALUES
             ('ada@example.com', 'ada'), ('eve@example.com', 'ada@example.com'),
             ('mal@example.com', 'ADA@example.com')",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_login_that_is_somebody_elses_address_moves_none_of_their_mail() {
    let db = Database::fresh().await.unwrap();
    impostor(&db).await;
    let told = said(&db, &["deliveries", "show", "ada@example.com"]);
    assert!(told.contains("Account 1: ada@example.com, login ada\n"), "{told}");
    assert!(told.contains("Account 2: eve@example.com, login ada@example.com\n"), "{told}");
    // The address is in lower case only, and the login as it is written hides it not.
    let told = said(&db, &["deliveries", "show", "ADA@example.com"]);
    assert!(told.contains("Account 1: ") && told.contains("Account 3: "), "{told}");
    for (name, login) in [("ada@example.com", 2), ("ADA@example.com", 3)] {
        for verb in ["cancel", "requeue"] {
            let ran = mailroom(&db, &["deliveries", verb, name, "--yes"]);
            assert_eq!((ran.code, ran.out.len()), (78, 0), "{verb} {name}: {ran:?}");
            let words = format!(
                "the name is the address of account 1 and the login of account {login}: nothing was \
                 done; say which with email: or login: before it"
            );
            assert!(ran.err.contains(&words), "{ran:?}");
        }
    }
    assert_eq!(count(&db, OUTSTANDING).await, 3);
    said(&db, &["deliveries", "cancel", "email:ada@example.com", "--yes"]);
    let left = "SELECT string_agg(token::text, ' ' ORDER BY token) FROM deliveries";
    assert_eq!(db.query_text(left).await.unwrap(), "2 3");
    said(&db, &["deliveries", "cancel", "login:ada@example.com", "--yes"]);
    assert_eq!(db.query_text(left).await.unwrap(), "3");
}

#[tokio::test]
async fn no_text_of_a_stranger_forges_a_line_or_moves_the_cursor() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO accounts (email, login) VALUES
             (E'e\\u202eve@example.com', E'eve\\nToken 9: activation\\x1b[2J');
         INSERT INTO delivery_log (token, attempt, outcome, transport, provider_id, detail, action)
         VALUES (1, 1, 'deferred', 'ses', NULL, E'no\\r\\nState: sent\\u2066', 'activation'),
                (1, 2, 'sent', 'ses', E'id\\x1b]0;x\\x07', NULL, 'activation')",
    )
    .await
    .unwrap();
    for args in [&["show", "1"][..], &["list"], &["show", "email:e\u{202e}ve@example.com"]] {
        let told = said(&db, &[&["deliveries"], args].concat());
        let strange = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}".contains(c));
        assert!(!told.contains(strange), "{told:?}");
        assert!(!told.lines().any(|line| line.starts_with("Token 9")), "{told}");
        assert!(!told.lines().any(|line| line.starts_with("State: sent")), "{told}");
    }
    let told = said(&db, &["deliveries", "show", "1"]);
    assert!(told.contains(r"login eve\nToken 9: activation\u{1b}[2J"), "{told}");
    assert!(told.contains(r"e\u{202e}ve@example.com"), "{told}");
    let json: serde_json::Value =
        serde_json::from_str(&said(&db, &["deliveries", "show", "1", "--json"])).unwrap();
    assert_eq!(json["account"]["login"], "eve\nToken 9: activation\u{1b}[2J", "exact");
    let ran = mailroom(&db, &["deliveries", "show", "x\u{1b}[2J\u{202e}"]);
    assert!(ran.code == 78 && !ran.err.contains(['\u{1b}', '\u{202e}']), "{ran:?}");
}

#[tokio::test]
async fn an_action_that_is_none_is_named_with_those_there_are() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 1).await;
    for args in [
        &["list"][..],
        &["list", "--state", "failed"],
        &["cancel", "--yes"],
        &["requeue", "--state", "failed", "--yes"],
    ] {
        let ran = mailroom(&db, &[&["deliveries"], args, &["--action", "activaton"]].concat());
        assert_eq!((ran.code, ran.out.len()), (78, 0), "{args:?}: {ran:?}");
        let words = "--action activaton: there is none, only activation, password_recovery";
        assert!(ran.err.contains(words), "{args:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_requeue_that_is_stopped_half_way_holds_no_users_token() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    end(&db, "failed", "rejected").await;
    let other = db.client().await.unwrap();
    other
        .batch_execute(
            "BEGIN; INSERT INTO deliveries (token, queue, priority) VALUES (2, 'mailroom', 5)",
        )
        .await
        .unwrap();
    let args = ["deliveries", "requeue", "1", "2", "--extend", "1h", "--yes"];
    let ours = process(&db, &args).spawn().unwrap();
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'mailroom' AND wait_event_type = 'Lock')";
    db.wait_until(waits, SOON).await.unwrap();
    ours.signal(Signal::STOP).unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    // Waits for the lock that the stopped one has, for as long as the server lets it have it.
    other
        .batch_execute(
            "SET lock_timeout = '60s'; UPDATE tokens SET consumed_at = 1 WHERE id IN (1, 2)",
        )
        .await
        .unwrap();
    ours.signal(Signal::CONT).unwrap();
    assert_eq!(ours.wait(SOON).unwrap(), 75, "{}", ours.stderr());
    assert_eq!(count(&db, OUTSTANDING).await, 0);
}

#[tokio::test]
async fn what_was_purged_is_said_and_a_deleted_token_keeps_its_action() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 2).await;
    end(&db, "sent", "").await;
    db.execute("DELETE FROM delivery_log WHERE token = 1; DELETE FROM tokens WHERE id = 2")
        .await
        .unwrap();
    let told = said(&db, &["deliveries", "show", "1"]);
    assert!(told.contains("before deliveries were recorded, or its log was purged"), "{told}");
    let ran = mailroom(&db, &["deliveries", "requeue", "1", "--yes"]);
    assert_eq!(ran.code, 78);
    assert!(ran.out.concat().contains("or whose log was purged"), "{ran:?}");
    let told = said(&db, &["deliveries", "show", "2"]);
    assert!(told.contains("Token 2: activation\n"), "{told}");
}

#[tokio::test]
async fn a_list_that_was_cut_says_so_and_details_narrow_it() {
    let db = Database::fresh().await.unwrap();
    sign_up(&db, 4).await;
    end(&db, "failed", "Connect: REFUSED").await;
    db.execute(
        "UPDATE delivery_log SET detail = 'other' WHERE token = 4;
         INSERT INTO deliveries (token, queue, priority, action)
         SELECT id, 'mailroom', 5, 'activation' FROM tokens WHERE id >= 3",
    )
    .await
    .unwrap();
    let list = |args: &[&str]| mailroom(&db, &[&["deliveries", "list"], args].concat());
    for (args, cut) in [
        (&["--limit", "1"][..], true),
        (&["--limit", "2"], false),
        (&["--limit", "1", "--state", "failed"], true),
        (&["--limit", "2", "--state", "failed"], false),
        (&["--limit", "1", "--detail-contains", "refused"], false),
    ] {
        let ran = list(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.err.contains("there are more: --limit"), cut, "{args:?}: {ran:?}");
    }
    let refused = list(&["--detail-contains", "refused"]).out;
    assert_eq!((refused.len(), &refused[1][..2]), (2, "3 "), "{refused:?}");
    let refused = list(&["--detail-contains", "OTHER", "--state", "failed"]).out;
    assert_eq!(refused, ["none"]);
}
