//! golang-migrate's behaviour written down a second time, from its sources and nothing of ours: what
//! `mailroom migrate` is to get along with. Its files, its locks, its table, its words.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use testkit::migrations_dir;
use tokio_postgres::{Client, NoTls};

/// Where golang-migrate gets the database's name from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name {
    /// Its command-line tool: the path of the URL, with its slash.
    Path,
    /// Programs that use it as a library: the server.
    Server,
}

/// Its nil version.
const NIL: i64 = -1;

pub(crate) struct GolangMigrate {
    client: Client,
    lock: i64,
    files: BTreeMap<i64, [PathBuf; 2]>,
}

impl GolangMigrate {
    pub(crate) async fn open(url: &str, name: Name) -> GolangMigrate {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let lock = lock_number(&client, name).await;
        let migrate = GolangMigrate { client, lock, files: files() };
        migrate.lock().await;
        let table = "CREATE TABLE IF NOT EXISTS schema_migrations \
                     (version bigint not null primary key, dirty boolean not null)";
        migrate.client.batch_execute(table).await.unwrap();
        migrate.unlock().await;
        migrate
    }

    pub(crate) async fn up(&self) -> Result<(), String> {
        self.locked(Some(i64::MAX)).await
    }

    /// As many up, or, negative, down.
    pub(crate) async fn steps(&self, n: i64) -> Result<(), String> {
        self.locked(Some(n)).await
    }

    pub(crate) async fn force(&self, version: i64) {
        self.lock().await;
        self.set_version(version, false).await;
        self.unlock().await;
    }

    pub(crate) async fn version(&self) -> (i64, bool) {
        let sql = "SELECT version, dirty FROM schema_migrations LIMIT 1";
        let row = self.client.query_opt(sql, &[]).await.unwrap();
        row.map_or((NIL, false), |row| (row.get(0), row.get(1)))
    }

    /// Waits as long as it takes.
    pub(crate) async fn lock(&self) {
        self.client.execute("SELECT pg_advisory_lock($1)", &[&self.lock]).await.unwrap();
    }

    pub(crate) async fn unlock(&self) {
        self.client.execute("SELECT pg_advisory_unlock($1)", &[&self.lock]).await.unwrap();
    }

    async fn locked(&self, steps: Option<i64>) -> Result<(), String> {
        self.lock().await;
        let ran = self.migrate(steps.unwrap_or(0)).await;
        if ran.is_ok() {
            self.unlock().await;
        }
        ran
    }

    async fn migrate(&self, steps: i64) -> Result<(), String> {
        let (mut at, dirty) = self.version().await;
        if dirty {
            return Err(format!("Dirty database version {at}. Fix and force version."));
        }
        for _ in 0..steps.unsigned_abs() {
            if at != NIL && !self.files.contains_key(&at) {
                return Err(format!("no migration found for version {at}"));
            }
            let (target, file) = if steps > 0 {
                match self.files.range(at + 1..).next() {
                    Some((&next, [up, _])) => (next, up),
                    None => return Ok(()),
                }
            } else {
                match self.files.get(&at) {
                    Some([_, down]) => (self.below(at), down),
                    None => return Ok(()),
                }
            };
            self.set_version(target, true).await;
            let sql = fs::read_to_string(file).unwrap();
            self.client
                .batch_execute(&sql)
                .await
                .map_err(|error| format!("migration failed: {error}"))?;
            self.set_version(target, false).await;
            at = target;
        }
        Ok(())
    }

    pub(crate) fn below(&self, version: i64) -> i64 {
        self.files.range(..version).next_back().map_or(NIL, |(&below, _)| below)
    }

    /// The highest there is.
    pub(crate) fn last(&self) -> i64 {
        self.files.keys().next_back().copied().unwrap()
    }

    async fn set_version(&self, version: i64, dirty: bool) {
        let mut sql = String::from("BEGIN; TRUNCATE schema_migrations;");
        if version >= 0 || dirty {
            sql += &format!(
                "INSERT INTO schema_migrations (version, dirty) VALUES ({version}, {dirty});"
            );
        }
        self.client.batch_execute(&(sql + "COMMIT")).await.unwrap();
    }
}

async fn lock_number(client: &Client, name: Name) -> i64 {
    let row =
        client.query_one("SELECT current_schema()::text, current_database()::text", &[]).await;
    let row = row.unwrap();
    let (schema, database): (&str, &str) = (row.get(0), row.get(1));
    let slash = if matches!(name, Name::Path) { "/" } else { "" };
    let text = [schema, "\0schema_migrations\0", slash, database].concat();
    (u64::from(crc32(text.as_bytes())) * 1_486_364_155 % (1 << 32)).try_into().unwrap()
}

/// Bit by bit, as IEEE 802.3 has it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    !sum
}

fn files() -> BTreeMap<i64, [PathBuf; 2]> {
    let mut files: BTreeMap<i64, [PathBuf; 2]> = BTreeMap::new();
    for entry in fs::read_dir(migrations_dir()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some((version, rest)) = name.split_once('_') else { continue };
        let Ok(version) = version.parse() else { continue };
        let side = usize::from(rest.ends_with(".down.sql"));
        files.entry(version).or_default()[side] = path;
    }
    files
}
