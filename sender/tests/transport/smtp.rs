//! SMTP against a server that misbehaves at every stage: what the outcome is, and whether the mail
//! was accepted once, or not at all, or, where nobody can know, perhaps.

use std::path::Path;
use std::time::Duration;

use mailroom::{Action, ActionNumber, Secret, SecretKey, sign};
use render::{Catalogue, Locales};
use sender::compose::Composer;
use sender::transport::message::{Origin, mailbox};
use sender::transport::smtp::{Login, Mechanism, Security, Smtp, SmtpSettings};
use sender::transport::{Call, Mail, Outcome, Transport};
use testkit::{Act, SmtpOptions, SmtpServer, Stage};

use crate::harness::{class, classes, reason};

/// Longer than anything takes on a busy machine, short enough to be waited for.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1500);

pub(crate) fn settings(server: &SmtpServer) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".into(),
        port: server.addr().port(),
        security: Security::None,
        ca_file: None,
        login: None,
        mechanisms: vec![Mechanism::Plain, Mechanism::Login],
        timeout: PATIENCE,
    }
}

pub(crate) fn origin() -> Origin {
    Origin {
        from: mailbox("Post Office <noreply@mail.example>").unwrap(),
        reply_to: Some(mailbox("help@mail.example").unwrap()),
        envelope_sender: "bounces@mail.example".into(),
    }
}

pub(crate) fn composer() -> Composer {
    let url = Some("https://example.com".to_owned());
    Composer::new(Catalogue::built_in().unwrap(), Locales::default(), url)
}

pub(crate) fn smtp(settings: SmtpSettings) -> Smtp {
    Smtp::new(settings, origin(), composer()).unwrap()
}

/// The token whose secret is this byte, over and over.
fn token(byte: u8) -> String {
    let key: SecretKey = "5a".repeat(32).parse().unwrap();
    sign(&key, &Action::activation(), &Secret::from([byte; 32]), None).unwrap().encode()
}

pub(crate) fn mail(byte: u8, login: &str) -> Mail {
    Mail {
        delivery: Some(i64::from(byte)),
        email: format!("u{byte}@example.org"),
        login: login.into(),
        token: token(byte),
        code: None,
        locale: None,
        expires_at: None,
        data: None,
    }
}

/// `n` activations, to `u1@example.org`, `u2@example.org` and so on.
pub(crate) fn call(n: u8) -> Call {
    let mails = (1..=n).map(|byte| mail(byte, "ann")).collect();
    Call { action: ActionNumber::ACTIVATION, label: None, mails }
}

pub(crate) async fn send(smtp: &Smtp, call: &Call) -> Vec<Outcome> {
    smtp.send(call, &|| true).await
}

#[tokio::test]
async fn mails_go_one_after_another_over_one_connection_that_is_kept() {
    for pipelining in [true, false] {
        let options = SmtpOptions { pipelining, ..SmtpOptions::default() };
        let server = SmtpServer::start_with(options).unwrap();
        let smtp = smtp(settings(&server));
        for _ in 0..2 {
            let outcomes = send(&smtp, &call(3)).await;
            assert_eq!(classes(&outcomes), ["sent"; 3]);
            assert_eq!(reason(&outcomes[0]), "2.0.0 Ok: queued as 4ARST");
        }
        assert_eq!(server.connections(), 1);
        assert_eq!(server.messages().len(), 6);
        let first = &server.messages()[0];
        assert_eq!(first.from, "bounces@mail.example");
        assert_eq!(first.to, ["u1@example.org"]);
        smtp.finish().await;
        assert_eq!(server.said().last().unwrap(), "QUIT");
    }
}

#[tokio::test]
async fn ehlo_is_said_once_because_some_servers_refuse_a_second_one() {
    let server = SmtpServer::start().unwrap();
    let smtp = smtp(settings(&server));
    assert_eq!(classes(&send(&smtp, &call(1)).await), ["sent"]);
    let said = server.said();
    assert_eq!(said.iter().filter(|line| line.starts_with("EHLO ")).count(), 1, "{said:?}");
}

#[tokio::test]
async fn an_activation_asks_for_no_code_and_a_recovery_does() {
    for (action, asks) in
        [(ActionNumber::ACTIVATION, false), (ActionNumber::PASSWORD_RECOVERY, true)]
    {
        let server = SmtpServer::start().unwrap();
        let mut call = Call { action, ..call(1) };
        call.mails[0].code = Some("06435".into());
        assert_eq!(classes(&send(&smtp(settings(&server)), &call).await), ["sent"]);
        assert_eq!(server.messages()[0].message.contains("06435"), asks);
    }
}

/// What one mail of three becomes when the server misbehaves once at this stage, and how many
/// messages the server took in the first call and in a second one.
struct Expected {
    act: Act,
    stage: Stage,
    classes: [&'static str; 3],
    accepted: usize,
}

fn once(stage: Stage, act: Act, classes: [&'static str; 3], accepted: usize) -> Expected {
    Expected { act, stage, classes, accepted }
}

/// At the second mail, of which the connection knows nothing before MAIL.
fn table() -> Vec<Expected> {
    let mut table = Vec::new();
    let nonsense = || Act::say("\u{1b}[31mhello");
    // Before the first mail: nothing was sent, and everything goes back.
    for stage in [Stage::Greeting, Stage::Ehlo] {
        table.push(once(stage, Act::say("421 4.3.2 Not now"), ["deferred"; 3], 0));
        table.push(once(stage, Act::say("554 5.3.2 Not you"), ["hold"; 3], 0));
        table.push(once(stage, Act::Drop, ["deferred"; 3], 0));
        table.push(once(stage, nonsense(), ["deferred"; 3], 0));
        table.push(once(stage, Act::Hang, ["deferred"; 3], 0));
    }
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        let act = |text| Act::say(text);
        table.push(once(stage, act("451 4.3.0 Later"), ["sent", "deferred", "sent"], 2));
        table.push(once(stage, act("550 5.1.1 Never"), ["sent", "rejected", "sent"], 2));
        table.push(once(
            stage,
            act("454 4.7.0 Throttling failure: Maximum sending rate exceeded."),
            ["sent", "throttled", "sent"],
            2,
        ));
        table.push(once(
            stage,
            act("530 5.7.0 Who are you?"),
            ["sent", "misconfigured", "sent"],
            2,
        ));
        // Nothing of it can have been sent, and the next one has a new connection.
        let hung_up = if stage == Stage::Mail { "sent" } else { "deferred" };
        table.push(once(stage, Act::Drop, ["sent", hung_up, "sent"], 2));
        table.push(once(stage, nonsense(), ["sent", "deferred", "sent"], 2));
        table.push(once(stage, Act::Hang, ["sent", "deferred", "sent"], 2));
        table.push(once(stage, act("299 Strange"), ["sent", "deferred", "sent"], 2));
        table.push(once(stage, Act::Delay(PATIENCE / 4), ["sent"; 3], 3));
    }
    // From here on silence may mean anything; what it means is that it may have been sent.
    table.push(once(Stage::Body, Act::Drop, ["sent", "ambiguous", "sent"], 2));
    table.push(once(Stage::Body, Act::Hang, ["sent", "ambiguous", "sent"], 2));
    table.push(once(Stage::Dot, Act::Drop, ["sent", "ambiguous", "sent"], 2));
    table.push(once(Stage::Dot, Act::AcceptAndDrop, ["sent", "ambiguous", "sent"], 3));
    table.push(once(Stage::Dot, Act::Hang, ["sent", "ambiguous", "sent"], 2));
    table.push(once(Stage::Dot, nonsense(), ["sent", "ambiguous", "sent"], 2));
    table.push(once(Stage::Dot, Act::say("354 Again?"), ["sent", "ambiguous", "sent"], 2));
    table.push(once(Stage::Dot, Act::Delay(PATIENCE / 4), ["sent"; 3], 3));
    table.push(once(Stage::Dot, Act::say("452 4.3.1 Full"), ["sent", "deferred", "sent"], 2));
    table.push(once(Stage::Dot, Act::say("554 5.7.1 Spam"), ["sent", "rejected", "sent"], 2));
    let quota = "454 4.7.0 Throttling failure: Daily message quota exceeded.";
    table.push(once(Stage::Dot, Act::say(quota), ["sent", "late", "sent"], 2));
    table
}

#[tokio::test]
async fn each_misbehaviour_has_its_outcome_and_spoils_no_other_mail() {
    for pipelining in [true, false] {
        for Expected { stage, act, classes: expected, accepted } in table() {
            let options = SmtpOptions { pipelining, ..SmtpOptions::default() };
            let server = SmtpServer::start_with(options).unwrap();
            let fatal = matches!(stage, Stage::Greeting | Stage::Ehlo);
            let nth = if fatal { 1 } else { 2 };
            let wanted = act.clone();
            server.script(
                move |at, reached| {
                    if at == stage && reached == nth { wanted.clone() } else { Act::Go }
                },
            );
            let smtp = smtp(settings(&server));
            let outcomes = send(&smtp, &call(3)).await;
            let case = format!("{stage:?} {act:?}, pipelining {pipelining}: {outcomes:#?}");
            let got = classes(&outcomes);
            assert_eq!(got, expected, "{case}");
            let sent = got.iter().filter(|class| **class == "sent").count();
            let ambiguous = got.iter().filter(|class| **class == "ambiguous").count();
            let taken = server.messages().len();
            assert!((sent..=sent + ambiguous).contains(&taken), "{taken} taken; {case}");
            assert!(taken >= accepted, "{taken} taken; {case}");

            // All is well again: what was not sent is, and nothing that was sent is again.
            let again: Vec<u8> = (1..=3u8)
                .zip(&got)
                .filter(|(_, class)| !["sent", "rejected"].contains(*class))
                .map(|(byte, _)| byte)
                .collect();
            if again.is_empty() {
                continue;
            }
            let mails = again.iter().map(|byte| mail(*byte, "ann")).collect();
            let second = Call { action: ActionNumber::ACTIVATION, label: None, mails };
            assert_eq!(classes(&send(&smtp, &second).await), vec!["sent"; again.len()], "{case}");
            let mut to: Vec<String> = server.messages().into_iter().flat_map(|m| m.to).collect();
            let all = to.len();
            to.sort();
            to.dedup();
            let accepted_unanswered = act == Act::AcceptAndDrop;
            assert_eq!(all - to.len(), usize::from(accepted_unanswered), "duplicates; {case}");
        }
    }
}

#[tokio::test]
async fn a_goodbye_that_fails_is_no_failure() {
    for act in [Act::Drop, Act::say("500 What?"), Act::Hang] {
        let server = SmtpServer::start().unwrap();
        server.script(move |at, _| if at == Stage::Quit { act.clone() } else { Act::Go });
        let smtp = smtp(settings(&server));
        assert_eq!(classes(&send(&smtp, &call(1)).await), ["sent"]);
        smtp.finish().await;
        assert_eq!(server.messages().len(), 1);
    }
}

#[tokio::test]
async fn a_recipient_refused_before_an_open_data_costs_a_lone_dot_and_no_connection() {
    let server = SmtpServer::start().unwrap();
    server.script(|at, reached| match (at, reached) {
        (Stage::Rcpt, 1) => Act::say("550 5.1.1 Nobody"),
        // It does not look at its own refusal.
        (Stage::Data, 1) => Act::say("354 Go on"),
        (Stage::Dot, 1) => Act::say("554 5.5.1 No valid recipients"),
        _ => Act::Go,
    });
    let smtp = smtp(settings(&server));
    let outcomes = send(&smtp, &call(2)).await;
    assert_eq!(classes(&outcomes), ["rejected", "sent"]);
    assert_eq!(reason(&outcomes[0]), "RCPT: 550 5.1.1 Nobody");
    assert_eq!(server.connections(), 1);
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn commands_travel_together_only_where_the_server_offers_it() {
    for (pipelining, times) in [(true, 2), (false, 1)] {
        let options = SmtpOptions { pipelining, ..SmtpOptions::default() };
        let server = SmtpServer::start_with(options).unwrap();
        server.script(|at, reached| match (at, reached) {
            (Stage::Rcpt, 1) => Act::say("550 5.1.1 Nobody"),
            _ => Act::Go,
        });
        let outcomes = send(&smtp(settings(&server)), &call(2)).await;
        assert_eq!(classes(&outcomes), ["rejected", "sent"]);
        // The first DATA was on its way before the recipient was refused, or never said.
        let said = server.said().iter().filter(|line| *line == "DATA").count();
        assert_eq!(said, times, "pipelining {pipelining}");
    }
}

/// The first mail is accepted, and then something comes that was not asked for.
#[tokio::test]
async fn an_answer_to_nothing_is_taken_for_the_answer_to_nothing() {
    for pipelining in [true, false] {
        for (stage, words) in [
            (Stage::Dot, "250 2.0.0 Ok\r\n500 5.5.1 What?"),
            (Stage::Dot, "250 2.0.0 Ok\r\n250 2.0.0 Ok"),
            (Stage::Data, "354 Go on\r\n250 2.0.0 Early"),
        ] {
            let options = SmtpOptions { pipelining, ..SmtpOptions::default() };
            let server = SmtpServer::start_with(options).unwrap();
            server.script(move |at, reached| match (at, reached) {
                (at, 1) if at == stage => Act::say(words),
                _ => Act::Go,
            });
            let smtp = smtp(settings(&server));
            let got = classes(&send(&smtp, &call(2)).await).join(" ");
            let expected = if stage == Stage::Data { "deferred sent" } else { "sent sent" };
            assert_eq!(got, expected, "{stage:?} {words:?}, pipelining {pipelining}");
            assert_eq!(server.connections(), 2, "what is out of step is not used again");
            let taken = server.messages().len();
            assert_eq!(taken, if stage == Stage::Data { 1 } else { 2 });
        }
    }
}

#[tokio::test]
async fn an_answer_in_odd_words_is_an_answer() {
    for (stage, words, expected) in [
        (Stage::Dot, "252 Accepted, I think", "sent"),
        (Stage::Dot, "250", "sent"),
        (Stage::Rcpt, "250", "sent"),
        (Stage::Dot, "250 f\u{fc}r sp\u{e4}ter", "sent"),
        (Stage::Rcpt, "550 Empf\u{e4}nger unbekannt", "rejected"),
    ] {
        let server = SmtpServer::start().unwrap();
        server.script(move |at, _| if at == stage { Act::say(words) } else { Act::Go });
        let outcomes = send(&smtp(settings(&server)), &call(1)).await;
        assert_eq!(classes(&outcomes), [expected], "{words:?}: {outcomes:?}");
        assert!(reason(&outcomes[0]).is_ascii());
    }
}

#[tokio::test]
async fn a_line_without_an_end_does_not_exhaust_the_memory() {
    let server = SmtpServer::start().unwrap();
    let endless = "250-".to_owned() + &"x".repeat(64 * 1024);
    server.script(move |at, _| if at == Stage::Ehlo { Act::say(&endless) } else { Act::Go });
    let outcomes = send(&smtp(settings(&server)), &call(1)).await;
    assert_eq!(classes(&outcomes), ["deferred"]);
    assert!(reason(&outcomes[0]).contains("a line without an end"), "{outcomes:?}");
}

#[tokio::test]
async fn what_a_server_repeats_of_a_mail_is_taken_out() {
    for (stage, words, expected) in [
        (
            Stage::Rcpt,
            "550 5.1.1 User u1 <u1@example.org> unknown".to_owned(),
            "RCPT: 550 5.1.1 User <name> <<address>> unknown",
        ),
        (
            Stage::Dot,
            format!("554 5.7.1 https://example.com/activate/{} is listed", token(1)),
            "end of data: 554 5.7.1 https://example.com/activate/<token> is listed",
        ),
    ] {
        let server = SmtpServer::start().unwrap();
        server.script(move |at, _| if at == stage { Act::say(&words) } else { Act::Go });
        let outcomes = send(&smtp(settings(&server)), &call(1)).await;
        assert_eq!(reason(&outcomes[0]), expected);
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_after_each_mail_is_asked_anew_and_again() {
    for pipelining in [true, false] {
        let options = SmtpOptions { pipelining, ..SmtpOptions::default() };
        let server = SmtpServer::start_with(options).unwrap();
        let smtp = smtp(settings(&server));
        // Every second MAIL finds nobody.
        server.script(
            |at, reached| {
                if at == Stage::Mail && reached % 2 == 0 { Act::Drop } else { Act::Go }
            },
        );
        assert_eq!(classes(&send(&smtp, &call(4)).await), ["sent"; 4]);
        assert_eq!(server.messages().len(), 4);
        assert_eq!(server.connections(), 4);
    }
}

#[tokio::test]
async fn a_call_keeps_to_its_time_and_asks_before_every_body() {
    let server = SmtpServer::start().unwrap();
    let smtp = smtp(settings(&server));
    let asked = std::cell::Cell::new(0);
    // Yes to the first mail, twice; yes to the second one, and no more before its body.
    let go = || {
        asked.set(asked.get() + 1);
        asked.get() <= 3
    };
    assert_eq!(classes(&smtp.send(&call(3), &go).await), ["sent", "untried", "untried"]);
    assert_eq!(server.messages().len(), 1);
    assert_eq!(smtp.call_timeout(), Duration::from_secs(10) + PATIENCE);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_nothing() {
    let server = SmtpServer::start().unwrap();
    let smtp = smtp(settings(&server));
    assert_eq!(classes(&send(&smtp, &call(1)).await), ["sent"]);
    // A server that hangs up on what rests does it by the next command at the latest.
    server
        .script(|at, reached| if (at, reached) == (Stage::Mail, 1) { Act::Drop } else { Act::Go });
    assert_eq!(classes(&send(&smtp, &call(2)).await), ["sent"; 2]);
    assert_eq!(server.connections(), 2);
    assert_eq!(server.messages().len(), 3);
}

#[tokio::test]
async fn nobody_there_is_not_sent() {
    let server = SmtpServer::start().unwrap();
    let settings = settings(&server);
    drop(server);
    let outcomes = send(&smtp(settings), &call(2)).await;
    assert_eq!(classes(&outcomes), ["deferred"; 2]);
    assert!(reason(&outcomes[0]).starts_with("connect: "), "{outcomes:?}");
}

#[tokio::test]
async fn each_way_to_log_in_is_spoken_and_a_wrong_password_ends_it() {
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::Xoauth2] {
        let options = SmtpOptions {
            login: Some(("ann".into(), "s3cret-pa55word".into())),
            mechanisms: mechanism.to_string(),
            ..SmtpOptions::default()
        };
        let server = SmtpServer::start_with(options).unwrap();
        let login = |password: &str| SmtpSettings {
            login: Some(Login { username: "ann".into(), password: password.into() }),
            mechanisms: vec![mechanism],
            ..settings(&server)
        };
        assert_eq!(classes(&send(&smtp(login("s3cret-pa55word")), &call(1)).await), ["sent"]);
        let outcomes = send(&smtp(login("another")), &call(2)).await;
        assert_eq!(classes(&outcomes), ["misconfigured"; 2], "{mechanism}");
        assert_eq!(reason(&outcomes[0]), "AUTH: 535");
        assert!(!format!("{:?}", login("s3cret-pa55word")).contains("s3cret"));
        server
            .script(|at, _| if at == Stage::Auth { Act::say("454 4.7.0 Later") } else { Act::Go });
        let outcomes = send(&smtp(login("s3cret-pa55word")), &call(1)).await;
        assert_eq!(classes(&outcomes), ["deferred"], "{mechanism}");
    }
    let server = SmtpServer::start().unwrap();
    let login = Some(Login { username: "ann".into(), password: "x".into() });
    let outcomes = send(&smtp(SmtpSettings { login, ..settings(&server) }), &call(1)).await;
    assert_eq!(class(&outcomes[0]), "misconfigured", "nothing is offered");
}

#[tokio::test]
async fn a_call_that_has_no_more_time_starts_nothing() {
    let server = SmtpServer::start().unwrap();
    let smtp = smtp(settings(&server));
    let outcomes = smtp.send(&call(2), &|| false).await;
    assert_eq!(classes(&outcomes), ["untried"; 2]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn hostile_text_stays_text_in_every_part() {
    let server = SmtpServer::start().unwrap();
    let smtp = smtp(settings(&server));
    let hostile = [
        "ann\r\nBcc: victim@corp.test\r\n\r\nbody",
        "<a href=\"https://evil.test\">win</a>",
        "\"}}{{secret}}{{#if",
        "=?utf-8?q?=0D=0ABcc:_victim@corp.test?=",
        ".\r\n.\r\nQUIT",
        "Grüße 🎉 \u{202e}txt.exe",
    ];
    for (byte, login) in (1..).zip(hostile) {
        let call =
            Call { action: ActionNumber::ACTIVATION, label: None, mails: vec![mail(byte, login)] };
        assert_eq!(classes(&send(&smtp, &call).await), ["sent"], "{login:?}");
    }
    for message in server.messages() {
        assert_eq!(message.to.len(), 1);
        assert!(message.message.is_ascii());
        let (headers, _) = message.message.split_once("\r\n\r\n").unwrap();
        assert!(!headers.to_ascii_lowercase().contains("bcc:"), "{headers}");
        assert_eq!(headers.matches("\r\nTo: ").count(), 1, "{headers}");
        assert!(headers.lines().all(|line| line.len() <= 998));
        assert!(!message.message.contains("<a href=\"https://evil.test"), "{}", message.message);
    }
    assert!(!server.said().iter().any(|line| line.contains("victim")));
}

#[tokio::test]
async fn an_address_is_mailed_as_ascii_or_not_at_all() {
    let server = SmtpServer::start().unwrap();
    let smtp = smtp(settings(&server));
    let mut call = call(3);
    call.mails[0].email = "ann@bücher.example".into();
    call.mails[1].email = "ann@example.org>\r\nRCPT TO:<victim@corp.test".into();
    call.mails[2].email = "änn@example.org".into();
    assert_eq!(classes(&send(&smtp, &call).await), ["sent", "rejected", "rejected"]);
    assert_eq!(server.messages()[0].to, ["ann@xn--bcher-kva.example"]);
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_message_has_what_a_message_needs_and_the_same_id_at_every_attempt() {
    let server = SmtpServer::start().unwrap();
    let smtp = smtp(settings(&server));
    send(&smtp, &call(1)).await;
    send(&smtp, &call(1)).await;
    let messages: Vec<String> = server.messages().into_iter().map(|m| m.message).collect();
    let header = |message: &str, name: &str| {
        let line = message.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {message}")).to_owned()
    };
    assert_eq!(header(&messages[0], "Message-ID"), header(&messages[1], "Message-ID"));
    assert!(header(&messages[0], "Message-ID").ends_with("@mail.example>"));
    header(&messages[0], "Date");
    assert_eq!(header(&messages[0], "From"), "From: \"Post Office\" <noreply@mail.example>");
    assert_eq!(header(&messages[0], "Reply-To"), "Reply-To: help@mail.example");
    assert_eq!(header(&messages[0], "MIME-Version"), "MIME-Version: 1.0");
    let kind = header(&messages[0], "Content-Type");
    assert!(kind.starts_with("Content-Type: multipart/alternative"), "{kind}");
    let id = header(&messages[0], "Message-ID");
    let id = id.trim_start_matches("Message-ID: <").split('@').next().unwrap().to_owned();
    assert!(id.len() == 32 && !token(1).contains(&id), "{id}");
}

#[test]
fn certificates_that_are_named_and_not_there_are_an_error() {
    let server = SmtpServer::start().unwrap();
    let settings = SmtpSettings {
        security: Security::Implicit,
        ca_file: Some(Path::new("/nonexistent/ca.pem").to_owned()),
        ..settings(&server)
    };
    let error = Smtp::new(settings, origin(), composer()).err().unwrap().to_string();
    assert!(error.starts_with("MAILROOM_SMTP_CA_FILE: /nonexistent/ca.pem: "), "{error}");
}
