//! What every transport owes its caller, whatever it speaks: one suite, which each of them passes.

use std::any::Any;
use std::cell::Cell;

use mailroom::ActionNumber;
use sender::transport::dry_run::{DryLetters, DryRun};
use sender::transport::file::Files;
use sender::transport::noop::Noop;
use sender::transport::ses::Ses;
use sender::transport::smtp::Smtp;
use sender::transport::{Call, Mail, Outcome, Transport};
use serde_json::Value;
use testkit::{SmtpOptions, SmtpServer};

use crate::dry_run::Out;
use crate::harness::{Rig, classes, settings as ses_settings};
use crate::smtp::{call, composer, mail, origin, settings as smtp_settings, smtp};

/// A transport, and where to see what it has sent.
struct Subject<T> {
    transport: T,
    /// What was sent since it was last asked.
    went_out: Box<dyn Fn() -> Vec<Went>>,
    /// Whether it looks at addresses and templates: one that sends nothing need not.
    reads: bool,
    /// Whether templates are stored with the provider: then any label may have one.
    stored: bool,
    _keeps: Box<dyn Any>,
}

/// A mail that was sent, or printed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Went {
    to: String,
    /// What the provider calls it, where each has an id of its own.
    id: Option<String>,
}

impl<T: Transport> Subject<T> {
    /// Sends, and checks what holds in every case: an outcome for each mail, in their order, and
    /// those went out, once each, that are said to have been sent.
    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        let outcomes = self.transport.send(call, go).await;
        assert_eq!(outcomes.len(), call.mails.len(), "{outcomes:?}");
        let mut went = (self.went_out)();
        let sent = call.mails.iter().zip(&outcomes).filter_map(|(mail, outcome)| match outcome {
            Outcome::Sent { provider_id } => Some((mail.email.clone(), provider_id.clone())),
            _ => None,
        });
        let mut sent: Vec<Went> = sent.map(|(to, id)| Went { to, id: Some(id) }).collect();
        went.sort();
        sent.sort();
        if self.reads {
            let nameless = went.iter().all(|went| went.id.is_none());
            if nameless {
                sent.iter_mut().for_each(|sent| sent.id = None);
            }
            assert_eq!(went, sent, "{outcomes:?}");
        } else {
            assert_eq!(went, []);
        }
        outcomes
    }
}

/// The suite.
async fn conforms<T: Transport>(make: impl Fn() -> Subject<T>) {
    every_mail_of_the_largest_call_is_sent(&make()).await;
    nothing_goes_out_when_told_not_to(&make()).await;
    what_begins_after_a_no_does_not(&make()).await;
    a_bad_address_spoils_no_neighbour(&make()).await;
    an_action_without_a_template_is_our_fault(&make()).await;
    languages_may_be_mixed(&make()).await;
    whatever_the_login_is_the_mail_goes_where_it_should(&make()).await;
    a_goodbye_loses_nothing(&make()).await;
}

async fn every_mail_of_the_largest_call_is_sent<T: Transport>(subject: &Subject<T>) {
    let most = subject.transport.mails_per_call_max();
    assert!(most > 0);
    for n in [1, most] {
        let mut call = call(1);
        // Beyond two hundred the same ones again.
        call.mails = (1..=n).map(|n| mail(u8::try_from(n % 200 + 1).unwrap(), "ann")).collect();
        let outcomes = subject.send(&call, &|| true).await;
        assert_eq!(classes(&outcomes), vec!["sent"; n]);
    }
    assert!(!subject.transport.name().is_empty());
    assert!(!subject.transport.call_timeout().is_zero());
    assert_eq!(subject.transport.broken(), None);
}

async fn nothing_goes_out_when_told_not_to<T: Transport>(subject: &Subject<T>) {
    let outcomes = subject.send(&call(3), &|| false).await;
    assert_eq!(classes(&outcomes), ["untried"; 3]);
    // Nor does it come back later.
    let outcomes = subject.send(&call(2), &|| true).await;
    assert_eq!(classes(&outcomes), ["sent"; 2]);
}

async fn what_begins_after_a_no_does_not<T: Transport>(subject: &Subject<T>) {
    let asked = Cell::new(0);
    // A transport may ask more than once for a mail, but not more than twice.
    let once = || asked.replace(asked.get() + 1) < 2;
    let outcomes = subject.send(&call(3), &once).await;
    let classes = classes(&outcomes);
    assert_eq!(classes[0], "sent");
    assert!(classes.is_sorted_by(|a, b| a == b || *b == "untried"), "{classes:?}");
    assert!(asked.get() > 0);
}

async fn a_bad_address_spoils_no_neighbour<T: Transport>(subject: &Subject<T>) {
    let bad = [
        "nobody",
        "a@b@c.example>",
        "a@example.org>\r\nRCPT TO:<victim@corp.test",
        "änn@example.org",
        "a@example.org, victim@corp.test",
    ];
    for address in bad {
        for place in 0..3 {
            let mut call = call(3);
            call.mails[place].email = address.to_owned();
            let outcomes = subject.send(&call, &|| true).await;
            let mut expected = ["sent"; 3];
            if subject.reads {
                expected[place] = "rejected";
            }
            assert_eq!(classes(&outcomes), expected, "{address:?}: {outcomes:?}");
        }
    }
}

async fn an_action_without_a_template_is_our_fault<T: Transport>(subject: &Subject<T>) {
    if subject.reads {
        let action = ActionNumber::new(99).unwrap();
        let labels = [None, Some("no-such-thing".to_owned())];
        for label in labels.into_iter().take(if subject.stored { 1 } else { 2 }) {
            let outcomes = subject.send(&Call { action, label, ..call(3) }, &|| true).await;
            assert_eq!(classes(&outcomes), ["misconfigured"; 3], "{outcomes:?}");
        }
    }
}

async fn languages_may_be_mixed<T: Transport>(subject: &Subject<T>) {
    let mut call = call(6);
    let locales = [None, Some("de"), Some("en"), Some("de-AT"), Some("nonsense!"), Some("tlh")];
    for (mail, locale) in call.mails.iter_mut().zip(locales) {
        mail.locale = locale.map(str::to_owned);
    }
    call.mails[3].email = "nobody".to_owned();
    let outcomes = subject.send(&call, &|| true).await;
    let mut expected = ["sent"; 6];
    if subject.reads {
        expected[3] = "rejected";
    }
    assert_eq!(classes(&outcomes), expected, "{outcomes:?}");
}

async fn whatever_the_login_is_the_mail_goes_where_it_should<T: Transport>(subject: &Subject<T>) {
    let hostile = [
        "",
        "m,x,11111,1,victim@corp.test,EvilLogin",
        "ann\r\nBcc: victim@corp.test\r\n\r\nbody",
        "\r\n.\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<victim@corp.test>\r\nDATA\r\n",
        "\"}}, \"Destination\": {\"ToAddresses\": [\"victim@corp.test\"]",
        "{{secret}}{{#each x}}",
        "<script>alert(1)</script>",
        "\u{0} \u{7f} \u{202e} \u{feff}",
    ];
    let long = "長".repeat(254);
    let logins = hostile.into_iter().chain([&*long]);
    let mails: Vec<Mail> = (1..).zip(logins).map(|(byte, login)| mail(byte, login)).collect();
    let expected = vec!["sent"; mails.len()];
    let outcomes = subject.send(&Call { mails, ..call(1) }, &|| true).await;
    assert_eq!(classes(&outcomes), expected, "{outcomes:?}");
}

async fn a_goodbye_loses_nothing<T: Transport>(subject: &Subject<T>) {
    subject.transport.finish().await;
    assert_eq!(classes(&subject.send(&call(2), &|| true).await), ["sent"; 2]);
    subject.transport.finish().await;
    subject.transport.finish().await;
    assert_eq!(subject.transport.broken(), None);
}

/// Of a list that only grows, what is new since the last time.
fn fresh(all: impl Fn() -> Vec<Went> + 'static) -> Box<dyn Fn() -> Vec<Went>> {
    let seen = Cell::new(0);
    Box::new(move || {
        let all = all();
        let before = seen.replace(all.len());
        all.into_iter().skip(before).collect()
    })
}

/// With templates that are stored with SES alone, or that we have, too.
fn ses(composes: bool) -> Subject<Ses> {
    let double = testkit::Ses::start().unwrap();
    let Rig { ses, output } = Rig::new(&double.url());
    let transport = ses.with_composer(composes.then(composer));
    let double = std::rc::Rc::new(double);
    let seen = double.clone();
    let went_out = move || {
        let went = |mail: testkit::AcceptedMail| Went { to: mail.to, id: Some(mail.message_id) };
        seen.mails().into_iter().map(went).collect()
    };
    let went_out = fresh(went_out);
    let keeps = Box::new((double, output));
    Subject { transport, went_out, reads: true, stored: !composes, _keeps: keeps }
}

fn smtp_to_a_relay(pipelining: bool) -> Subject<Smtp> {
    let options = SmtpOptions { pipelining, ..SmtpOptions::default() };
    let server = SmtpServer::start_with(options).unwrap();
    let transport = smtp(smtp_settings(&server));
    let went_out = move || {
        let to = server.messages().into_iter().map(|message| message.to.join(" and "));
        to.map(|to| Went { to, id: None }).collect()
    };
    let went_out = fresh(went_out);
    Subject { transport, went_out, reads: true, stored: false, _keeps: Box::new(()) }
}

fn files() -> Subject<Files> {
    let folder = tempfile::tempdir().unwrap();
    let transport = Files::into_folder(folder.path(), origin(), composer()).unwrap();
    // A second attempt writes the same file again: what was seen is taken away.
    let went_out = Box::new(move || {
        let went = |file: std::io::Result<std::fs::DirEntry>| {
            let file = file.unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            std::fs::remove_file(file.path()).unwrap();
            let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned();
            Went { to, id: Some(file.file_name().into_string().unwrap()) }
        };
        std::fs::read_dir(folder.path()).unwrap().map(went).collect()
    });
    Subject { transport, went_out, reads: true, stored: false, _keeps: Box::new(()) }
}

fn noop() -> Subject<Noop> {
    Subject {
        transport: Noop,
        went_out: Box::new(Vec::new),
        reads: false,
        stored: false,
        _keeps: Box::new(()),
    }
}

fn dry_ses() -> Subject<DryRun> {
    let (output, out) = (tempfile::tempdir().unwrap(), Out::default());
    let transport = DryRun::to(out.clone(), ses_settings(&output)).unwrap();
    let went_out = move || {
        let of_call = |line: Value| {
            let list = |value: &Value| value.as_array().unwrap().clone();
            let entries = list(&line["request"]["BulkEmailEntries"]);
            let results = list(&line["response"]["BulkEmailEntryResults"]);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let went = move |(entry, result): (Value, Value)| Went {
                to: text(&entry["Destination"]["ToAddresses"][0]),
                id: Some(text(&result["MessageId"])),
            };
            entries.into_iter().zip(results).map(went).collect::<Vec<_>>()
        };
        out.lines().into_iter().flat_map(of_call).collect()
    };
    let went_out = fresh(went_out);
    Subject { transport, went_out, reads: true, stored: true, _keeps: Box::new(output) }
}

fn dry_letters() -> Subject<DryLetters> {
    let out = Out::default();
    let transport = DryLetters::to(out.clone(), origin(), composer());
    let went_out = move || {
        let to = |line: Value| line["to"].as_str().unwrap().to_owned();
        out.lines().into_iter().map(|line| Went { to: to(line), id: None }).collect()
    };
    let went_out = fresh(went_out);
    Subject { transport, went_out, reads: true, stored: false, _keeps: Box::new(()) }
}

#[tokio::test]
async fn ses_conforms() {
    for composes in [false, true] {
        conforms(|| ses(composes)).await;
    }
}

#[tokio::test]
async fn smtp_conforms() {
    for pipelining in [false, true] {
        conforms(|| smtp_to_a_relay(pipelining)).await;
    }
}

#[tokio::test]
async fn file_conforms() {
    conforms(files).await;
}

#[tokio::test]
async fn noop_conforms() {
    conforms(noop).await;
}

#[tokio::test]
async fn dry_runs_conform() {
    conforms(dry_ses).await;
    conforms(dry_letters).await;
}
