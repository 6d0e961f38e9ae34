//! What the example promises, by HTTP.

use mailroom::{Action, Secret, SecretKey, sign};
use testkit::{Process, Signal, binary_of, free_port};

use crate::SOON;
use crate::example::{Example, Mail};
use crate::http::{Answer, get, post, post_from};

fn sign_up(example: &Example, email: &str, login: &str) -> Answer {
    post(&format!("{}/sign-up", example.url), &[("email", email), ("login", login)])
}

fn sign_in(example: &Example, email: &str, password: &str) -> u16 {
    let fields = [("email", email), ("password", password)];
    post(&format!("{}/sign-in", example.url), &fields).status
}

/// Somebody whose account is active and whose password is `first password`.
fn active(example: &Example, name: &str) -> String {
    let email = format!("{name}@example.com");
    assert_eq!(sign_up(example, &email, name).status, 200);
    let link = example.mail_to(&email, 1).link;
    assert_eq!(post(&link, &[("password", "first password")]).status, 200);
    email
}

/// The mail about the password that they forgot.
fn forgotten(example: &Example, email: &str, mails: usize) -> Mail {
    assert_eq!(post(&format!("{}/forgot", example.url), &[("email", email)]).status, 200);
    example.mail_to(email, mails)
}

#[test]
fn a_link_survives_every_scanner_and_works_once() {
    let example = Example::shared();
    let email = "scanned@example.com";
    assert_eq!(sign_up(example, " Scanned@Example.com", "scanned").status, 200);
    let link = example.mail_to(email, 1).link;
    for _ in 0..3 {
        let page = get(&link);
        assert_eq!(page.status, 200);
        assert!(page.headers.contains("referrer-policy: no-referrer"), "{}", page.headers);
        assert!(page.headers.contains("cache-control: no-store"), "{}", page.headers);
    }
    assert_eq!(sign_in(example, email, "a password"), 400);
    assert_eq!(post(&link, &[("password", "short")]).status, 400);
    assert_eq!(post(&link, &[]).status, 400);
    assert_eq!(post(&link, &[("password", "a password")]).status, 200);
    assert_eq!(sign_in(example, email, "a password"), 200);
    assert_eq!(sign_in(example, email, "another password"), 400);
    let again = post(&link, &[("password", "another password")]);
    assert_eq!(again.status, 410);
    assert!(again.body.contains("used before"), "{}", again.body);
    assert_eq!(sign_in(example, email, "another password"), 400);
}

#[test]
fn a_recovery_needs_its_code_and_forgives_four_wrong_ones() {
    let example = Example::shared();
    let email = active(example, "forgetful");
    let mail = forgotten(example, &email, 2);
    let wrong = if mail.code == "00000" { "00001" } else { "00000" };
    let attempt =
        |code: &str| post(&mail.link, &[("code", code), ("password", "second password")]).status;
    for _ in 0..4 {
        assert_eq!(attempt(wrong), 400);
    }
    assert_eq!(sign_in(example, &email, "first password"), 200);
    assert_eq!(attempt(&format!(" {}", mail.code)), 200);
    assert_eq!(sign_in(example, &email, "first password"), 400);
    assert_eq!(sign_in(example, &email, "second password"), 200);
    assert_eq!(attempt(&mail.code), 410);
}

#[test]
fn after_five_wrong_codes_the_right_one_is_of_no_use() {
    let example = Example::shared();
    let email = active(example, "guessed");
    let mail = forgotten(example, &email, 2);
    let wrong = if mail.code == "00000" { "00001" } else { "00000" };
    let attempt =
        |code: &str| post(&mail.link, &[("code", code), ("password", "second password")]).status;
    assert_eq!([(); 5].map(|()| attempt(wrong)), [400; 5]);
    assert_eq!(attempt(&mail.code), 429);
    assert_eq!(sign_in(example, &email, "first password"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_says_so_and_another_can_be_had() {
    let example = Example::shared();
    let email = "late@example.com";
    assert_eq!(sign_up(example, email, "late").status, 200);
    let link = example.mail_to(email, 1).link;
    let sql = "UPDATE tokens SET expires_at = 0, created_at = 0
        WHERE account = (SELECT id FROM accounts WHERE email = $1)";
    let database = example.database().await;
    database.execute(sql, &[&email]).await.unwrap();
    let late = post(&link, &[("password", "a password")]);
    assert_eq!(late.status, 410);
    assert!(late.body.contains("expired") && late.body.contains("/forgot"), "{}", late.body);
    // Not active yet, so it is an activation link again; and asking twice does not bring two.
    let second = forgotten(example, email, 2).link;
    assert_eq!(forgotten(example, email, 2).link, second);
    let sql = "SELECT count(*) FROM tokens JOIN accounts AS a ON a.id = account WHERE email = $1";
    let tokens: i64 = database.query_one(sql, &[&email]).await.unwrap().get(0);
    assert_eq!(tokens, 2);
    assert_eq!(post(&second, &[("password", "a password")]).status, 200);
    assert_eq!(sign_in(example, email, "a password"), 200);
}

#[test]
fn whether_an_address_has_an_account_is_not_told() {
    let example = Example::shared();
    let email = active(example, "known");
    let (known, unknown) = (sign_up(example, &email, "x-1"), sign_up(example, "u@x.org", "x-2"));
    assert_eq!(known.body.replace("x-1", "x-2"), unknown.body);
    assert_eq!(sign_up(example, &email, "known").status, 400, "a name is no secret");
    let ask = |email| post(&format!("{}/forgot", example.url), &[("email", email)]).body;
    assert_eq!(ask(&email), ask("nobody@example.com"));
}

#[test]
fn a_name_is_text_wherever_it_is_shown() {
    let example = Example::shared();
    let name = "<script>\"&amp;{{x}}";
    let page = sign_up(example, "markup@example.com", name);
    assert!(page.body.contains("&lt;script&gt;&quot;&amp;amp;{{x}}"), "{}", page.body);
    let link = example.mail_to("markup@example.com", 1).link;
    assert_eq!(post(&link, &[("password", "a password")]).status, 200);
    let fields = [("email", "markup@example.com"), ("password", "a password")];
    let page = post(&format!("{}/sign-in", example.url), &fields);
    assert!(page.body.contains("<bdi>&lt;script&gt;&quot;&amp;amp;{{x}}</bdi>"), "{}", page.body);
}

#[test]
fn another_site_cannot_send_a_form() {
    let example = Example::shared();
    let fields = [("email", "cross@example.com"), ("login", "cross")];
    for site in ["cross-site", "same-site"] {
        let answer = post_from(site, &format!("{}/sign-up", example.url), &fields);
        assert_eq!(answer.status, 403);
    }
    assert_eq!(sign_up(example, "cross@example.com", "cross").status, 200);
    example.mail_to("cross@example.com", 1);
}

#[test]
fn a_forged_link_never_reaches_the_database() {
    let key = "deadbeef".repeat(8);
    // A database that is away would be noticed by whoever asks it.
    let database = format!("postgres://nobody@127.0.0.1:{}/none", free_port().unwrap());
    let application = Process::at(binary_of("mailroom-example-signup", "signup").unwrap())
        .env("LISTEN", "127.0.0.1:0")
        .env("DATABASE_URL", database)
        .env("MAILROOM_SECRET_KEY", &key)
        .spawn()
        .unwrap();
    let url = application.wait_line(1, SOON).unwrap();
    let link = |key: &str, action: &Action| {
        let (key, code): (SecretKey, _) = (key.parse().unwrap(), "06435".parse().unwrap());
        let token = sign(&key, action, &Secret::from([7; 32]), Some(&code)).unwrap().encode();
        format!("{url}{}/{token}", action.path())
    };
    let fields = [("code", "06435"), ("password", "a password")];
    for action in [Action::activation(), Action::password_recovery()] {
        let (ours, forged) = (link(&key, &action), link(&"0".repeat(64), &action));
        assert_eq!(post(&forged, &fields).status, 400);
        assert_eq!(post(&ours[..ours.len() - 1], &fields).status, 400, "cut");
        assert_eq!(post(&ours, &fields).status, 503);
    }
    assert_eq!(get(&link(&"0".repeat(64), &Action::activation())).status, 400);
    assert_eq!(get(&link(&key, &Action::activation())).status, 200);
    assert_eq!(get(&format!("{url}/mailbox")).status, 404, "nobody has asked for it");
}

#[test]
fn ctrl_c_ends_the_example_and_leaves_nothing() {
    let example = Example::start();
    let line = example.process.lines()[3].clone();
    let mails =
        std::path::PathBuf::from(line.split_once('/').map(|(_, rest)| format!("/{rest}")).unwrap());
    let folder = mails.parent().unwrap();
    assert!(folder.is_dir());
    example.process.signal(Signal::INT).unwrap();
    assert_eq!(example.process.wait(SOON).unwrap(), 0, "{}", example.process.stderr());
    assert!(!folder.exists());
}
