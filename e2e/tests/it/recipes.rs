//! The recipes verify what the crate `mailroom` does, and nothing else: each against every published
//! vector, where its language is installed.

use std::path::{Path, PathBuf};

use mailroom::{Action, Secret, sign};
use serde_json::Value;
use testkit::{Database, Process, Role};
use tokio_postgres::{Client, NoTls};

use crate::SOON;
use crate::faults::skipped;
use crate::world::KEY;

const PUBLISHED: &str = include_str!("../../../mailroom/vectors/tokens.json");
const VERIFY_SQL: &str = include_str!("../../../recipes/postgresql/verify.sql");

/// Every case to verify; what was signed must verify, too.
fn vectors() -> Vec<Value> {
    let mut published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let mut vectors = published["sign"].take().as_array().unwrap().clone();
    for vector in &mut vectors {
        vector["keys"] = Value::Array(vec![vector["key"].clone()]);
    }
    vectors.extend(published["verify"].take().as_array().unwrap().clone());
    assert!(vectors.len() >= 59);
    vectors
}

/// A program of the PATH. That a script's interpreter answers says that it is more than a name.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())?;
    let asked = Process::at(&found).arg("--version").spawn().ok()?;
    (asked.wait(SOON).ok()? == 0).then_some(found)
}

/// Runs the recipe's own test.
fn holds(language: &str, program: &str, test: &str) {
    let Some(program) = installed(program) else {
        skipped(&format!("the recipe for {language}: there is no {program} on the PATH"));
        return;
    };
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes").join(test);
    let run = Process::at(program).arg(test).env("PYTHONDONTWRITEBYTECODE", "1").spawn().unwrap();
    assert_eq!(run.wait(SOON).unwrap(), 0, "{}", run.stderr());
    assert_eq!(run.lines(), [format!("{} vectors hold", vectors().len())]);
}

#[test]
fn every_vector_holds_in_node() {
    holds("Node", "node", "node/verify.test.mjs");
}

#[test]
fn every_vector_holds_in_python() {
    holds("Python", "python3", "python/test_verify.py");
}

#[tokio::test]
async fn every_vector_holds_in_postgresql() {
    let db = Database::fresh().await.unwrap();
    db.execute(VERIFY_SQL).await.unwrap();
    let client = db.client().await.unwrap();
    let sql = "SELECT encode(link_secret(
            ARRAY(SELECT decode(k, 'hex') FROM unnest($1::text[]) AS k), $2, $3, $4, $5), 'hex')";
    for vector in vectors() {
        let keys: Vec<&str> =
            vector["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        let found: Option<String> = client
            .query_one(
                sql,
                &[
                    &keys,
                    &vector["path"].as_str(),
                    &vector["code_signed"].as_bool(),
                    &vector["token"].as_str(),
                    &vector["code"].as_str(),
                ],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(found.as_deref(), vector["secret"].as_str(), "{}", vector["name"]);
    }
}

/// What `consume_link` says: the account, or why not.
async fn consume(client: &Client, action: &str, token: &str, code: Option<&str>) -> String {
    let sql = "SELECT coalesce(account::text, refusal)
        FROM consume_link($1::text::token_action, $2, $3)";
    client.query_one(sql, &[&action, &token, &code]).await.unwrap().get(0)
}

#[tokio::test]
async fn postgresql_alone_uses_a_link_up_once_and_no_forged_one() {
    let db = Database::fresh().await.unwrap();
    db.execute(VERIFY_SQL).await.unwrap();
    db.execute(&format!("INSERT INTO link_keys VALUES ('\\x{KEY}')")).await.unwrap();
    db.execute("INSERT INTO accounts (email, login) VALUES ('a@mail.example', 'a')").await.unwrap();

    let client = db.client().await.unwrap();
    let token = async |action: &Action| {
        let sql = "SELECT secret, code, account FROM tokens ORDER BY id DESC LIMIT 1";
        let row = client.query_one(sql, &[]).await.unwrap();
        let secret = Secret::try_from(row.get::<_, &[u8]>(0)).unwrap();
        let code: String = row.get(1);
        let signed = sign(&KEY.parse().unwrap(), action, &secret, code.parse().ok().as_ref());
        (signed.unwrap().encode(), code, row.get::<_, i64>(2).to_string())
    };
    let (application, connection) =
        tokio_postgres::connect(&db.url_as(Role::Application), NoTls).await.unwrap();
    tokio::spawn(connection);

    let (link, _, account) = token(&Action::activation()).await;
    assert_eq!(consume(&application, "password_recovery", &link, None).await, "forged");
    assert_eq!(consume(&application, "activation", &"A".repeat(86), None).await, "forged");
    assert_eq!(consume(&application, "activation", &link, None).await, account);
    assert_eq!(consume(&application, "activation", &link, None).await, "used");

    db.execute("INSERT INTO tokens (account, action) SELECT id, 'password_recovery' FROM accounts")
        .await
        .unwrap();
    let (link, code, _) = token(&Action::password_recovery()).await;
    let wrong = if code == "00000" { "00001" } else { "00000" };
    for wrong in [None, Some(wrong), Some("")] {
        assert_eq!(consume(&application, "password_recovery", &link, wrong).await, "forged");
    }
    assert_eq!(consume(&application, "password_recovery", &link, Some(&code)).await, account);

    // Nor does it help to have a table of that name.
    let own = "CREATE TEMPORARY TABLE link_keys (key bytea);
        INSERT INTO link_keys VALUES (decode(repeat('00', 32), 'hex'))";
    application.batch_execute(own).await.unwrap();
    db.execute("INSERT INTO tokens (account, action) SELECT id, 'password_recovery' FROM accounts")
        .await
        .unwrap();
    let (link, code, _) = token(&Action::password_recovery()).await;
    assert_eq!(consume(&application, "password_recovery", &link, Some(&code)).await, account);
    application.batch_execute("DROP TABLE pg_temp.link_keys").await.unwrap();
    let refused = application.query("SELECT key FROM link_keys", &[]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501", "insufficient_privilege");
}
