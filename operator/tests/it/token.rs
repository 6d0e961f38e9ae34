use testkit::{Database, Process, Role};

use crate::support::{Ran, finish};

const KEY: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
/// Activation, secret 0x11 × 32.
const ACTIVATION: &str =
    "EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZaCAuJvbeTjsK4wavjBwSAeoQ";
/// Recovery, code 06435.
const RECOVERY: &str =
    "ERERERERERERERERERERERERERERERERERERERERERKjmF2MR1O6JbeBM-xniVR3nuXwLzVR2FrJMKJAm-yQuA";

fn token(args: &[&str]) -> Process {
    Process::new("mailroom").arg("token").args(args).env("MAILROOM_SECRET_KEY", KEY)
}

fn run(args: &[&str]) -> Ran {
    finish(token(args))
}

#[test]
fn a_good_token_is_told_from_a_bad_one() {
    let good = run(&["verify", ACTIVATION]);
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out[0].starts_with("valid for activation"), "{:?}", good.out);
    let link = format!("https://example.com/activate/{ACTIVATION}");
    assert_eq!(run(&["verify", &link, "--action", "activation"]).code, 0);
    assert_eq!(run(&["verify", ACTIVATION, "--action", "password_recovery"]).code, 65);

    assert_eq!(run(&["verify", RECOVERY, "--code", "06435"]).code, 0);
    assert_eq!(run(&["verify", RECOVERY, "--code", "06436"]).code, 65);
    let without = run(&["verify", RECOVERY]);
    assert_eq!(without.code, 65);
    assert!(without.out[0].contains("--code"), "{:?}", without.out);

    let forged = run(&["verify", "--json", &ACTIVATION.replace("oQ", "oA")]);
    assert_eq!(forged.code, 65);
    let said: serde_json::Value = serde_json::from_str(&forged.out[0]).unwrap();
    assert_eq!(said["valid"], false);
    assert_eq!(said["action"], serde_json::Value::Null);
    assert_eq!(run(&["verify", &ACTIVATION[..80]]).code, 65);
}

#[test]
fn what_is_wrong_with_its_form_is_named() {
    for (text, words) in [
        (&ACTIVATION[..80], "80 characters and not 86; was the link cut?"),
        (&ACTIVATION.replace("oQ", "oR"), "last character"),
        (&ACTIVATION.replace("VvdC", "Vv+C"), "'+'"),
    ] {
        let inspected = run(&["inspect", text]);
        assert_eq!(inspected.code, 65);
        assert!(inspected.out.concat().contains(words), "{words}: {:?}", inspected.out);
        let verified = run(&["verify", text]);
        assert!(verified.code == 65 && verified.out.concat().contains(words), "{verified:?}");
    }
}

#[test]
fn without_a_key_nothing_is_verified() {
    let keyless = finish(token(&["verify", ACTIVATION]).env("MAILROOM_SECRET_KEY", ""));
    assert_eq!(keyless.code, 78);
    assert!(keyless.err.contains("MAILROOM_SECRET_KEY"), "{}", keyless.err);
    let keyless = finish(token(&["inspect", ACTIVATION]).env("MAILROOM_SECRET_KEY", ""));
    assert_eq!(keyless.code, 0);
    assert!(keyless.out.concat().contains("not checked"), "{:?}", keyless.out);
    let unknown = run(&["verify", ACTIVATION, "--action", "welcome"]);
    assert_eq!(unknown.code, 78);
    assert!(unknown.err.contains("only activation, password_recovery"), "{}", unknown.err);
}

#[tokio::test]
async fn a_database_knows_the_actions_and_what_became_of_a_token() {
    let db = Database::fresh().await.unwrap();
    db.execute(
        "INSERT INTO accounts (email, login) VALUES ('t@mail.example', 'tokenlogin');
         UPDATE tokens SET secret = decode(repeat('11', 32), 'hex'), expires_at = 1000000000,
             consumed_at = 999999999, code = '13579';
         UPDATE actions SET path = '/welcome' WHERE action = 'activation'",
    )
    .await
    .unwrap();
    let url = db.url_as(Role::Sender);
    let at = |args: &[&str]| finish(token(args).env("MAILROOM_DATABASE_URL", &url));
    assert_eq!(at(&["verify", ACTIVATION]).code, 65, "another path, another signature");
    db.execute("UPDATE actions SET path = '/activate' WHERE action = 'activation'").await.unwrap();
    assert_eq!(at(&["verify", ACTIVATION]).code, 0);

    let inspected = at(&["inspect", ACTIVATION]);
    assert_eq!(inspected.code, 0, "{}", inspected.err);
    insta::assert_snapshot!(inspected.out.join("\n"), @"
    form       a token
    signature  good, for activation
    token      1, activation for account 1
    life       expired at 2001-09-09 01:46:40 UTC
    use        used at 2001-09-09 01:46:39 UTC
    mail       pending
    ");
    let said = at(&["inspect", ACTIVATION, "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said.out[0]).unwrap();
    assert_eq!((&said["row"]["token"], &said["row"]["delivery"]), (&1.into(), &().into()));
    assert_eq!(said["row"]["consumed_at"], "2001-09-09T01:46:39Z");
    assert_eq!(said["row"]["expires_at"], "2001-09-09T01:46:40Z");
    let said = at(&["inspect", RECOVERY, "--json"]);
    assert_eq!(said.code, 65, "no signature without its code: {said:?}");
    let said: serde_json::Value = serde_json::from_str(&said.out[0]).unwrap();
    assert_eq!(said["row"], serde_json::Value::Null);
    assert_eq!(said["database_asked"], true);

    let operator = db.url_as(Role::Operator);
    let refused = finish(token(&["inspect", ACTIVATION]).env("MAILROOM_DATABASE_URL", operator));
    assert_eq!(refused.code, 0, "{}", refused.err);
    assert!(refused.out.concat().contains("mailroom_sender may"), "{:?}", refused.out);
}

#[test]
fn a_signature_that_is_not_good_is_bad_input_also_when_it_is_inspected() {
    for (args, code) in [
        (&["inspect", ACTIVATION][..], 0),
        (&["inspect", RECOVERY, "--code", "06435"], 0),
        (&["inspect", RECOVERY, "--code", "06436"], 65),
        (&["inspect", RECOVERY], 65),
    ] {
        let ran = run(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        let advised = ran.out.concat().contains("give --code");
        assert_eq!(advised, code == 65 && args.len() == 2, "{args:?}: {ran:?}");
    }
}

#[test]
fn without_its_database_form_and_signature_are_told_first() {
    // Nobody listens there: the port was free a moment ago, and a server of ours never had it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://nobody@127.0.0.1:{port}/none");
    let ran = finish(token(&["inspect", ACTIVATION]).env("MAILROOM_DATABASE_URL", url));
    assert_eq!(ran.code, 75, "{ran:?}");
    assert_eq!(ran.out[..2], ["form       a token", "signature  good, for activation"]);
    assert!(ran.err.ends_with("mailroom doctor says more\n"), "{ran:?}");
}
