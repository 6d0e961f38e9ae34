//! What the example promises, by HTTP.

use mailroom::{Action, Secret, SecretKey, sign};
use testkit::{Process, Signal, binary_of, free_port};

use crate::SOON;
use crate::example::{Example, Mail};
use crate::http::{Answer, get, post, post_from};

fn sign_up(example: &Example, email: &str) -> Answer {
    post(&format!("{}/sign-up", example.url), &[("email", email)])
}

fn activate(link: &str, login: &str, password: &str) -> Answer {
    post(link, &[("login", login), ("password", password)])
}

fn sign_in(example: &Example, email: &str, password: &str) -> u16 {
    let fields = [("email", email), ("password", password)];
    post(&format!("{}/sign-in", example.url), &fields).status
}

/// Somebody whose account is active and whose password is `first password`.
fn active(example: &Example, name: &str) -> String {
    let email = format!("{name}@example.com");
    assert_eq!(sign_up(example, &email).status, 200);
    let link = example.mail_to(&email, 1).link;
    assert_eq!(activate(&link, name, "first password").status, 200);
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
    assert_eq!(sign_up(example, " Scanned@Example.com").status, 200);
    let link = example.mail_to(email, 1).link;
    for _ in 0..3 {
        let page = get(&link);
        assert_eq!(page.status, 200);
        assert!(page.headers.contains("referrer-policy: no-referrer"), "{}", page.headers);
        assert!(page.headers.contains("cache-control: no-store"), "{}", page.headers);
    }
    assert_eq!(sign_in(example, email, "a password"), 400);
    assert_eq!(activate(&link, "scanned", "short").status, 400);
    assert_eq!(activate(&link, " ", "a password").status, 400);
    assert_eq!(post(&link, &[]).status, 400);
    assert_eq!(activate(&link, "scanned", "a password").status, 200);
    assert_eq!(sign_in(example, email, "a password"), 200);
    assert_eq!(sign_in(example, email, "another password"), 400);
    let again = activate(&link, "scanned", "another password");
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
    assert_eq!(sign_up(example, email).status, 200);
    let link = example.mail_to(email, 1).link;
    let sql = "UPDATE tokens SET expires_at = 0, created_at = 0
        WHERE account = (SELECT id FROM accounts WHERE email = $1)";
    let database = example.database().await;
    database.execute(sql, &[&email]).await.unwrap();
    let late = activate(&link, "late", "a password");
    assert_eq!(late.status, 410);
    assert!(late.body.contains("expired") && late.body.contains("/forgot"), "{}", late.body);
    // Not active yet, so it is an activation link again; and asking twice does not bring two.
    let second = forgotten(example, email, 2).link;
    assert_eq!(forgotten(example, email, 2).link, second);
    let sql = "SELECT count(*) FROM tokens JOIN accounts AS a ON a.id = account WHERE email = $1";
    let tokens: i64 = database.query_one(sql, &[&email]).await.unwrap().get(0);
    assert_eq!(tokens, 2);
    assert_eq!(activate(&second, "late", "a password").status, 200);
    assert_eq!(sign_in(example, email, "a password"), 200);
}

#[test]
fn whether_an_address_has_an_account_is_not_told() {
    let example = Example::shared();
    let known = active(example, "known");
    let unknown = sign_up(example, "unknown@example.com");
    assert_eq!(unknown.status, 200);
    for again in ["unknown@example.com", &known] {
        let again = sign_up(example, again);
        assert_eq!((again.status, again.body), (unknown.status, unknown.body.clone()));
    }
    let ask = |email| post(&format!("{}/forgot", example.url), &[("email", email)]).body;
    assert_eq!(ask(&known), ask("nobody@example.com"));
}

#[test]
fn a_name_that_somebody_has_does_not_cost_the_link() {
    let example = Example::shared();
    active(example, "first");
    assert_eq!(sign_up(example, "second@example.com").status, 200);
    let link = example.mail_to("second@example.com", 1).link;
    let taken = activate(&link, " first", "a password");
    assert_eq!(taken.status, 409);
    assert!(taken.body.contains("Somebody has that one"), "{}", taken.body);
    assert_eq!(sign_in(example, "second@example.com", "a password"), 400);
    // What others go by until they have a name cannot be taken from them.
    assert_eq!(activate(&link, "third@example.com", "a password").status, 400);
    assert_eq!(activate(&link, "second", "a password").status, 200);
    assert_eq!(sign_in(example, "second@example.com", "a password"), 200);
}

/// Two processes of the application, so that it is not its one connection that keeps them apart.
#[tokio::test(flavor = "multi_thread")]
async fn asking_in_many_places_at_once_brings_one_link() {
    let example = Example::shared();
    let email = active(example, "impatient");
    let other = Process::at(binary_of("mailroom-example-signup", "signup").unwrap())
        .env("LISTEN", "127.0.0.1:0")
        .env("DATABASE_URL", &example.database)
        .env("MAILROOM_SECRET_KEY", "deadbeef".repeat(8))
        .spawn()
        .unwrap();
    let other_url = other.wait_line(1, SOON).unwrap();

    // Two of them, since a transaction sees the same sessions until it ends.
    let (mut holding, database) = (example.database().await, example.database().await);
    let held = holding.transaction().await.unwrap();
    let lock = "SELECT FROM accounts WHERE email = $1 FOR UPDATE";
    held.execute(lock, &[&email]).await.unwrap();
    let asking: Vec<_> = [other_url, example.url.clone()]
        .into_iter()
        .map(|url| {
            let email = email.clone();
            std::thread::spawn(move || post(&format!("{url}/forgot"), &[("email", &email)]).status)
        })
        .collect();
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let deadline = std::time::Instant::now() + SOON;
    while database.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < 2 {
        assert!(std::time::Instant::now() < deadline, "two have not come to wait");
        tokio::task::yield_now().await;
    }
    held.commit().await.unwrap();
    for asked in asking {
        assert_eq!(asked.join().unwrap(), 200);
    }
    let made = "SELECT count(*) FROM tokens JOIN accounts AS a ON a.id = account
        WHERE email = $1 AND action = 'password_recovery'";
    let made: i64 = database.query_one(made, &[&email]).await.unwrap().get(0);
    assert_eq!(made, 1);
}

#[test]
fn a_name_is_text_wherever_it_is_shown() {
    let example = Example::shared();
    let name = "<script>\"&amp;{{x}}";
    assert_eq!(sign_up(example, "markup@example.com").status, 200);
    let link = example.mail_to("markup@example.com", 1).link;
    assert_eq!(activate(&link, name, "a password").status, 200);
    let fields = [("email", "markup@example.com"), ("password", "a password")];
    let page = post(&format!("{}/sign-in", example.url), &fields);
    assert!(page.body.contains("<bdi>&lt;script&gt;&quot;&amp;amp;{{x}}</bdi>"), "{}", page.body);
}

#[test]
fn another_site_cannot_send_a_form() {
    let example = Example::shared();
    let fields = [("email", "cross@example.com")];
    for site in ["cross-site", "same-site"] {
        let answer = post_from(site, &format!("{}/sign-up", example.url), &fields);
        assert_eq!(answer.status, 403);
    }
    assert_eq!(sign_up(example, "cross@example.com").status, 200);
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
    let fields = [("code", "06435"), ("login", "forged"), ("password", "a password")];
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
