use super::support::{KEY, SetUp, diagnose};

#[tokio::test]
async fn a_set_up_that_nothing_is_wrong_with_is_good() {
    let set_up = SetUp::new().await;
    let diagnosis = diagnose(set_up.doctor());
    diagnosis.all_good();
    for check in ["settings", "connection", "pooler", "clock", "triggers", "SES templates"] {
        diagnosis.says("ok", check, &[]);
    }
    let json = diagnose(set_up.doctor().arg("--json"));
    assert_eq!(json.code, 0);
    assert_eq!(json.lines.len(), diagnosis.lines.len() - 1);
    for (line, object) in diagnosis.lines.iter().zip(&json.lines) {
        let object: serde_json::Value = serde_json::from_str(object).unwrap();
        let (check, detail) =
            (object["check"].as_str().unwrap(), object["detail"].as_str().unwrap());
        assert_eq!(object["verdict"], "ok");
        let said = format!("ok       {check} – {detail}");
        // Other tests come and go.
        assert!(*line == said || check == "connections", "{line}\n{said}");
    }
    assert!(set_up.ses.calls().is_empty(), "no mail was sent");
}

#[tokio::test]
async fn every_bad_setting_is_named_and_the_rest_is_looked_at_all_the_same() {
    let set_up = SetUp::new().await;
    let doctor =
        set_up.doctor().env("MAILROOM_SECRET_KEY", "hush").env("MAILROOM_BATCH_LIMIT", "0");
    let doctor = doctor.env("MAILROOM_CHANNEL_NAME", "mail").env("MAILROOM_BATCH_LIMTI", "10");
    let doctor = doctor.env("MAILROOM_SES_RATE", "fast");
    let diagnosis = diagnose(doctor);
    diagnosis
        .is_wrong(
            "settings",
            "MAILROOM_SECRET_KEY: a secret key is exactly 64",
            "mailroom key generate",
        )
        .is_wrong("settings", "MAILROOM_BATCH_LIMIT: \"0\" is out of range", "from 1 to 1000")
        .is_wrong("settings", "MAILROOM_SES_RATE: \"fast\" is not a number", "give a number")
        .says("warning", "settings", &["MAILROOM_BATCH_LIMTI: there is no such setting"])
        .is_wrong("channel", "MAILROOM_CHANNEL_NAME is mail", "MAILROOM_CHANNEL_NAME=token_insert")
        .says("ok", "triggers", &[])
        .says("skipped", "transport", &["mend them first"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_by_what_may_help() {
    let set_up = SetUp::new().await;
    let at = |url: &str| diagnose(set_up.doctor().env("MAILROOM_DATABASE_URL", url));
    let url = set_up.db.url().to_owned();
    at(&format!("{url}x")).is_wrong("connection", "does not exist", "createdb").alone();
    let nobody = url.replacen("postgres@", "nobody-knows:hush@", 1);
    at(&nobody).is_wrong("connection", "nobody-knows", "may it log in").alone();
    let encrypted = format!("{url}?sslmode=require");
    at(&encrypted).is_wrong("connection", "TLS", "sslmode in MAILROOM_DATABASE_URL").alone();
    let port = testkit::free_port().unwrap();
    let gone = at(&format!("postgres://me:hush@127.0.0.1:{port}/app"));
    assert_eq!(gone.code, 75, "{gone:?}");
    gone.says("wrong", "connection", &["refused", "is PostgreSQL running"]).alone();
    for check in ["pooler", "schema", "triggers", "channel", "collector's rights", "pipe"] {
        gone.says("skipped", check, &["there is no connection"]);
    }
    // What does not need it is looked at.
    gone.says("ok", "SES account", &[]);
    let missing = diagnose(set_up.doctor().env("MAILROOM_DATABASE_URL", ""));
    missing.is_wrong("settings", "MAILROOM_DATABASE_URL: is not set", "postgres://").alone();
}

#[tokio::test]
async fn a_sender_without_a_database_is_worth_a_word() {
    let set_up = SetUp::new().await;
    let alone = set_up.doctor().args(["--half", "sender"]).env("MAILROOM_DATABASE_URL", "");
    diagnose(alone)
        .warns("settings", "sends and cannot acknowledge", "The sender without a database")
        .alone();
}

#[tokio::test]
async fn a_key_file_that_others_can_read_or_that_is_not_there_is_named() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let set_up = SetUp::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let with_file =
        || set_up.doctor().env("MAILROOM_SECRET_KEY", "").env("MAILROOM_SECRET_KEY_FILE", &file);
    diagnose(with_file()).is_wrong("settings", "No such file", "check the path");
    std::fs::write(&file, KEY).unwrap();
    let mode = |folder_mode, file_mode| {
        set_permissions(&file, Permissions::from_mode(file_mode)).unwrap();
        set_permissions(folder.path(), Permissions::from_mode(folder_mode)).unwrap();
    };
    for (folder_mode, file_mode) in [(0o700, 0o444), (0o755, 0o600), (0o750, 0o604)] {
        mode(folder_mode, file_mode);
        diagnose(with_file()).all_good();
    }
    for (folder_mode, file_mode) in [(0o755, 0o644), (0o750, 0o640)] {
        mode(folder_mode, file_mode);
        diagnose(with_file()).warns("settings", "can be read by others", "chmod 600 /").alone();
    }
}
