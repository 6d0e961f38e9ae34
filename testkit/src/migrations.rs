//! Runs golang-migrate's files the way golang-migrate does, for one test or demo at a time: it
//! does not take golang-migrate's lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use tokio_postgres::{Client, NoTls};

/// The workspace's `migrations` folder.
pub fn migrations_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations")
}

/// Applies the files of `dir` that are not applied yet, in numeric order; `up_to` is the last one
/// wanted (`None`: all). Nothing to do is no error.
///
/// # Errors
///
/// If the database is dirty, a file is missing or misnamed, or PostgreSQL refuses one: then the
/// database stays marked as dirty.
pub async fn migrate(url: &str, dir: &Path, up_to: Option<u64>) -> anyhow::Result<()> {
    let files = Files::read(dir)?;
    let client = connect(url).await?;
    let current = current_version(&client).await?;
    for (&version, path) in &files.up {
        if current.is_some_and(|current| version <= current) {
            continue;
        }
        if up_to.is_some_and(|last| version > last) {
            break;
        }
        set_version(&client, Some(version), true).await?;
        run(&client, path).await?;
        set_version(&client, Some(version), false).await?;
    }
    Ok(())
}

/// Takes back what is applied, the newest first, down to version `to`, which stays (`None`:
/// everything).
///
/// # Errors
///
/// As [`migrate`].
pub async fn migrate_down(url: &str, dir: &Path, to: Option<u64>) -> anyhow::Result<()> {
    let files = Files::read(dir)?;
    let client = connect(url).await?;
    while let Some(version) = current_version(&client).await? {
        if to.is_some_and(|to| version <= to) {
            break;
        }
        let path =
            files.down.get(&version).with_context(|| format!("no down file for {version}"))?;
        let below = files.up.range(..version).next_back().map(|(&version, _)| version);
        set_version(&client, below, true).await?;
        run(&client, path).await?;
        set_version(&client, below, false).await?;
    }
    Ok(())
}

struct Files {
    up: BTreeMap<u64, PathBuf>,
    down: BTreeMap<u64, PathBuf>,
}

impl Files {
    fn read(dir: &Path) -> anyhow::Result<Files> {
        let mut files = Files { up: BTreeMap::new(), down: BTreeMap::new() };
        let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("read {}", dir.display()))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((version, up)) = parse_name(name) else { continue };
            let side = if up { &mut files.up } else { &mut files.down };
            if let Some(other) = side.insert(version, path.clone()) {
                bail!("{} and {} have the same number", other.display(), path.display());
            }
        }
        ensure!(!files.up.is_empty(), "no migrations in {}", dir.display());
        Ok(files)
    }
}

/// `3_name.up.sql` → (3, true)
fn parse_name(name: &str) -> Option<(u64, bool)> {
    let (version, rest) = name.split_once('_')?;
    if !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest = rest.strip_suffix(".sql")?;
    let up = rest.ends_with(".up");
    (up || rest.ends_with(".down")).then_some((version.parse().ok()?, up))
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect")?;
    tokio::spawn(connection);
    let table = "CREATE TABLE IF NOT EXISTS schema_migrations \
                 (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)";
    client.batch_execute("SET client_min_messages = warning").await.context("set up")?;
    client.batch_execute(table).await.context("create schema_migrations")?;
    client.batch_execute("RESET client_min_messages").await.context("set up")?;
    Ok(client)
}

/// `None`: nothing is applied.
async fn current_version(client: &Client) -> anyhow::Result<Option<u64>> {
    let row = client
        .query_opt("SELECT version, dirty FROM schema_migrations LIMIT 1", &[])
        .await
        .context("read schema_migrations")?;
    let Some(row) = row else { return Ok(None) };
    let version: i64 = row.get(0);
    ensure!(!row.get::<_, bool>(1), "Dirty database version {version}. Fix and force version.");
    Ok(u64::try_from(version).ok())
}

/// Like golang-migrate: a clean "nothing" is no row at all, a dirty one is -1.
async fn set_version(client: &Client, version: Option<u64>, dirty: bool) -> anyhow::Result<()> {
    let mut sql = String::from("BEGIN; TRUNCATE schema_migrations;");
    if version.is_some() || dirty {
        let version = version.map_or(Ok(-1), i64::try_from).context("a version beyond bigint")?;
        sql += &format!("INSERT INTO schema_migrations VALUES ({version}, {dirty});");
    }
    sql += "COMMIT";
    client.batch_execute(&sql).await.context("write schema_migrations")
}

async fn run(client: &Client, path: &Path) -> anyhow::Result<()> {
    let sql = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    client.batch_execute(&sql).await.map_err(|error| {
        let db = error.as_db_error();
        let at = db.and_then(|db| db.position()).map(|position| match position {
            tokio_postgres::error::ErrorPosition::Original(at)
            | tokio_postgres::error::ErrorPosition::Internal { position: at, .. } => {
                let before = sql.chars().take(*at as usize).filter(|&c| c == '\n').count();
                format!(", line {}", before + 1)
            }
        });
        let place = format!("{}{}", path.display(), at.unwrap_or_default());
        let words = db.map_or_else(|| error.to_string(), ToString::to_string);
        anyhow::anyhow!("{words}").context(format!("apply {place}"))
    })
}

#[cfg(test)]
mod tests {
    use super::parse_name;

    #[test]
    fn file_names_are_read_like_golang_migrates() {
        assert_eq!(parse_name("0_init.up.sql"), Some((0, true)));
        assert_eq!(parse_name("0012_a_b.c.down.sql"), Some((12, false)));
        assert_eq!(parse_name("init.up.sql"), None);
        assert_eq!(parse_name("+1_init.up.sql"), None);
        assert_eq!(parse_name("1_init.sql"), None);
        assert_eq!(parse_name("README.md"), None);
    }
}
