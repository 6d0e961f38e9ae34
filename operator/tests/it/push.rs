use testkit::Ses;
use testkit::ses::Content;

use crate::support::{command, environment, finish, folder, ours, put, text, with_ses};

#[test]
fn a_second_push_changes_nothing() {
    let ses = Ses::start().unwrap();
    let first = with_ses(&ses, &["push", text(&ours())]);
    assert_eq!(first.code, 0, "{}", first.err);
    let names = [
        "activationv1",
        "activationv1_de",
        "emailchangev1",
        "emailchangev1_de",
        "invitationv1",
        "invitationv1_de",
        "magiclinkv1",
        "magiclinkv1_de",
        "passwordrecoveryv1",
        "passwordrecoveryv1_de",
    ];
    assert_eq!(first.out, names.map(|name| format!("{name}: created")));
    assert_eq!(ses.templates().into_keys().collect::<Vec<_>>(), names);
    let stored = &ses.templates()["activationv1"];
    assert_eq!(stored.subject, "Activate your account");
    let html = std::fs::read_to_string(ours().join("activation/en/body.html")).unwrap();
    assert_eq!(stored.html, html);

    ses.clear();
    let second = with_ses(&ses, &["push", text(&ours())]);
    assert_eq!(second.out, names.map(|name| format!("{name}: unchanged")));
    assert_eq!(ses.template_calls(), names.map(|name| format!("GET {name}")));
}

#[test]
fn what_differs_is_updated_and_a_dry_run_only_shows_it() {
    let ses = Ses::start().unwrap();
    let dir = folder(&[]);
    assert_eq!(with_ses(&ses, &["push", text(dir.path())]).out, ["welcomev1: created"]);
    put(dir.path(), "welcome/en/subject.txt", "Welcome, {{login}}\n");
    put(dir.path(), "welcome/en/body.txt", "Hi {{login}}\n\nNice to meet you.\n");
    for (path, text) in crate::support::WELCOME {
        put(dir.path(), &path.replace("/en/", "/fr/"), text);
    }
    let before = ses.templates();
    ses.clear();
    let dry = with_ses(&ses, &["push", "--dry-run", text(dir.path())]);
    assert_eq!(dry.code, 0, "{}", dry.err);
    assert_eq!(ses.template_calls(), ["GET welcomev1", "GET welcomev1_fr"]);
    assert_eq!(ses.templates(), before);
    let shown = dry.out.join("\n").replace(text(dir.path()), "templates");
    insta::assert_snapshot!(shown, @r#"
    welcomev1: would be updated
    --- SES welcomev1 subject.txt
    +++ templates/welcome/en/subject.txt
    @@ -1 +1 @@
    -Hi {{login}}
    +Welcome, {{login}}
    --- SES welcomev1 body.txt
    +++ templates/welcome/en/body.txt
    @@ -1 +1,3 @@
     Hi {{login}}
    +
    +Nice to meet you.
    welcomev1_fr: would be created
    --- SES welcomev1_fr subject.txt
    +++ templates/welcome/fr/subject.txt
    @@ -0,0 +1 @@
    +Hi {{login}}
    --- SES welcomev1_fr body.html
    +++ templates/welcome/fr/body.html
    @@ -0,0 +1,7 @@
    +<!doctype html>
    +<html lang="en">
    +<head><title>Hi</title></head>
    +<body>
    +<p>{{login_html}}</p>
    +</body>
    +</html>
    --- SES welcomev1_fr body.txt
    +++ templates/welcome/fr/body.txt
    @@ -0,0 +1 @@
    +Hi {{login}}
    "#);

    let json = with_ses(&ses, &["push", "--json", text(dir.path())]);
    assert_eq!(
        json.out,
        [
            r#"{"template":"welcomev1","action":"welcome","locale":"en","result":"updated","dry_run":false}"#,
            r#"{"template":"welcomev1_fr","action":"welcome","locale":"fr","result":"created","dry_run":false}"#,
        ]
    );
    assert_eq!(ses.templates()["welcomev1"].subject, "Welcome, {{login}}");
}

#[test]
fn what_lint_complains_about_is_not_pushed() {
    let ses = Ses::start().unwrap();
    let dir = folder(&[("welcome/en/body.txt", "{{nam}}")]);
    let ran = with_ses(&ses, &["push", text(dir.path())]);
    assert_eq!((ran.code, ran.out.len()), (78, 0));
    assert!(ran.err.contains("/welcome/en/body.txt:1: nam is not a variable"), "{}", ran.err);
    assert!(ran.err.ends_with("mailroom: nothing was pushed\n"), "{}", ran.err);
    assert_eq!(ses.template_calls(), [""; 0]);
}

/// As the original's, which senders without `MAILROOM_TEMPLATES` fill in.
fn original() -> Content {
    Content {
        subject: "Welcome".to_owned(),
        html: "<p>{{login}}, {{! locale }}https://example.com/{{secret}}</p>".to_owned(),
        text: "{{login}}, https://example.com/{{secret}}{{#each a}}{{base_url}}{{/each}}"
            .to_owned(),
    }
}

#[test]
fn a_template_that_senders_without_the_folder_use_is_not_replaced_unasked() {
    let ses = Ses::start().unwrap();
    ses.store_template("activationv1", original());
    ses.store_template("invitationv1", Content { html: "{{#if".to_owned(), ..original() });
    let before = ses.templates();
    let root = ours();
    let root = text(&root);
    let ran = with_ses(&ses, &["push", root]);
    assert_eq!((ran.code, ran.out.len()), (78, 0), "{}", ran.err);
    let refused = ran.err.clone();
    insta::assert_snapshot!(refused.replace(root, "templates"), @r#"
    mailroom: templates/activation/en: uses base_url, code, expires_minutes, locale, login_html, which activationv1 in SES does not
    mailroom: templates/invitation/en: uses base_url, code, locale, login_html, which invitationv1 in SES does not
    mailroom: nothing was pushed: a sender without MAILROOM_TEMPLATES does not give these variables, and SES would answer "success" and send nothing. Push under other names, with MAILROOM_SES_TEMPLATES=activation=activationv2,invitation=invitationv2, and start the senders with MAILROOM_TEMPLATES and that setting; or, when no sender without MAILROOM_TEMPLATES runs, push with --force
    "#);
    assert_eq!(ses.templates(), before);

    for args in [&["push", "--dry-run", root][..], &["push", "--dry-run", "--json", root]] {
        let dry = with_ses(&ses, args);
        assert_eq!((dry.code, &dry.err), (78, &refused));
        let is_first = |line: &str| {
            line == "activationv1: would be refused" || line.contains(r#""result":"refused","#)
        };
        assert!(is_first(&dry.out[0]), "{:?}", dry.out);
    }
    assert_eq!(ses.templates(), before);

    // What the message recommends.
    let names = "activation=activationv2,invitation=invitationv2";
    let command = command(&["push", root, "--pace", "0"]);
    let ran = finish(command.envs(environment(&ses)).env("MAILROOM_SES_TEMPLATES", names));
    assert_eq!(ran.out[0], "activationv2: created", "{}", ran.err);
    assert_eq!(ses.templates()["activationv1"], original());

    let ran = with_ses(&ses, &["push", "--force", root]);
    assert_eq!((ran.code, ran.out[0].as_str()), (0, "activationv1: updated"), "{}", ran.err);
    assert_ne!(ses.templates()["activationv1"], original());
}

#[test]
fn a_name_that_is_set_by_number_is_set_by_label_too() {
    let ses = Ses::start().unwrap();
    let dir = folder(&[]);
    let run = |setting: &str| {
        let command = command(&["push", text(dir.path()), "--pace", "0"]);
        finish(command.envs(environment(&ses)).env("MAILROOM_SES_TEMPLATES", setting))
    };
    let ran = run("1=one,3=confirm,7=hello");
    assert_eq!((ran.code, ran.out.len()), (78, 0));
    let said = |part: &str, name: &str| {
        let known = "push knows actions from 3 on by their labels";
        let remedy = format!("name it by its label, as label={name}");
        format!("mailroom: {part} in MAILROOM_SES_TEMPLATES: {known}: {remedy}\n")
    };
    assert_eq!(
        ran.err,
        format!(
            "{}{}mailroom: nothing was pushed\n",
            said("3=confirm", "confirm"),
            said("7=hello", "hello")
        )
    );
    assert_eq!(ses.template_calls(), [""; 0]);
    assert_eq!(run("1=one,7=hello,welcome=hello").out, ["hello: created"]);
}

#[test]
fn names_are_those_the_sender_asks_for() {
    let ses = Ses::start().unwrap();
    let dir = folder(&[]);
    let run = |setting: &str| {
        let command = command(&["push", text(dir.path()), "--pace", "0"]);
        finish(command.envs(environment(&ses)).env("MAILROOM_SES_TEMPLATES", setting))
    };
    assert_eq!(run("welcome=hello").out, ["hello: created"]);
    let ran = run("welcome");
    assert_eq!(ran.code, 78);
    let error = "MAILROOM_SES_TEMPLATES: \"welcome\" is not of the form action=template";
    assert_eq!(ran.err, format!("mailroom: {error}\n"));
    for (path, text) in crate::support::WELCOME {
        put(dir.path(), &path.replace("welcome", "goodbye"), text);
    }
    let ran = run("welcome=one,goodbye=one");
    assert_eq!(ran.code, 78);
    assert!(ran.err.ends_with("are both called one in SES: set MAILROOM_SES_TEMPLATES\n"));
}

#[test]
fn who_cannot_reach_ses_is_told_whether_to_try_again() {
    let dir = folder(&[]);
    let url = {
        let ses = Ses::start().unwrap();
        ses.url()
    };
    let gone = command(&["push", text(dir.path())])
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "eu-central-1");
    let ran = finish(gone);
    assert_eq!(ran.code, 75);
    assert!(ran.err.starts_with("mailroom: read the template welcomev1: SES: "), "{}", ran.err);
}

#[test]
fn calls_keep_their_pace() {
    let ses = Ses::start().unwrap();
    let dir = folder(&[]);
    let start = std::time::Instant::now();
    let command = command(&["push", text(dir.path()), "--pace", "300"]).envs(environment(&ses));
    assert_eq!(finish(command).out, ["welcomev1: created"]);
    assert_eq!(ses.template_calls(), ["GET welcomev1", "POST welcomev1"]);
    assert!(start.elapsed().as_millis() >= 300);
}

/// A recovery of ada's, as the collector writes it.
const LINE: &str = "2,ada@example.com,<ada>,ERERERERERERERERERERERERERERERERERERERERERKjmF2MR1O6JbeBM-xniVR3nuXwLzVR2FrJMKJAm-yQuA,06435\n";

#[test]
fn the_sender_finds_what_was_pushed_and_leaves_no_variable_out() {
    let ses = Ses::start().unwrap();
    assert_eq!(with_ses(&ses, &["push", text(&ours())]).code, 0);
    let output = tempfile::tempdir().unwrap();
    let sender = testkit::Process::new("sender")
        .envs(environment(&ses))
        .env("MAILROOM_TEMPLATES", ours())
        .env("MAILROOM_BASE_URL", "https://example.com")
        .env("MAILROOM_SES_OUTPUT_PATH", output.path())
        .stdin_bytes(LINE);
    let ran = finish(sender);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mails = ses.mails();
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!(mail.template, "passwordrecoveryv1");
    let letter = mail.rendered.as_ref().unwrap();
    assert_eq!(letter.subject, "Reset your password");
    assert!(letter.html.contains("&lt;ada&gt;") && letter.html.contains(">06435<"), "{letter:?}");
    assert!(letter.text.starts_with("Hello <ada>,\n"), "{letter:?}");
    assert!(letter.text.contains("\nhttps://example.com/recover/ERERER"), "{letter:?}");
}

#[test]
fn a_new_kind_of_mail_is_made_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let samples = "{ \"size_mb\": 12 }";
    for locale in ["en", "de"] {
        for file in ["subject.txt", "body.html", "body.txt"] {
            let from = ours().join("magic_link").join(locale).join(file);
            let words = std::fs::read_to_string(from).unwrap().replace("/magic-link/", "/export/");
            let name = if file == "body.html" { "size_mb_html" } else { "size_mb" };
            let size = format!("{{{{#if {name}}}}} ({{{{{name}}}}} MB){{{{/if}}}}");
            let words = words.replace("sign-in link", &format!("export{size}"));
            let words = words.replace("</h1>", &format!("{size}</h1>"));
            put(dir.path(), &format!("data_export/{locale}/{file}"), &words);
        }
    }
    let lint = || crate::support::mailroom(&["lint", text(dir.path())]);
    let out = lint().out;
    assert!(out[0].contains("size_mb_html is not a variable of data_export: "), "{out:?}");
    put(dir.path(), "data_export/variables.json", samples);
    assert_eq!(lint().out, [""; 0]);
    let ses = Ses::start().unwrap();
    let ran = with_ses(&ses, &["push", text(dir.path())]);
    assert_eq!(ran.out, ["dataexportv1: created", "dataexportv1_de: created"], "{}", ran.err);
}
