//! What comes back: each answer's class, and what is kept of it.

use sender::transport::{SendRate, Transport};
use serde_json::json;

use crate::harness::{Rig, activations, classes, reason};
use crate::server::{Reply, Server};

#[tokio::test]
async fn each_entry_has_its_own_outcome_in_its_place() {
    let server = Server::start(|_| {
        Reply::json(
            "200 OK",
            &json!({ "BulkEmailEntryResults": [
                { "Status": "SUCCESS", "MessageId": "0100-1" },
                { "Status": "TRANSIENT_FAILURE" },
                { "Status": "MESSAGE_REJECTED", "Error": "c@example.org is suppressed" },
                { "Status": "ACCOUNT_THROTTLED" },
                { "Status": "ACCOUNT_DAILY_QUOTA_EXCEEDED" },
                { "Status": "ACCOUNT_SENDING_PAUSED" },
                { "Status": "TEMPLATE_NOT_FOUND" },
                { "Status": "SOMETHING_NEW" },
            ] }),
        )
    });
    let rig = Rig::new(&server.url);
    let outcomes = rig.send(&activations(&["a@example.org"; 8])).await;
    assert_eq!(
        classes(&outcomes),
        ["sent", "deferred", "rejected", "throttled", "late", "hold", "misconfigured", "ambiguous"]
    );
    assert_eq!(reason(&outcomes[0]), "0100-1");
    assert_eq!(reason(&outcomes[2]), "MESSAGE_REJECTED: <address> is suppressed");
    assert!(rig.kept().is_empty());
}

#[tokio::test]
async fn an_error_is_never_retried_by_the_sdk_and_its_response_is_kept() {
    for (status, code, class) in [
        ("429 Too Many Requests", "TooManyRequestsException", "throttled"),
        ("400 Bad Request", "ThrottlingException", "throttled"),
        ("400 Bad Request", "LimitExceededException", "late"),
        ("400 Bad Request", "SendingPausedException", "hold"),
        ("400 Bad Request", "AccountSuspendedException", "misconfigured"),
        ("400 Bad Request", "MessageRejected", "rejected"),
        ("404 Not Found", "NotFoundException", "misconfigured"),
        ("403 Forbidden", "AccessDeniedException", "misconfigured"),
        ("500 Internal Server Error", "InternalFailure", "ambiguous"),
        ("503 Service Unavailable", "ServiceUnavailable", "ambiguous"),
    ] {
        let server = Server::start(move |_| Reply::error(status, code, "not for a@example.org"));
        let rig = Rig::new(&server.url);
        let outcomes = rig.send(&activations(&["a@example.org"])).await;
        assert_eq!(classes(&outcomes), [class], "{code}");
        let number = &status[..3];
        // What is wrong with our configuration, SES does not always say.
        let blamed = match class {
            "hold" | "misconfigured" => " (template activationv1, configuration set events)",
            _ => "",
        };
        let expected = format!("{code} ({number}): not for <address>{blamed}");
        assert_eq!(reason(&outcomes[0]), expected);
        assert_eq!(server.requests().len(), 1, "{code}");
        let kept = rig.kept();
        assert_eq!(kept.len(), 1, "{code}");
        assert!(kept[0].starts_with(&format!("HTTP/1.1 {status}\r\n")), "{}", kept[0]);
        assert!(kept[0].contains(&format!("x-amzn-errortype: {code}\r\n")), "{}", kept[0]);
        assert!(
            kept[0].ends_with("\r\n\r\n{\"message\":\"not for a@example.org\"}"),
            "{}",
            kept[0]
        );
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_understood_is_ambiguous() {
    for (status, body, class) in [
        ("200 OK", "<html>hello</html>", "ambiguous"),
        ("200 OK", r#"{"BulkEmailEntryResults":"#, "ambiguous"),
        ("200 OK", "{}", "ambiguous"),
        ("200 OK", r#"{"BulkEmailEntryResults":[]}"#, "ambiguous"),
        ("200 OK", r#"{"BulkEmailEntryResults":[{"MessageId":"x"}]}"#, "ambiguous"),
        ("200 OK", "", "ambiguous"),
        ("400 Bad Request", "<html>bad</html>", "ambiguous"),
        ("502 Bad Gateway", "<html>bad</html>", "ambiguous"),
        ("403 Forbidden", "<html>the proxy says no</html>", "hold"),
        ("302 Found", "", "hold"),
    ] {
        let server = Server::start(move |_| Reply::text(status, "server: test", body));
        let rig = Rig::new(&server.url);
        let outcomes = rig.send(&activations(&["a@example.org"])).await;
        assert_eq!(classes(&outcomes), [class], "{status} {body}");
        assert_eq!(server.requests().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn fewer_results_than_mails_say_nothing_about_any() {
    let server = Server::start(|_| {
        Reply::json("200 OK", &json!({ "BulkEmailEntryResults": [{ "Status": "SUCCESS" }] }))
    });
    let outcomes = Rig::new(&server.url).send(&activations(&["a@example.org"; 2])).await;
    assert_eq!(classes(&outcomes), ["ambiguous"; 2]);
    assert_eq!(reason(&outcomes[0]), "1 results for 2 mails");
}

#[tokio::test]
async fn the_account_says_how_fast_it_may_send() {
    let server =
        Server::start(|_| Reply::json("200 OK", &json!({ "SendQuota": { "MaxSendRate": 14.0 } })));
    assert_eq!(Rig::new(&server.url).ses.send_rate().await, SendRate::Known(14.0));
    assert_eq!(server.requests()[0].line, "GET /v2/email/account HTTP/1.1");
    let server = Server::start(|_| Reply::error("403 Forbidden", "AccessDeniedException", "no"));
    let rig = Rig::new(&server.url);
    assert_eq!(rig.ses.send_rate().await, SendRate::Unknown);
    assert!(rig.kept().is_empty());
}
