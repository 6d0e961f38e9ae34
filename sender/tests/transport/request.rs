//! What goes out.

use mailroom::ActionNumber;
use sender::template::Templates;
use sender::transport::{Call, Mail, Transport};
use serde_json::{Value, json};

use crate::harness::{Rig, activations, classes, mail, reason};
use crate::server::{Reply, Server};

#[tokio::test]
async fn one_call_carries_all_the_mails_of_an_action() {
    let server = Server::start(Reply::accept);
    let rig = Rig::new(&server.url);
    let mut call = activations(&["ann@example.org", "bob@bücher.example"]);
    call.action = ActionNumber::PASSWORD_RECOVERY;
    call.mails[1].delivery = None;
    let outcomes = rig.send(&call).await;
    assert_eq!(classes(&outcomes), ["sent", "sent"]);
    assert_eq!(reason(&outcomes[1]), "id-bob@xn--bcher-kva.example");

    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "POST /v2/email/outbound-bulk-emails HTTP/1.1");
    let data = format!(r#"{{"login":"ann","secret":"{}","code":"06435"}}"#, "T".repeat(86));
    let content = json!({ "ReplacementTemplate": { "ReplacementTemplateData": data } });
    assert_eq!(
        requests[0].body,
        json!({
            "FromEmailAddress": "Mailroom <noreply@example.com>",
            "ConfigurationSetName": "events",
            "DefaultContent": {
                "Template": { "TemplateName": "passwordrecoveryv1", "TemplateData": "{}" },
            },
            "BulkEmailEntries": [
                {
                    "Destination": { "ToAddresses": ["ann@example.org"] },
                    "ReplacementTags": [
                        { "Name": "action", "Value": "2" },
                        { "Name": "delivery", "Value": "1" },
                    ],
                    "ReplacementEmailContent": content,
                },
                {
                    "Destination": { "ToAddresses": ["bob@xn--bcher-kva.example"] },
                    "ReplacementTags": [{ "Name": "action", "Value": "2" }],
                    "ReplacementEmailContent": content,
                },
            ],
        })
    );
}

#[tokio::test]
async fn hostile_logins_arrive_as_text() {
    let server = Server::start(Reply::accept);
    let rig = Rig::new(&server.url);
    let logins = [
        r#"x","secret":"stolen"#,
        "m,x,11111,1,victim@corp.test,EvilLogin",
        r#"<a href="//e.example">"#,
        r"\u0022}{",
        "line\u{2028}separator",
    ];
    let mails = logins.map(|login| Mail { login: login.into(), ..mail(7, "ann@example.org") });
    rig.send(&Call { action: ActionNumber::ACTIVATION, label: None, mails: mails.into() }).await;
    let requests = server.requests();
    let entries = requests[0].body["BulkEmailEntries"].as_array().unwrap();
    assert_eq!(entries.len(), logins.len());
    for (login, entry) in logins.iter().zip(entries) {
        let data = &entry["ReplacementEmailContent"]["ReplacementTemplate"];
        let data: Value =
            serde_json::from_str(data["ReplacementTemplateData"].as_str().unwrap()).unwrap();
        let shown = html_escape::decode_html_entities(data["login"].as_str().unwrap());
        assert_eq!(shown, *login);
        assert_eq!(data["secret"].as_str().unwrap(), "T".repeat(86), "{login}");
        assert!(!data["login"].as_str().unwrap().contains(['<', '"']), "{login}");
    }
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_is_rejected_before_the_call_and_alone() {
    let server = Server::start(Reply::accept);
    let rig = Rig::new(&server.url);
    let call = activations(&[
        "zoë@example.org",
        "ann@example.org",
        "ann@example.org, eve@example.org",
        "bob@example.org",
    ]);
    let outcomes = rig.send(&call).await;
    assert_eq!(classes(&outcomes), ["rejected", "sent", "rejected", "sent"]);
    assert_eq!(reason(&outcomes[0]), "address: local parts must be ASCII");
    assert_eq!(reason(&outcomes[3]), "id-bob@example.org");
    assert_eq!(server.requests()[0].recipients(), ["ann@example.org", "bob@example.org"]);

    let outcomes = rig.send(&activations(&["nobody"])).await;
    assert_eq!(classes(&outcomes), ["rejected"]);
    assert_eq!(server.requests().len(), 1, "nothing to send, no call");
}

#[tokio::test]
async fn an_action_without_a_template_is_our_configuration() {
    let server = Server::start(Reply::accept);
    let rig = Rig::new(&server.url);
    let action = ActionNumber::new(3).unwrap();
    let outcomes =
        rig.send(&Call { action, label: None, mails: vec![mail(1, "ann@example.org")] }).await;
    assert_eq!(classes(&outcomes), ["misconfigured"]);
    assert_eq!(reason(&outcomes[0]), "action 3 has no template: set MAILROOM_SES_TEMPLATES");
    assert!(server.requests().is_empty());
    assert!(Templates::parse("3=x").unwrap().name(action, None).is_some());
}

#[tokio::test]
async fn nothing_goes_out_when_it_may_not() {
    let server = Server::start(Reply::accept);
    let rig = Rig::new(&server.url);
    let outcomes = rig.ses.send(&activations(&["a@example.org"; 3]), &|| false).await;
    assert_eq!(classes(&outcomes), ["untried"; 3]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_text_longer_than_ses_takes_is_rejected() {
    let server = Server::start(Reply::accept);
    let rig = Rig::new(&server.url);
    let mut call = activations(&["a@example.org"]);
    call.mails[0].login = "a".repeat(262_144);
    assert_eq!(classes(&rig.send(&call).await), ["rejected"]);
    assert!(server.requests().is_empty());
}
