use serde_json::json;
use testkit::ses::Content;
use testkit::{Act, Process, Reply, SmtpOptions, SmtpServer, Stage};

use super::support::{Diagnosis, SetUp, diagnose};
use crate::support::{finish, put, text};

#[tokio::test]
async fn what_is_wrong_with_the_ses_account_is_named() {
    let set_up = SetUp::new().await;
    let after = |change: &dyn Fn(&mut serde_json::Value)| {
        set_up.ses.set_quota(14.0, 50_000);
        set_up.ses.change_account(change);
        diagnose(set_up.doctor())
    };
    after(&|account| account["ProductionAccessEnabled"] = json!(false))
        .warns("SES account", "it is in the sandbox", "production access")
        .alone();
    after(&|account| account["SendingEnabled"] = json!(false))
        .is_wrong("SES account", "sending is paused", "put-account-sending-attributes")
        .alone();
    after(&|account| account["EnforcementStatus"] = json!("SHUTDOWN"))
        .is_wrong("SES account", "shut its sending down", "Support")
        .alone();
    after(&|account| account["SendQuota"]["SentLast24Hours"] = json!(46_000))
        .warns("SES account", "46000 of 50000", "higher quota")
        .alone();
    let used_up = after(&|account| account["SendQuota"]["SentLast24Hours"] = json!(50_000));
    assert_eq!(used_up.code, 75);
    used_up.says("wrong", "SES account", &["50000 of 50000", "wait"]).alone();
}

/// Of a file of its own: PostgreSQL wants it committed before it is used.
const NEW_KIND: &str = "ALTER TYPE token_action ADD VALUE 'invitation'";

#[tokio::test]
async fn what_mail_names_must_be_there() {
    let set_up = SetUp::new().await;
    let ses = &set_up.ses;
    ses.set_identities(&[("example.com", true)]);
    diagnose(set_up.doctor()).all_good();
    ses.set_identities(&[("mail.example.com", false)]);
    diagnose(set_up.doctor())
        .is_wrong("SES identity", "mail.example.com is not verified yet", "DNS records")
        .alone();
    ses.set_identities(&[("com", true), ("other.example", true)]);
    diagnose(set_up.doctor())
        .is_wrong("SES identity", "nor mail.example.com is an identity", "create-email-identity")
        .alone();
    ses.set_identities(&[("noreply@mail.example.com", true)]);
    ses.set_configuration_sets(&[("paused", false)]);
    diagnose(set_up.doctor())
        .is_wrong("SES configuration set", "there is no default", "MAILROOM_SES_CONFIG_SET=none")
        .alone();
    diagnose(set_up.doctor().env("MAILROOM_SES_CONFIG_SET", "paused"))
        .is_wrong("SES configuration set", "sending is paused for paused", "--sending-enabled")
        .alone();
    let without = || set_up.doctor().env("MAILROOM_SES_CONFIG_SET", "none");
    diagnose(without()).all_good();
    diagnose(without().env("MAILROOM_SES_TEMPLATES", "activation=welcome"))
        .is_wrong("SES templates", "there is no welcome, for activation", "mailroom templates push")
        .alone();
    for unknown in ["activaton", "9"] {
        let names = format!("{unknown}=activationv1");
        diagnose(without().env("MAILROOM_SES_TEMPLATES", names))
            .warns("SES templates", &format!("names {unknown}, which is no action"), "activation, ")
            .alone();
    }
    set_up.db.execute(NEW_KIND).await.unwrap();
    set_up
        .db
        .execute(
            "INSERT INTO actions (action, number, path, statuses)
                VALUES ('invitation', 7, '/invite', '{active}')",
        )
        .await
        .unwrap();
    diagnose(without())
        .is_wrong("SES templates", "there is no invitationv1, for invitation", "templates push")
        .alone();
    // What a template misses SES does not say: it answers "success" and sends nothing.
    let stored = |text: &str| {
        let (subject, html) = ("Welcome".to_owned(), "<p>{{secret}}</p>".to_owned());
        ses.store_template("pushed", Content { subject, html, text: text.to_owned() });
        without().env("MAILROOM_SES_TEMPLATES", "7=activationv1,activation=pushed")
    };
    diagnose(stored("{{login}}, {{secret}}{{#if expires_minutes}} soon{{/if}}")).all_good();
    for (text, misses) in [
        ("{{base_url}}/activate/{{secret}}", "base_url"),
        ("{{login_html}}, {{secret}}", "login_html"),
        ("{{secret}} {{code}}", "code"),
    ] {
        diagnose(stored(text))
            .is_wrong("SES templates", "pushed, for activation, gets only", "MAILROOM_TEMPLATES=")
            .is_wrong("SES templates", misses, "the folder that it was pushed from")
            .alone();
    }
    // By the number, as the sender takes it.
    diagnose(without().env("MAILROOM_SES_TEMPLATES", "7=activationv1")).all_good();
    diagnose(without().env("AWS_REGION", "").env("MAILROOM_SES_TEMPLATES", "7=activationv1"))
        .warns("SES region", "none is named, so it is us-east-1", "AWS_REGION=")
        .alone();
}

#[tokio::test]
async fn templates_in_ses_are_those_of_the_folder() {
    let set_up = SetUp::new().await;
    let folder = set_up.dir.path().join("templates");
    for action in ["activation", "password_recovery"] {
        for locale in ["en", "de"] {
            for (file, words) in crate::support::WELCOME {
                put(&folder, &file.replace("welcome/en", &format!("{action}/{locale}")), words);
            }
        }
    }
    let with = |process: Process| process.env("MAILROOM_TEMPLATES", &folder);
    let diagnosis = diagnose(with(set_up.doctor()));
    diagnosis
        .is_wrong("SES templates", "there is no activationv1_de", "mailroom templates push")
        .says(
            "warning",
            "SES templates",
            &["activationv1, for activation, is not what the folder has"],
        );
    let environment = crate::support::environment(&set_up.ses);
    let push = crate::support::command(&["push", "--force", "--pace", "0", text(&folder)]);
    let ran = finish(push.envs(environment));
    assert_eq!(ran.code, 0, "{}", ran.err);
    diagnose(with(set_up.doctor())).all_good();
    put(&folder, "activation/en/body.txt", "{{nam}}");
    let faulty = diagnose(with(set_up.doctor()));
    faulty.is_wrong("templates", "nam is not a variable", "templates lint");
    let about = |line: &&String| line.starts_with("wrong    templates");
    assert_eq!(faulty.lines.iter().filter(about).count(), 1, "once: {faulty:?}");
}

#[tokio::test]
async fn what_these_credentials_may_not_ask_is_no_fault() {
    let set_up = SetUp::new().await;
    for operation in ["GetAccount", "GetEmailIdentity", "GetConfigurationSet", "GetEmailTemplate"] {
        set_up.ses.deny(operation);
    }
    let diagnosis = diagnose(set_up.doctor());
    assert_eq!(diagnosis.code, 0, "{diagnosis:?}");
    for check in ["SES account", "SES identity", "SES configuration set", "SES templates"] {
        diagnosis.says("skipped", check, &["may not ask", "allow ses:Get"]);
    }
    let nobody = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let nobody = nobody.iter().fold(set_up.doctor(), |doctor, name| doctor.env(name, ""));
    diagnose(nobody.env("HOME", set_up.dir.path()))
        .is_wrong("SES account", "no AWS credentials", "AWS_ACCESS_KEY_ID")
        .alone();

    let set_up = SetUp::new().await;
    set_up.ses.fail_account(503, "ServiceUnavailable", "later");
    let away = diagnose(set_up.doctor());
    assert_eq!(away.code, 75, "{away:?}");
    away.says("wrong", "SES account", &["ServiceUnavailable (503)", "can this machine reach SES?"]);
}

fn relay(set_up: &SetUp, server: &SmtpServer) -> Process {
    let port = server.addr().port().to_string();
    let doctor = set_up.doctor_of("smtp").env("MAILROOM_SMTP_HOST", "localhost");
    doctor.env("MAILROOM_SMTP_PORT", port).env("MAILROOM_SMTP_TLS", "none")
}

fn with_login(doctor: Process, password: &str) -> Process {
    doctor.env("MAILROOM_SMTP_USERNAME", "post").env("MAILROOM_SMTP_PASSWORD", password)
}

#[tokio::test]
async fn a_relay_is_logged_in_to_and_given_no_mail() {
    let set_up = SetUp::new().await;
    let server = SmtpServer::start_with(SmtpOptions {
        login: Some(("post".to_owned(), "hush-hush".to_owned())),
        mechanisms: "PLAIN LOGIN".to_owned(),
        ..SmtpOptions::default()
    });
    let server = server.unwrap();
    let good = diagnose(with_login(relay(&set_up, &server), "hush-hush"));
    good.all_good();
    diagnose(with_login(relay(&set_up, &server), "hush-hush").env("MAILROOM_FROM", ""))
        .warns("SMTP", "mail comes from noreply@localhost", "set MAILROOM_FROM")
        .alone();
    good.says("ok", "SMTP", &["logged in"]).says("ok", "templates", &[]);
    assert!(server.said().iter().any(|said| said == "QUIT"), "{:?}", server.said());
    assert!(server.messages().is_empty());

    diagnose(with_login(relay(&set_up, &server), "hush"))
        .is_wrong("SMTP", "AUTH: 535", "check MAILROOM_SMTP_USERNAME")
        .alone();
    let encrypted = relay(&set_up, &server).env("MAILROOM_SMTP_TLS", "starttls");
    let held = diagnose(encrypted);
    held.is_wrong("SMTP", "STARTTLS: the server does not offer it", "MAILROOM_SMTP_TLS").alone();
    let port = testkit::free_port().unwrap().to_string();
    let gone = diagnose(relay(&set_up, &server).env("MAILROOM_SMTP_PORT", port));
    assert_eq!(gone.code, 75, "{gone:?}");
    gone.says("wrong", "SMTP", &["refused", "MAILROOM_SMTP_HOST"]).alone();
    let certificates = relay(&set_up, &server).env("MAILROOM_SMTP_TLS", "starttls");
    diagnose(certificates.env("MAILROOM_SMTP_CA_FILE", "/no/such.pem"))
        .is_wrong("SMTP", "MAILROOM_SMTP_CA_FILE: /no/such.pem", "which certificates to trust")
        .alone();
}

/// Sends a test mail.
fn to(address: &str, doctor: Process) -> Diagnosis {
    diagnose(doctor.args(["--send-to", address]))
}

#[tokio::test]
async fn a_test_mail_goes_the_way_of_all_mail() {
    let set_up = SetUp::new().await;
    to("ann@example.org", set_up.doctor()).says("ok", "test mail", &["SES calls it 01000000-"]);
    let mails = set_up.ses.mails();
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!((mail.to.as_str(), mail.template.as_str()), ("ann@example.org", "activationv1"));
    assert!(mail.text("login").contains("this is a test"), "{mail:?}");
    set_up.ses.reply(Reply::error(400, "MessageRejected", "Email address is not verified."));
    to("ann@example.org", set_up.doctor())
        .says("wrong", "test mail", &["MessageRejected (400)", "not verified"])
        .alone();

    let server = SmtpServer::start().unwrap();
    to("bob@example.org", relay(&set_up, &server)).says("ok", "test mail", &["the relay says"]);
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].to, ["bob@example.org"]);
    assert!(messages[0].message.contains("this is a test"), "{}", messages[0].message);
    server.script(|stage, _| match stage {
        Stage::Rcpt => Act::say("550 no such user"),
        _ => Act::Go,
    });
    to("bob@example.org", relay(&set_up, &server))
        .is_wrong("test mail", "RCPT: 550 no such user", "docs/OPERATIONS.md")
        .alone();
}

#[tokio::test]
async fn where_mail_goes_nowhere_it_is_said() {
    let set_up = SetUp::new().await;
    let files = set_up.dir.path().join("mail");
    let file = || set_up.doctor_of("file").env("MAILROOM_FILE_PATH", &files);
    let diagnosis = to("ann@example.org", file());
    diagnosis.warns("transport", "into files only", "MAILROOM_TRANSPORT=ses or smtp").alone();
    diagnosis.says("ok", "files", &[]).says("ok", "test mail", &[".eml"]);
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 1);
    let place = set_up.dir.path().join("mail").join("file");
    std::fs::write(&place, "").unwrap();
    let nowhere = diagnose(file().env("MAILROOM_FILE_PATH", &place));
    nowhere.is_wrong("files", "cannot be written to", "set MAILROOM_FILE_PATH");
    let noop = to("ann@example.org", set_up.doctor_of("noop").env("MAILROOM_BASE_URL", ""));
    noop.is_wrong("transport", "noop", "MAILROOM_TRANSPORT=").is_wrong(
        "test mail",
        "not sent: noop",
        "MAILROOM_TRANSPORT=",
    );
    let dry = to("ann@example.org", set_up.doctor().env("MAILROOM_DEBUG", "true"));
    dry.is_wrong("transport", "MAILROOM_DEBUG is on", "false").is_wrong(
        "test mail",
        "not sent: MAILROOM_DEBUG",
        "false",
    );
    let other = to("ann@example.org", set_up.doctor().args(["--half", "collector"]));
    other.is_wrong("test mail", "not sent: it is the sender that sends", "--half sender").alone();
    assert!(set_up.ses.calls().is_empty());
}
