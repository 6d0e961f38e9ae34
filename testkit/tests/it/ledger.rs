//! No test has to remember to look into the logs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use testkit::{Database, Process, Running, Ses};

use crate::SOON;

const ADDRESS: &str = "ada@mail.example";
const LOGIN: &str = "countess";
const SECRET: &str = "11111111111111111111111111111111111111111111111111111111111111fe";
const BASE64URL: &str = "EREREREREREREREREREREREREREREREREREREREREf4";

async fn database() -> anyhow::Result<Database> {
    let database = Database::empty().await?;
    let sql = format!(
        "CREATE TABLE accounts (email text, login text);
         CREATE TABLE tokens (secret bytea);
         INSERT INTO accounts VALUES ('{ADDRESS}', '{LOGIN}');
         INSERT INTO tokens VALUES ('\\x{SECRET}')"
    );
    database.execute(&sql).await?;
    Ok(database)
}

/// A child that says this, and has ended.
fn said(words: &str, env: &[(&str, &str)]) -> anyhow::Result<Running> {
    let env = env.iter().copied();
    let child = Process::at("/bin/sh").args(["-c", "echo \"$0\" >&2", words]).envs(env).spawn()?;
    child.wait(SOON)?;
    Ok(child)
}

/// What dropping it has to say.
fn complaint<T>(value: T) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(value))).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_child_says_of_its_database_is_found_when_that_is_dropped() -> anyhow::Result<()> {
    for secret in [ADDRESS, LOGIN, SECRET, &BASE64URL[..42]] {
        let database = database().await?;
        // Gone, and not forgotten.
        drop(said(&format!("event=oops what=x{secret}y"), &[("URL", database.url())])?);
        let complaint = complaint(database).unwrap_or_default();
        assert!(complaint.contains(&format!("{secret:?}: event=oops")), "{complaint}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nobodys_secret_is_not_complained_about() -> anyhow::Result<()> {
    let (database, other) = (database().await?, Database::empty().await?);
    drop(said("event=fine domain=mail.example delivery=1", &[("URL", database.url())])?);
    drop(said(LOGIN, &[("URL", other.url())])?);
    assert_eq!(complaint(database), None);
    assert_eq!(complaint(other), None, "it has no accounts");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_without_a_database_must_not_speak_of_any() -> anyhow::Result<()> {
    let database = Database::empty().await?;
    let sql = "CREATE TABLE accounts (email text, login text);
        INSERT INTO accounts VALUES ('a', 'the-one-without')";
    database.execute(sql).await?;
    drop(said("the-one-without a database", &[])?);
    let complaint = complaint(database).unwrap_or_default();
    assert!(complaint.contains("the-one-without"), "{complaint}");
    Ok(())
}

#[test]
fn what_a_child_says_of_its_own_secrets_is_found_when_it_is_dropped() -> anyhow::Result<()> {
    let key = ("MAILROOM_SECRET_KEY", "not the one of the other tests");
    assert_eq!(complaint(said("event=fine", &[key])?), None);
    let complaint = complaint(said(&format!("key={}", key.1), &[key])?).unwrap_or_default();
    assert!(complaint.contains(key.1), "{complaint}");
    Ok(())
}

#[test]
fn what_is_said_of_a_double_without_mails_is_nobodys_business_either_way() -> anyhow::Result<()> {
    let ses = Ses::start()?;
    let url = ses.url();
    drop(said("event=fine", &[("AWS_ENDPOINT_URL", &url)])?);
    assert_eq!(complaint(ses), None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_anyway_fails_for_its_own_reason() -> anyhow::Result<()> {
    let database = database().await?;
    let child = said(ADDRESS, &[("URL", database.url()), ("PGPASSWORD", ADDRESS)])?;
    let failed = catch_unwind(AssertUnwindSafe(move || {
        let _both = (database, child);
        assert_eq!(1, 2, "its own reason");
    }));
    let panic = failed.err().and_then(|panic| panic.downcast::<String>().ok()).unwrap_or_default();
    assert!(panic.contains("its own reason"), "{panic}");
    Ok(())
}
