#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::ses::EntryFailure;
use testkit::{Reply, Ses};

use crate::SOON;

/// A client that knows no more HTTP than it must.
struct Client(TcpStream);

/// What a call led to: status, headers and body; `Err`: what came before the connection broke.
type Answer = Result<(u16, String, Value), String>;

impl Client {
    fn to(ses: &Ses) -> Client {
        let stream = TcpStream::connect(ses.addr()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Client(stream)
    }

    fn write(&mut self, request: &str, body: &str) {
        let length = body.len();
        let text = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nX-Test: Yes\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(text.as_bytes()).unwrap();
    }

    fn read(&mut self) -> Answer {
        let mut bytes = Vec::new();
        loop {
            let mut chunk = [0; 65536];
            let read = self.0.read(&mut chunk).unwrap_or(0);
            bytes.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() == length {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return Ok((status, head, serde_json::from_str(body).unwrap_or_default()));
                }
            }
            if read == 0 {
                return Err(text);
            }
        }
    }

    fn call(&mut self, request: &str, body: &str) -> Answer {
        self.write(request, body);
        self.read()
    }

    fn send(&mut self, body: &Value) -> Answer {
        self.call(SEND, &body.to_string())
    }
}

const SEND: &str = "POST /v2/email/outbound-bulk-emails";

fn bulk(addresses: &[&str]) -> Value {
    let entries: Vec<Value> = addresses
        .iter()
        .map(|address| {
            let data = json!({ "login": address, "secret": format!("secret of {address}") });
            json!({
                "Destination": { "ToAddresses": [address] },
                "ReplacementEmailContent": {
                    "ReplacementTemplate": { "ReplacementTemplateData": data.to_string() },
                },
                "ReplacementTags": [{ "Name": "delivery", "Value": address }],
            })
        })
        .collect();
    json!({
        "FromEmailAddress": "noreply@example.com",
        "ConfigurationSetName": "default",
        "DefaultEmailTags": [{ "Name": "action", "Value": "activation" }],
        "DefaultContent": { "Template": {
            "TemplateName": "activationv1",
            "TemplateData": r#"{"login":"nobody","site":"Aegis"}"#,
        } },
        "BulkEmailEntries": entries,
    })
}

fn statuses(answer: &Answer) -> Vec<String> {
    let (status, _, body) = answer.as_ref().unwrap();
    assert_eq!(*status, 200);
    let results = body["BulkEmailEntryResults"].as_array().unwrap();
    results.iter().map(|result| result["Status"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn mails_are_accepted_and_remembered() {
    let ses = Ses::start().unwrap();
    let mut client = Client::to(&ses);
    let answer = client.send(&bulk(&["a@x", "b@x"]));
    assert_eq!(statuses(&answer), ["SUCCESS", "SUCCESS"]);
    assert_eq!(statuses(&client.send(&bulk(&["b@x"]))), ["SUCCESS"]);

    let mails = ses.mails();
    let [a, b, again] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!(*a.data, json!({ "login": "a@x", "secret": "secret of a@x", "site": "Aegis" }));
    assert_eq!((a.to.as_str(), a.template.as_str(), a.call), ("a@x", "activationv1", 1));
    assert_eq!(
        (a.from.as_str(), a.config_set.as_deref()),
        ("noreply@example.com", Some("default"))
    );
    assert_eq!((a.tags["action"].as_str(), a.tags["delivery"].as_str()), ("activation", "a@x"));
    let (_, _, body) = answer.unwrap();
    assert_eq!(body["BulkEmailEntryResults"][1]["MessageId"], b.message_id.as_str());
    assert_ne!(b.message_id, again.message_id);
    assert_eq!(again.call, 2);

    let duplicates = ses.duplicates();
    assert_eq!(duplicates.len(), 1);
    assert_eq!((duplicates[0].0.as_str(), duplicates[0].1.len()), ("secret of b@x", 2));

    let calls = ses.calls();
    assert_eq!((calls[0].accepted.as_slice(), calls[0].answered), ([0, 1].as_slice(), Some(200)));
    assert_eq!(calls[0].headers["x-test"], "Yes");
    assert_eq!(calls[1].json(), bulk(&["b@x"]));

    ses.clear();
    assert_eq!((ses.calls().len(), ses.mail_count()), (0, 0));
}

#[test]
fn entries_and_calls_fail_as_ordered() {
    let ses = Ses::start().unwrap();
    let mut client = Client::to(&ses);
    ses.replies([
        Reply::fail_address("b@x", "MESSAGE_REJECTED", "no"),
        Reply::Entries(vec![
            EntryFailure::at(0, "TRANSIENT_FAILURE", "later"),
            EntryFailure::at(2, "ACCOUNT_THROTTLED", "slower"),
        ]),
        Reply::fail_all("FAILED", "all"),
        Reply::error(429, "TooManyRequestsException", "Too many"),
    ]);
    let three = bulk(&["a@x", "b@x", "c@x"]);
    assert_eq!(statuses(&client.send(&three)), ["SUCCESS", "MESSAGE_REJECTED", "SUCCESS"]);
    let second = client.send(&three);
    assert_eq!(statuses(&second), ["TRANSIENT_FAILURE", "SUCCESS", "ACCOUNT_THROTTLED"]);
    assert_eq!(second.unwrap().2["BulkEmailEntryResults"][0]["Error"], "later");
    assert_eq!(statuses(&client.send(&three)), ["FAILED", "FAILED", "FAILED"]);
    let (status, head, body) = client.send(&three).unwrap();
    assert_eq!((status, body), (429, json!({ "message": "Too many" })));
    assert!(head.contains("x-amzn-errortype: toomanyrequestsexception"), "{head}");

    let accepted: Vec<_> = ses.calls().into_iter().map(|call| call.accepted).collect();
    assert_eq!(accepted, [vec![0, 2], vec![1], vec![], vec![]]);
    assert_eq!(statuses(&client.send(&three)), ["SUCCESS", "SUCCESS", "SUCCESS"]);
}

#[test]
fn a_script_decides_by_what_it_sees() {
    let ses = Ses::start().unwrap();
    ses.script(|call| match call.number {
        1 => Reply::error(503, "ServiceUnavailable", "later"),
        _ if call.has("bad@x") => Reply::fail_address("bad@x", "MESSAGE_REJECTED", "bad"),
        _ => Reply::Ok,
    });
    let mut client = Client::to(&ses);
    assert_eq!(client.send(&bulk(&["a@x"])).unwrap().0, 503);
    assert_eq!(statuses(&client.send(&bulk(&["bad@x", "a@x"]))), ["MESSAGE_REJECTED", "SUCCESS"]);
    assert_eq!(statuses(&client.send(&bulk(&["a@x"]))), ["SUCCESS"]);
}

#[test]
fn requests_that_ses_refuses_are_refused() {
    let ses = Ses::start().unwrap();
    let mut client = Client::to(&ses);
    assert_eq!(client.send(&bulk(&["a@x"; 51])).unwrap().0, 400);
    assert_eq!(client.send(&bulk(&[])).unwrap().0, 400);
    assert_eq!(client.call(SEND, "{").unwrap().0, 400);
    let (status, head, _) = client.call("GET /v2/email/identities", "").unwrap();
    assert_eq!(status, 404);
    assert!(head.contains("x-amzn-errortype"), "{head}");

    let mut broken = bulk(&["a@x", "b@x"]);
    broken["BulkEmailEntries"][0]["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"] =
        json!("{\"login\":\"a\"b\"}");
    assert_eq!(statuses(&client.send(&broken)), ["INVALID_PARAMETER", "SUCCESS"]);
}

#[test]
fn the_account_is_told() {
    let ses = Ses::start().unwrap();
    let mut client = Client::to(&ses);
    ses.set_quota(1.5, -1);
    let (_, _, body) = client.call("GET /v2/email/account", "").unwrap();
    assert_eq!(body["SendQuota"]["MaxSendRate"], 1.5);
    assert_eq!(body["SendQuota"]["Max24HourSend"], -1);
    assert_eq!(body["SendingEnabled"], true);
    ses.fail_account(403, "AccessDeniedException", "no");
    let (status, head, _) = client.call("GET /v2/email/account", "").unwrap();
    assert!(status == 403 && head.contains("accessdeniedexception"), "{head}");
    assert_eq!(ses.account_calls(), 2);
}

#[test]
fn connections_break_where_ordered() {
    let ses = Ses::start().unwrap();
    let body = bulk(&["a@x"]);
    let cuts = [
        (Reply::CutBeforeRead, 0),
        (Reply::CutAfterRead { accept: false }, 0),
        (Reply::CutAfterRead { accept: true }, 1),
    ];
    for (reply, accepted) in cuts {
        ses.clear();
        ses.reply(reply.clone());
        assert_eq!(Client::to(&ses).send(&body), Err(String::new()), "{reply:?}");
        assert_eq!((ses.calls().len(), ses.mail_count()), (1, accepted), "{reply:?}");
        assert_eq!(ses.calls()[0].answered, None);
    }
    ses.clear();
    ses.replies([Reply::Nonsense { accept: true }, Reply::Partial { accept: true }]);
    let (status, _, nonsense) = Client::to(&ses).send(&body).unwrap();
    assert_eq!((status, nonsense), (200, Value::Null));
    let half = Client::to(&ses).send(&body).unwrap_err();
    assert!(half.contains("200 OK") && half.contains("BulkEmail"), "{half}");
    assert_eq!(ses.mail_count(), 2);
}

#[test]
fn a_hanging_call_ends_when_it_is_released() {
    let ses = Ses::start().unwrap();
    for accept in [true, false] {
        ses.clear();
        ses.reply(Reply::Hang { accept });
        let mut client = Client::to(&ses);
        client.write(SEND, &bulk(&["a@x"]).to_string());
        ses.wait_calls(1, SOON).unwrap();
        // It says nothing meanwhile.
        client.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(client.0.read(&mut [0]).is_err());
        ses.wait_mails(usize::from(accept), SOON).unwrap();
        assert_eq!(ses.mail_count(), usize::from(accept));
        client.0.set_read_timeout(Some(SOON)).unwrap();
        ses.release();
        assert_eq!(client.read().is_ok(), accept);
    }
}

#[test]
fn a_delayed_answer_is_accepted_at_once() {
    // Long enough to be looked at meanwhile.
    const DELAY: Duration = Duration::from_secs(2);
    let ses = Ses::start().unwrap();
    ses.reply(Reply::Delay(DELAY));
    let mut client = Client::to(&ses);
    let start = Instant::now();
    client.write(SEND, &bulk(&["a@x"]).to_string());
    ses.wait_mails(1, SOON).unwrap();
    assert_eq!(ses.calls()[0].answered, None);
    assert_eq!(statuses(&client.read()), ["SUCCESS"]);
    assert!(start.elapsed() >= DELAY);
}

#[test]
fn the_world_stops_inside_a_call() {
    let ses = Ses::start().unwrap();
    ses.hold();
    let (done, answers) = mpsc::channel();
    let mut client = Client::to(&ses);
    let thread = std::thread::spawn(move || done.send(client.send(&bulk(&["a@x"]))));
    ses.wait_calls(1, SOON).unwrap();
    assert_eq!(ses.mail_count(), 0);

    // A client that goes while it is held has sent nothing.
    let mut gone = Client::to(&ses);
    gone.write(SEND, &bulk(&["b@x"]).to_string());
    ses.wait_calls(2, SOON).unwrap();
    drop(gone);
    // That is noticed no later than what a new client does.
    Client::to(&ses).call("GET /v2/email/account", "").unwrap();

    ses.reply(Reply::fail_index(0, "TRANSIENT_FAILURE", "decided only now"));
    ses.release();
    assert_eq!(statuses(&answers.recv_timeout(SOON).unwrap()), ["TRANSIENT_FAILURE"]);
    thread.join().unwrap().unwrap();
    assert_eq!(statuses(&Client::to(&ses).send(&bulk(&["c@x"]))), ["SUCCESS"]);
    assert_eq!(ses.mails().iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["c@x"]);

    let vain = ses.wait_mails(2, Duration::from_millis(20)).unwrap_err();
    assert!(format!("{vain:#}").contains("3 calls and 1 mails"), "{vain:#}");
}

#[test]
fn a_hundred_thousand_mails_are_no_burden() {
    let ses = Ses::start().unwrap();
    let addresses: Vec<String> = (0..50).map(|n| format!("user{n}@example.com")).collect();
    let body = bulk(&addresses.iter().map(String::as_str).collect::<Vec<_>>()).to_string();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::to(&ses);
                for _ in 0..500 {
                    client.call(SEND, &body).unwrap();
                }
            });
        }
    });
    assert_eq!(ses.mail_count(), 100_000);
    assert_eq!(ses.duplicates().len(), 50);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

const TEMPLATES: &str = "/v2/email/templates";

fn template(name: &str, subject: &str) -> String {
    let content = json!({ "Subject": subject, "Html": "<p>{{login}}", "Text": "{{site}}" });
    json!({ "TemplateName": name, "TemplateContent": content }).to_string()
}

#[test]
fn templates_are_stored_listed_and_forgotten() {
    let ses = Ses::start().unwrap();
    let mut client = Client::to(&ses);
    let mut status = |method: &str, name: &str, body: &str| {
        client.call(&format!("{method} {TEMPLATES}{name}"), body).unwrap()
    };
    for name in ["b", "a", "c"] {
        assert_eq!(status("POST", "", &template(name, "Hi")).0, 200);
    }
    assert_eq!(status("POST", "", &template("a", "Hi")).0, 400);
    assert_eq!(status("PUT", "/a", &template("", "Hello")).0, 200);
    assert_eq!(status("PUT", "/d", &template("", "Hello")).0, 404);
    assert_eq!(status("POST", "", "{").0, 400);
    let (_, _, body) = status("GET", "/a", "");
    assert_eq!(body["TemplateContent"]["Subject"], "Hello");
    let (code, head, _) = status("GET", "/d", "");
    assert!(code == 404 && head.contains("notfoundexception"), "{head}");
    let (_, _, page) = status("GET", "?PageSize=2", "");
    assert_eq!(page["TemplatesMetadata"][1]["TemplateName"], "b");
    assert_eq!(page["NextToken"], "b");
    let (_, _, page) = status("GET", "?NextToken=b&PageSize=2", "");
    assert_eq!(page["TemplatesMetadata"][0]["TemplateName"], "c");
    assert_eq!(page["NextToken"], Value::Null);
    assert_eq!(status("DELETE", "/a", "").0, 200);
    assert_eq!(ses.templates().keys().collect::<Vec<_>>(), ["b", "c"]);
    let calls = ses.template_calls();
    assert_eq!((calls[0].as_str(), calls.last().unwrap().as_str()), ("POST b", "DELETE a"));
}

#[test]
fn mail_of_a_stored_template_is_rendered_and_vanishes_if_a_variable_is_missing() {
    let ses = Ses::start().unwrap();
    let mut client = Client::to(&ses);
    assert_eq!(statuses(&client.send(&bulk(&["a@x"]))), ["SUCCESS"]);
    assert_eq!(ses.mails()[0].rendered, None);

    client.call(&format!("POST {TEMPLATES}"), &template("activationv1", "Hi {{login}}")).unwrap();
    assert_eq!(statuses(&client.send(&bulk(&["<b>@x"]))), ["SUCCESS"]);
    let rendered = ses.mails()[1].rendered.clone().unwrap();
    assert_eq!(rendered.subject, "Hi <b>@x");
    assert_eq!((rendered.html.as_str(), rendered.text.as_str()), ("<p><b>@x", "Aegis"));

    let mut missing = bulk(&["c@x", "d@x"]);
    missing["DefaultContent"]["Template"]["TemplateData"] = json!("{}");
    assert_eq!(statuses(&client.send(&missing)), ["SUCCESS", "SUCCESS"]);
    assert_eq!((ses.mail_count(), ses.calls()[2].accepted.len()), (2, 0));
}
