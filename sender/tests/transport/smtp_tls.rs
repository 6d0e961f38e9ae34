//! SMTP with a relay that is not who it should be: refused, and told nothing.

use std::io::Write as _;

use sender::transport::smtp::{Login, Security, SmtpSettings};
use tempfile::NamedTempFile;
use testkit::{Act, Authority, Certificate, SmtpOptions, SmtpServer, Stage};

use crate::harness::{classes, reason};
use crate::smtp::{call, send, settings, smtp};

const PASSWORD: &str = "s3cret-pa55word";

fn server(certificate: Certificate, implicit: bool, strip_starttls: bool) -> SmtpServer {
    SmtpServer::start_with(SmtpOptions {
        certificate: Some(certificate),
        implicit,
        strip_starttls,
        pipelining: true,
        login: Some(("ann".into(), PASSWORD.into())),
        mechanisms: "PLAIN LOGIN".into(),
    })
    .unwrap()
}

fn trusting(
    server: &SmtpServer,
    authority: &Authority,
    implicit: bool,
) -> (NamedTempFile, SmtpSettings) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(authority.pem.as_bytes()).unwrap();
    let settings = SmtpSettings {
        security: if implicit { Security::Implicit } else { Security::StartTls },
        ca_file: Some(file.path().to_owned()),
        login: Some(Login { username: "ann".into(), password: PASSWORD.into() }),
        ..settings(server)
    };
    (file, settings)
}

/// It was told nothing: neither who we are nor whom we write to.
fn told_nothing(server: &SmtpServer) {
    for line in server.said() {
        assert!(line.starts_with("EHLO") || line == "STARTTLS", "it was told {line:?}");
    }
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn a_trusted_relay_with_the_right_name_is_mailed_through() {
    let authority = Authority::new("ours").unwrap();
    for implicit in [false, true] {
        let certificate = authority.certificate_for(&["localhost"]).unwrap();
        let server = server(certificate, implicit, false);
        let (_file, settings) = trusting(&server, &authority, implicit);
        let outcomes = send(&smtp(settings), &call(2)).await;
        assert_eq!(classes(&outcomes), ["sent"; 2], "{outcomes:?}");
        assert_eq!(server.messages().len(), 2);
    }
}

#[tokio::test]
async fn a_wrong_name_an_unknown_authority_and_an_old_certificate_are_refused() {
    let (ours, theirs) = (Authority::new("ours").unwrap(), Authority::new("theirs").unwrap());
    for implicit in [false, true] {
        for (certificate, words) in [
            (ours.certificate_for(&["elsewhere.test"]).unwrap(), "not valid for name"),
            (theirs.certificate_for(&["localhost"]).unwrap(), "UnknownIssuer"),
            (ours.expired_certificate_for(&["localhost"]).unwrap(), "expired"),
        ] {
            let server = server(certificate, implicit, false);
            let (_file, settings) = trusting(&server, &ours, implicit);
            let outcomes = send(&smtp(settings), &call(2)).await;
            assert_eq!(classes(&outcomes), ["hold"; 2], "{outcomes:?}");
            let reason = reason(&outcomes[0]);
            assert!(reason.contains(words) && reason.contains("nothing was sent"), "{reason}");
            told_nothing(&server);
        }
    }
}

#[tokio::test]
async fn starttls_that_was_taken_away_is_missed() {
    let ours = Authority::new("ours").unwrap();
    let server = server(ours.certificate_for(&["localhost"]).unwrap(), false, true);
    let (_file, settings) = trusting(&server, &ours, false);
    let outcomes = send(&smtp(settings), &call(2)).await;
    assert_eq!(classes(&outcomes), ["hold"; 2]);
    assert!(reason(&outcomes[0]).contains("STARTTLS: the server does not offer it"));
    told_nothing(&server);
}

#[tokio::test]
async fn what_is_said_in_the_clear_is_never_read_as_said_under_tls() {
    let ours = Authority::new("ours").unwrap();
    let server = server(ours.certificate_for(&["localhost"]).unwrap(), false, false);
    // Somebody in between adds an answer of their own before encryption begins.
    let injected = "220 go ahead\r\n250-sink.test\r\n250 AUTH PLAIN\r\n235 2.7.0 Welcome";
    server.script(move |at, _| if at == Stage::StartTls { Act::say(injected) } else { Act::Go });
    let (_file, settings) = trusting(&server, &ours, false);
    let outcomes = send(&smtp(settings), &call(1)).await;
    assert_eq!(classes(&outcomes), ["deferred"], "{outcomes:?}");
    told_nothing(&server);
}

#[tokio::test]
async fn a_starttls_that_fails_is_not_sent() {
    let ours = Authority::new("ours").unwrap();
    for (act, class) in [
        (Act::say("454 4.7.0 Not now"), "deferred"),
        (Act::say("501 5.5.4 Never"), "hold"),
        (Act::Drop, "deferred"),
        (Act::Hang, "deferred"),
        (Act::say("hello"), "deferred"),
    ] {
        let server = server(ours.certificate_for(&["localhost"]).unwrap(), false, false);
        let wanted = act.clone();
        server.script(move |at, _| if at == Stage::StartTls { wanted.clone() } else { Act::Go });
        let (_file, settings) = trusting(&server, &ours, false);
        let outcomes = send(&smtp(settings), &call(1)).await;
        assert_eq!(classes(&outcomes), [class], "{act:?} {outcomes:?}");
        told_nothing(&server);
    }
}
