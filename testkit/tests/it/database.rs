use std::path::Path;
use std::time::Duration;

use testkit::{Database, Options, Postgres, migrate, migrate_down, migrations_dir};

use crate::SOON;

#[tokio::test]
async fn databases_are_apart_and_dropped() -> anyhow::Result<()> {
    let (one, two) = (Database::empty().await?, Database::empty().await?);
    assert_eq!(one.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)").await?, 2);
    assert_eq!(one.query_i64("SELECT count(*) FROM t").await?, 2);
    assert_eq!(
        one.query_rows("SELECT n, NULL FROM t ORDER BY n").await?,
        [[Some("1".into()), None], [Some("2".into()), None]]
    );
    assert!(two.query_i64("SELECT count(*) FROM t").await.is_err());

    let (name, _still_in_it) = (one.name().to_owned(), one.client().await?);
    drop(one);
    let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(two.query_i64(&sql).await?, 0);
    Ok(())
}

#[tokio::test]
async fn waiting_for_a_state_ends_with_it_or_with_the_sql() -> anyhow::Result<()> {
    let db = Database::empty().await?;
    db.execute("CREATE TABLE t (n int)").await?;
    let client = db.client().await?;
    let writer =
        tokio::spawn(async move { client.batch_execute("INSERT INTO t VALUES (1)").await });
    db.wait_until("SELECT count(*) = 1 FROM t", SOON).await?;
    writer.await??;

    let vain = db.wait_until("SELECT count(*) = 2 FROM t", Duration::from_millis(50)).await;
    let words = format!("{:#}", vain.unwrap_err());
    assert!(words.contains("SELECT count(*) = 2 FROM t") && words.contains("\"f\""), "{words}");
    // What can never become true is not waited for.
    let wrong = db.wait_until("SELECT true FROM nowhere", Duration::from_secs(3600)).await;
    assert!(format!("{:#}", wrong.unwrap_err()).contains("nowhere"));
    Ok(())
}

#[tokio::test]
async fn clones_of_the_migrated_template_can_be_made_at_once() -> anyhow::Result<()> {
    if std::fs::read_dir(migrations_dir())?.next().is_none() {
        return Ok(()); // not written yet
    }
    let (a, b, c) = tokio::try_join!(Database::fresh(), Database::fresh(), Database::fresh())?;
    for db in [a, b, c] {
        assert_eq!(db.query_i64("SELECT count(*) FROM schema_migrations").await?, 1);
        assert_eq!(db.query_text("SELECT dirty FROM schema_migrations").await?, "f");
        assert_eq!(db.query_i64("SELECT count(*) FROM accounts").await?, 0);
    }
    let server = Postgres::start_with(&Options::fast())?;
    let own = Database::fresh_on(&server).await?;
    assert_eq!(own.query_i64("SELECT count(*) FROM accounts").await?, 0);
    Ok(())
}

fn write(dir: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    for (name, sql) in files {
        std::fs::write(dir.join(name), sql)?;
    }
    Ok(())
}

#[tokio::test]
async fn migrations_go_up_and_down_in_numeric_order() -> anyhow::Result<()> {
    let db = Database::empty().await?;
    let dir = tempfile::tempdir()?;
    write(
        dir.path(),
        &[
            ("0_init.up.sql", "CREATE TABLE t (n int); INSERT INTO t VALUES (0);"),
            ("0_init.down.sql", "DROP TABLE t;"),
            ("2_two.up.sql", "BEGIN; INSERT INTO t VALUES (2); COMMIT;"),
            ("2_two.down.sql", "DELETE FROM t WHERE n = 2;"),
            ("10_ten.up.sql", "INSERT INTO t SELECT 10 + max(n) FROM t;"),
            ("10_ten.down.sql", "DELETE FROM t WHERE n = 12;"),
            ("README.md", "no migration"),
        ],
    )?;
    let version = "SELECT version || ' ' || dirty FROM schema_migrations";
    migrate(db.url(), dir.path(), Some(0)).await?;
    assert_eq!(db.query_text(version).await?, "0 false");
    migrate(db.url(), dir.path(), Some(9)).await?;
    assert_eq!(db.query_text(version).await?, "2 false");
    migrate(db.url(), dir.path(), None).await?;
    migrate(db.url(), dir.path(), None).await?;
    assert_eq!(db.query_text(version).await?, "10 false");
    assert_eq!(db.query_text("SELECT array_agg(n ORDER BY n)::text FROM t").await?, "{0,2,12}");

    migrate_down(db.url(), dir.path(), Some(2)).await?;
    assert_eq!(db.query_text(version).await?, "2 false");
    migrate_down(db.url(), dir.path(), None).await?;
    assert_eq!(db.query_i64("SELECT count(*) FROM schema_migrations").await?, 0);
    assert_eq!(db.query_text("SELECT to_regclass('t') IS NULL").await?, "t");
    Ok(())
}

#[tokio::test]
async fn a_failed_migration_leaves_the_database_dirty() -> anyhow::Result<()> {
    let db = Database::empty().await?;
    let dir = tempfile::tempdir()?;
    write(dir.path(), &[("0_a.up.sql", "SELECT 1;"), ("1_b.up.sql", "SELECT 1;\nSELECT oops;")])?;
    let failed = format!("{:#}", migrate(db.url(), dir.path(), None).await.unwrap_err());
    assert!(failed.contains("1_b.up.sql, line 2") && failed.contains("oops"), "{failed}");
    assert_eq!(
        db.query_text("SELECT version || ' ' || dirty FROM schema_migrations").await?,
        "1 true"
    );
    let again = format!("{:#}", migrate(db.url(), dir.path(), None).await.unwrap_err());
    assert_eq!(again, "Dirty database version 1. Fix and force version.");

    write(dir.path(), &[("01_c.up.sql", "SELECT 1;")])?;
    let twice = format!("{:#}", migrate(db.url(), dir.path(), None).await.unwrap_err());
    assert!(twice.contains("the same number"), "{twice}");
    Ok(())
}
