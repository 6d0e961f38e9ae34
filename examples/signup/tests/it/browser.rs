//! The example as its visitors see it: in a real browser, with mouse and keyboard.

use std::io::Write as _;

use crate::chrome::{Chrome, find};
use crate::example::Example;

/// The mail is there before long; an empty mailbox looks again by itself.
fn open_newest_mail(chrome: &mut Chrome, subject: &str) {
    while !chrome.has("li a") || chrome.text("li a") != subject {
        if chrome.has("li a") {
            chrome.follow("a.button");
        } else {
            chrome.loaded();
        }
    }
    chrome.picture("mailbox");
    chrome.follow("li a");
}

#[test]
fn a_visitor_signs_up_and_later_recovers_the_password_in_a_real_browser() {
    let Some(path) = find() else {
        // Past the harness, which keeps what a passing test prints.
        let why = "install chromium, or set MAILROOM_TEST_BROWSER";
        writeln!(std::io::stderr(), "SKIPPED: the example in a browser: {why}").unwrap();
        return;
    };
    // Of its own, so that the newest mail is this visitor's.
    let example = Example::start();
    let mut chrome = Chrome::start(&path);

    chrome.open(&example.url);
    chrome.type_into("#email", "ada@example.com");
    chrome.picture("sign-up");
    chrome.follow("button");
    assert_eq!(chrome.text("h1"), "Check your mail");
    chrome.picture("check-mail");

    chrome.follow("a.button");
    open_newest_mail(&mut chrome, "Activate your account");
    assert!(chrome.text("body").contains("Hello ada@example.com,"));
    chrome.picture("activation-mail");
    chrome.follow(".button a");
    assert_eq!(chrome.text("h1"), "Activate your account");
    chrome.type_into("#login", "Ada <b>Lovelace</b>");
    chrome.type_into("#password", "the first password");
    chrome.picture("activate");
    chrome.follow("button");
    assert_eq!(chrome.text("h1"), "Your account is active");
    chrome.picture("active");

    chrome.follow("a.button");
    chrome.type_into("#email", "Ada@Example.com");
    chrome.type_into("#password", "not the password");
    chrome.follow("button");
    assert!(chrome.has("[role=alert]"));
    chrome.picture("wrong-password");

    chrome.open(&format!("{}/forgot", example.url));
    chrome.type_into("#email", "ada@example.com");
    chrome.follow("button");
    chrome.follow("a.button");
    open_newest_mail(&mut chrome, "Reset your password");
    assert!(chrome.text("body").contains("Hello Ada <b>Lovelace</b>,"));
    let code = chrome.text(".code");
    chrome.picture("recovery-mail");
    chrome.follow(".button a");
    chrome.type_into("#code", code.trim());
    chrome.type_into("#password", "the second password");
    chrome.picture("recover");
    chrome.follow("button");
    assert_eq!(chrome.text("h1"), "Your password is changed");

    chrome.follow("a.button");
    chrome.type_into("#email", "ada@example.com");
    chrome.type_into("#password", "the second password");
    chrome.follow("button");
    assert_eq!(chrome.text("main p"), "You are signed in as Ada <b>Lovelace</b>.");
    chrome.picture("signed-in");
    chrome.close();
}
