//! SES refuses a whole call for one of its mails and does not say for which.

use std::cell::Cell;

use sender::transport::Transport;

use crate::harness::{Rig, classes, many};
use crate::server::{Reply, Request, Server};

fn has(request: &Request, address: &str) -> bool {
    request.recipients().iter().any(|to| to == address)
}

/// Refuses any call with the 18th mail in it.
fn refuse_one(request: &Request) -> Reply {
    if has(request, "u18@example.org") {
        Reply::error("400 Bad Request", "BadRequestException", "Illegal address")
    } else {
        Reply::accept(request)
    }
}

#[tokio::test]
async fn one_bad_mail_among_fifty_is_found_and_the_others_are_sent_once() {
    let server = Server::start(refuse_one);
    let outcomes = Rig::new(&server.url).send(&many(50)).await;
    let mut expected = vec!["sent"; 50];
    expected[17] = "rejected";
    assert_eq!(classes(&outcomes), expected);

    let requests = server.requests();
    assert!(requests.len() <= 13, "{} calls", requests.len());
    let mut accepted: Vec<_> = requests
        .iter()
        .filter(|request| !has(request, "u18@example.org"))
        .flat_map(Request::recipients)
        .collect();
    assert_eq!(accepted.len(), 49);
    accepted.sort();
    accepted.dedup();
    assert_eq!(accepted.len(), 49);
}

#[tokio::test]
async fn trouble_while_looking_leaves_the_rest_unsent() {
    for (code, status, at_the_call, rest) in [
        ("TooManyRequestsException", "429 Too Many Requests", "throttled", "throttled"),
        ("AccountSuspendedException", "400 Bad Request", "misconfigured", "misconfigured"),
        ("InternalFailure", "500 Internal Server Error", "ambiguous", "deferred"),
    ] {
        let server = Server::start(move |request| match request.recipients().len() {
            8 => refuse_one(&Request { body: bad(), ..request.clone() }),
            _ => Reply::error(status, code, "trouble"),
        });
        let outcomes = Rig::new(&server.url).send(&many(8)).await;
        assert_eq!(classes(&outcomes), [[at_the_call; 4], [rest; 4]].concat(), "{code}");
        assert_eq!(server.requests().len(), 2, "{code}");
    }
}

fn bad() -> serde_json::Value {
    let destination = serde_json::json!({ "ToAddresses": ["u18@example.org"] });
    serde_json::json!({ "BulkEmailEntries": [{ "Destination": destination }] })
}

#[tokio::test]
async fn each_half_is_asked_for() {
    let server = Server::start(refuse_one);
    let rig = Rig::new(&server.url);
    let asked = Cell::new(0);
    let go = || {
        asked.set(asked.get() + 1);
        asked.get() <= 3
    };
    let outcomes = rig.ses.send(&many(32), &go).await;
    // All 32, refused; the first half, sent; the second, refused; its first half may not go.
    assert_eq!(classes(&outcomes), [["sent"; 16], ["untried"; 16]].concat());
    assert_eq!((asked.get(), server.requests().len()), (4, 3));
}
