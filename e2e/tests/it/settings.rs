//! Settings: all that is wrong is said in one go, and nothing secret ever.

use std::io::Write as _;

use testkit::{Database, Process, Role, Running, Signal, migrate, migrations_dir};

use crate::SOON;
use crate::world::{KEY, World};

/// Runs a program to its end: its exit code, and what it said on stdout and stderr.
fn run(process: Process) -> (i32, String, String) {
    let running = process.spawn().unwrap();
    let code = running.wait(SOON).unwrap();
    (code, running.lines().join("\n"), running.stderr())
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// It ended with 78, saying `words`.
fn refused(process: &Running, words: &[&str]) {
    assert_eq!(process.wait(SOON).unwrap(), 78, "{}", process.stderr());
    let said = process.stderr();
    assert_eq!(said.lines().filter(|line| line.contains("event=gave_up")).count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn the_collector_names_every_bad_setting_in_one_go() {
    let bad = [
        ("MAILROOM_DATABASE_URL", "dbname=x sslmode=perhaps password=hush"),
        ("MAILROOM_SECRET_KEY", "hushhush"),
        ("MAILROOM_CHANNEL_NAME", &"x".repeat(64)),
        ("MAILROOM_HEALTHCHECK_INTERVAL", "soon"),
        ("MAILROOM_BATCH_TIMEOUT", "5s"),
        ("MAILROOM_BATCH_LIMIT", "0"),
        ("MAILROOM_LOG", "loud"),
        ("MAILROOM_LOG_FORMAT", "xml"),
    ];
    for check in [false, true] {
        let collector = Process::new("collector").envs(bad);
        let collector = if check { collector.arg("--check") } else { collector };
        let (code, stdout, stderr) = run(collector);
        assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
        assert_eq!(stderr.lines().count(), bad.len(), "{stderr}");
        for (name, _) in bad {
            assert!(stderr.contains(&format!("collector: {name}: ")), "{name} in: {stderr}");
        }
        assert!(!stderr.contains("hush"), "{stderr}");
    }
    let (code, _, stderr) = run(Process::new("collector"));
    assert_eq!(code, 78);
    for name in ["MAILROOM_DATABASE_URL", "MAILROOM_SECRET_KEY"] {
        assert!(stderr.contains(&format!("collector: {name}: is not set")), "{stderr}");
    }
}

#[test]
fn the_sender_names_every_bad_setting_in_one_go() {
    let bad = [
        ("MAILROOM_DATABASE_URL", "dbname=x sslmode=perhaps password=hush"),
        ("MAILROOM_DEBUG", "perhaps"),
        ("MAILROOM_SES_SOURCE", "nobody"),
        ("MAILROOM_SES_TEMPLATES", "welcome"),
        ("MAILROOM_SES_RATE", "fast"),
        ("MAILROOM_SENDER_CONCURRENCY", "17"),
        ("MAILROOM_MAX_ATTEMPTS", "-1"),
        ("MAILROOM_LOG", "loud"),
        ("MAILROOM_LOG_FORMAT", "xml"),
    ];
    for check in [false, true] {
        let sender = Process::new("sender").envs(bad);
        let sender = if check { sender.arg("--check") } else { sender };
        let (code, stdout, stderr) = run(sender);
        assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
        for (name, _) in bad {
            assert!(stderr.contains(&format!("sender: {name}: ")), "{name} in: {stderr}");
        }
        assert_eq!(stderr.lines().count(), bad.len(), "{stderr}");
        assert!(!stderr.contains("hush"), "{stderr}");
    }
}

#[test]
fn a_relay_is_described_wholly_or_not_at_all() {
    let bad = [
        ("MAILROOM_TRANSPORT", "smtp"),
        ("MAILROOM_FROM", "Nobody <nobody>"),
        ("MAILROOM_REPLY_TO", "a@b.example, c@d.example"),
        ("MAILROOM_ENVELOPE_SENDER", "<bounces@mail.example>"),
        ("MAILROOM_LOCALES", "en,../de"),
        ("MAILROOM_BASE_URL", "example.com"),
        ("MAILROOM_SMTP_PORT", "0"),
        ("MAILROOM_SMTP_TLS", "ssl"),
        ("MAILROOM_SMTP_AUTH", "cram-md5"),
        ("MAILROOM_SMTP_TIMEOUT", "soon"),
        ("MAILROOM_SMTP_USERNAME", "hush-user"),
    ];
    let (code, stdout, stderr) = run(Process::new("sender").envs(bad));
    assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
    for (name, _) in &bad[1..10] {
        assert!(stderr.contains(&format!("sender: {name}: ")), "{name} in: {stderr}");
    }
    for missing in ["MAILROOM_SMTP_HOST: is required", "MAILROOM_SMTP_PASSWORD: is required"] {
        assert!(stderr.contains(missing), "{missing} in: {stderr}");
    }
    assert_eq!(stderr.lines().count(), 11, "{stderr}");

    let relay = [
        ("MAILROOM_TRANSPORT", "smtp"),
        ("MAILROOM_SMTP_HOST", "relay.example"),
        ("MAILROOM_SMTP_USERNAME", "mailer"),
        ("MAILROOM_SMTP_PASSWORD", "hush-hush"),
        ("MAILROOM_BASE_URL", "https://mail.example"),
    ];
    let (code, stdout, stderr) = run(Process::new("sender").arg("--check").envs(relay));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in
        ["SMTP_HOST=relay.example", "SMTP_PORT=587", "SMTP_TLS=starttls", "SMTP_PASSWORD=set"]
    {
        assert!(stdout.contains(&format!("MAILROOM_{line}\n")), "{line} in: {stdout}");
    }
    assert!(!stdout.contains("hush"), "{stdout}");
    // A password in the clear stays on this machine.
    let clear = Process::new("sender").arg("--check").envs(relay).env("MAILROOM_SMTP_TLS", "none");
    let (code, _, stderr) = run(clear);
    assert_eq!(code, 78);
    assert!(stderr.contains("MAILROOM_SMTP_TLS: none would send the password"), "{stderr}");
    let here = Process::new("sender").arg("--check").envs(relay).env("MAILROOM_SMTP_TLS", "none");
    assert_eq!(run(here.env("MAILROOM_SMTP_HOST", "127.0.0.1")).0, 0);
}

#[test]
fn check_finds_what_a_sender_would_not_start_with() {
    let of = |transport: &str| {
        let sender = Process::new("sender").env("MAILROOM_TRANSPORT", transport);
        sender.env("MAILROOM_SMTP_HOST", "relay.example")
    };
    let with_links = |transport| of(transport).env("MAILROOM_BASE_URL", "https://mail.example");
    for (sender, named) in [
        (of("file"), "MAILROOM_BASE_URL: is not set"),
        (of("smtp"), "MAILROOM_BASE_URL: is not set"),
        (of("ses").env("MAILROOM_TEMPLATES", "/nowhere"), "MAILROOM_TEMPLATES: /nowhere"),
        (with_links("smtp").env("MAILROOM_SMTP_CA_FILE", "/nowhere"), "MAILROOM_SMTP_CA_FILE: "),
        (
            with_links("smtp").env("MAILROOM_SMTP_HOST", "relay.example:587"),
            "MAILROOM_SMTP_HOST: \"relay.example:587\" is not the name or the address of a host; the \
             port is MAILROOM_SMTP_PORT",
        ),
    ] {
        let (code, stdout, stderr) = run(sender.arg("--check"));
        assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
        assert!(stderr.starts_with(&format!("sender: {named}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let no_file = with_links("smtp").env("MAILROOM_SMTP_USERNAME", "mailer");
    let no_file = no_file.env("MAILROOM_SMTP_PASSWORD_FILE", "/nowhere").arg("--check");
    let (code, _, stderr) = run(no_file);
    assert_eq!((code, stderr.lines().count()), (78, 1), "{stderr}");
    assert!(stderr.starts_with("sender: MAILROOM_SMTP_PASSWORD_FILE: /nowhere"), "{stderr}");
    for sender in [with_links("file"), with_links("smtp").env("MAILROOM_SMTP_HOST", "::1")] {
        assert_eq!(run(sender.arg("--check")).0, 0);
    }
    assert_eq!(run(of("noop").arg("--check")).0, 0);
}

#[test]
fn templates_that_are_wrong_are_named_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("activation/en");
    std::fs::create_dir_all(&template).unwrap();
    std::fs::write(template.join("subject.txt"), "{{#if login}}").unwrap();
    for transport in ["ses", "smtp", "file"] {
        let sender = Process::new("sender")
            .env("MAILROOM_TRANSPORT", transport)
            .env("MAILROOM_SMTP_HOST", "localhost")
            .env("MAILROOM_TEMPLATES", folder.path());
        let (code, _, stderr) = run(sender);
        assert_eq!(code, 78, "{stderr}");
        assert!(stderr.contains("MAILROOM_TEMPLATES: "), "{stderr}");
        assert!(stderr.contains("activation/en/body.html"), "{stderr}");
    }
}

#[test]
fn what_only_pushed_templates_know_asks_for_their_folder() {
    let (code, _, stderr) = run(Process::new("sender")
        .env("MAILROOM_BASE_URL", "https://example.com")
        .env("MAILROOM_LOCALES", "de,en"));
    assert_eq!(code, 78);
    for name in ["MAILROOM_BASE_URL", "MAILROOM_LOCALES"] {
        let expected = format!("sender: {name}: templates stored in SES know it only with");
        assert!(stderr.contains(&expected), "{stderr}");
    }
}

#[test]
fn a_health_check_more_frequent_than_a_batch_is_refused() {
    let (code, _, stderr) = run(Process::new("collector")
        .env("MAILROOM_DATABASE_URL", "dbname=x")
        .env("MAILROOM_SECRET_KEY", KEY)
        .env("MAILROOM_HEALTHCHECK_INTERVAL", "4999"));
    assert_eq!(code, 78);
    assert!(stderr.starts_with("collector: MAILROOM_HEALTHCHECK_INTERVAL: 4999 ms is less"));
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn check_shows_the_originals_defaults_and_no_secret() {
    let (code, stdout, stderr) = run(Process::new("collector")
        .arg("--check")
        .env("MAILROOM_DATABASE_URL", "postgres://mailer:hush@db.example:5433/aegis")
        .env("MAILROOM_SECRET_KEY", KEY.to_uppercase()));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "MAILROOM_SECRET_KEY=set",
        "MAILROOM_CHANNEL_NAME=token_insert",
        "MAILROOM_QUEUE_NAME=mailroom",
        "MAILROOM_HEALTHCHECK_INTERVAL=270000",
        "MAILROOM_BATCH_TIMEOUT=5000",
        "MAILROOM_BATCH_LIMIT=10",
        "MAILROOM_PURGE=false",
    ] {
        assert!(stdout.lines().any(|l| l == line), "no {line} in: {stdout}");
    }
    let database = stdout.lines().find(|l| l.starts_with("MAILROOM_DATABASE_URL=")).unwrap();
    for word in ["db.example", "5433", "aegis", "mailer", "password=set"] {
        assert!(database.contains(word), "{database}");
    }
    assert!(!stdout.contains("hush") && !stdout.to_lowercase().contains(KEY), "{stdout}");

    let (code, stdout, stderr) = run(Process::new("sender")
        .arg("--check")
        .env("MAILROOM_DATABASE_URL", "postgres://mailer:hush@db.example/aegis"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "MAILROOM_DEBUG=false",
        "MAILROOM_SES_CONFIG_SET=default",
        "MAILROOM_SES_SOURCE=noreply@localhost",
        "MAILROOM_SES_OUTPUT_PATH=./output",
    ] {
        assert!(stdout.lines().any(|l| l == line), "no {line} in: {stdout}");
    }
    assert!(!stdout.contains("hush"), "{stdout}");
    for name in ["MAILROOM_FROM", "MAILROOM_SES_SOURCE"] {
        let sender = Process::new("sender").arg("--check").env(name, "us@example.com");
        let (_, stdout, _) = run(sender);
        let line = format!("{name}=us@example.com");
        assert!(stdout.lines().any(|l| l == line), "no {line} in: {stdout}");
    }
}

#[test]
fn help_and_version_need_no_settings() {
    for name in ["collector", "sender"] {
        let (code, stdout, stderr) = run(Process::new(name).arg("--version"));
        assert_eq!((code, stdout, stderr), (0, format!("{name} {VERSION}"), String::new()));
        let (code, stdout, stderr) = run(Process::new(name).arg("--help"));
        assert_eq!((code, stderr.as_str()), (0, ""));
        for word in ["./collector | ./sender", "MAILROOM_DATABASE_URL", "Exit codes", "--check"] {
            assert!(stdout.contains(word), "{stdout}");
        }
        let (code, stdout, stderr) = run(Process::new(name).arg("--verbose"));
        assert_eq!((code, stdout.as_str()), (78, ""));
        assert!(stderr.contains("\"--verbose\": is not an argument"), "{stderr}");
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[tokio::test]
async fn secrets_can_come_from_files() {
    let world = World::new().await;
    let url = |role| file(&format!("{}\n", world.db.url_as(role)));
    let (url, senders_url) = (url(Role::Collector), url(Role::Sender));
    let key = file(&format!("{KEY}\n"));
    let collector = Process::new("collector")
        .env("MAILROOM_DATABASE_URL_FILE", url.path())
        .env("MAILROOM_SECRET_KEY_FILE", key.path())
        .env("MAILROOM_BATCH_TIMEOUT", "0");
    let sender = world.sender_without_database();
    let sender = sender.env("MAILROOM_DATABASE_URL_FILE", senders_url.path());
    let pipe = testkit::Pipeline::spawn(collector, sender).unwrap();
    world.db.execute(&crate::support::sign_up("filed", 1)).await.unwrap();
    world.mails(1).await;
    world.settled().await;
    crate::world::stop(&pipe);
    world.each_mailed_once(1).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;

    let (code, _, stderr) = run(Process::new("collector")
        .env("MAILROOM_DATABASE_URL_FILE", "/nonexistent/url")
        .env("MAILROOM_SECRET_KEY", KEY)
        .env("MAILROOM_SECRET_KEY_FILE", key.path()));
    assert_eq!(code, 78);
    assert!(stderr.contains("MAILROOM_DATABASE_URL_FILE: /nonexistent/url: "), "{stderr}");
    assert!(stderr.contains("MAILROOM_SECRET_KEY: MAILROOM_SECRET_KEY_FILE is set"), "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
}

#[tokio::test]
async fn what_would_wait_for_ever_is_refused_with_the_remedy() {
    let world = World::new().await;
    let spawn = |process: Process| process.spawn().unwrap();
    let channel = spawn(world.collector().env("MAILROOM_CHANNEL_NAME", "Token_Insert"));
    refused(&channel, &["MAILROOM_CHANNEL_NAME", "\\\"token_insert\\\", not \\\"Token_Insert\\\""]);
    let queue = spawn(world.collector().env("MAILROOM_QUEUE_NAME", "postroom"));
    refused(&queue, &["MAILROOM_QUEUE_NAME", "no queue \\\"postroom\\\"", "jobs"]);

    let nowhere = testkit::shared().url("no_such_database");
    let unmigrated = Database::empty().await.unwrap();
    let original = Database::empty().await.unwrap();
    migrate(original.url(), &migrations_dir(), Some(1)).await.unwrap();
    for (url, words) in [
        (nowhere.as_str(), ["no_such_database", "does not exist"]),
        (unmigrated.url(), ["run the migrations", "schema"]),
        (original.url(), ["run the migrations", "schema"]),
    ] {
        let collector = spawn(world.collector().env("MAILROOM_DATABASE_URL", url));
        refused(&collector, &words);
        // The sender finds out without a line to send.
        let sender = world.sender().env("MAILROOM_DATABASE_URL", url).stdin_held();
        refused(&spawn(sender), &words);
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let world = World::new().await;
    let proxy = testkit::Proxy::start(testkit::shared().addr()).unwrap();
    proxy.refuse(true).unwrap();
    let (collector, sender) = (world.collector_through(&proxy), world.sender_through(&proxy));
    let pipe = testkit::Pipeline::spawn(collector, sender).unwrap();
    world.db.execute(&crate::support::sign_up("early", 3)).await.unwrap();
    pipe.collector.wait_for("event=connection_failed", SOON).unwrap();
    pipe.sender.wait_for("event=connection_failed", SOON).unwrap();
    proxy.heal().unwrap();
    world.mails(3).await;
    world.settled().await;
    crate::world::stop(&pipe);
    world.each_mailed_once(3).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["connection_failed"]).await;
}

#[tokio::test]
async fn a_sender_without_a_database_sends_and_says_once_what_that_means() {
    let world = World::new().await;
    let pipe =
        testkit::Pipeline::spawn(world.collector(), world.sender_without_database()).unwrap();
    world.db.execute(&crate::support::sign_up("unrecorded", 25)).await.unwrap();
    world.mails(25).await;
    crate::world::stop(&pipe);
    assert_eq!(world.ses.mail_count(), 25);
    assert!(world.ses.duplicates().is_empty());
    let said = pipe.sender.stderr();
    assert_eq!(said.matches("event=unacknowledged").count(), 1, "{said}");
    assert_eq!(world.db.query_i64("SELECT count(*) FROM delivery_log").await.unwrap(), 0);
    let held = "SELECT count(*) FROM deliveries WHERE state = 'dispatched'";
    assert_eq!(world.db.query_i64(held).await.unwrap(), 25);
    world.quiet(&[&pipe.collector, &pipe.sender], &["unacknowledged"]).await;
}

#[tokio::test]
async fn a_collector_whose_reader_goes_while_it_sleeps_ends_with_75() {
    let world = World::new().await;
    let pipe = world.pipe();
    world.asleep().await;
    pipe.sender.signal(Signal::TERM).unwrap();
    assert_eq!(pipe.sender.wait(SOON).unwrap(), 0);
    assert_eq!(pipe.collector.wait(SOON).unwrap(), 75);
    world.quiet(&[&pipe.collector, &pipe.sender], &["reader_gone"]).await;
}
