//! A database per test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::apart;
use crate::ledger::{self, DATABASE_PREFIX};
use crate::migrations::{migrate, migrations_dir};
use crate::postgres::{Postgres, try_shared};
use crate::role::Role;

/// How often [`Database::wait_until`] asks.
const POLL: Duration = Duration::from_millis(20);
/// How long a clone waits for others to let go of the template.
const TEMPLATE_FREE_WITHIN: Duration = Duration::from_secs(20);
/// How long the end of a test may be held up by dropping its database.
const DROP_WITHIN: Duration = Duration::from_secs(10);

/// A database of one's own, dropped when this value is; sessions that are still in it are ended.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    conninfo: String,
    admin_url: String,
    /// For the questions of the test itself; made at the first, made again after a restart.
    client: Mutex<Option<Arc<Client>>>,
}

/// The server has read its configuration anew.
const SETTING_KNOWN_WITHIN: Duration = Duration::from_secs(20);

/// What docs/SCHEMA.md says of `deliveries.holder`. The schema does not check it, since PostgreSQL reads
/// and plans a CHECK anew for each statement that writes the table (ADR 12): a test does.
pub const HELD_UNLESS_PENDING: &str = "ALTER TABLE deliveries
    ADD CONSTRAINT a_delivery_is_held_unless_it_is_pending
    CHECK ((state = 'pending') = (holder IS NULL))";

impl Database {
    /// An empty database with all migrations applied and [`HELD_UNLESS_PENDING`], on the
    /// [`shared`](crate::shared) server. It is a clone of one that is migrated once per process.
    ///
    /// # Errors
    ///
    /// If there is no server, or a migration fails.
    pub async fn fresh() -> anyhow::Result<Database> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let server = try_shared()?;
        let template = TEMPLATE.get_or_try_init(|| make_template(server)).await?;
        Database::create(server, Some(template)).await
    }

    /// A database without migrations, on the [`shared`](crate::shared) server.
    ///
    /// # Errors
    ///
    /// If there is no server.
    pub async fn empty() -> anyhow::Result<Database> {
        Database::create(try_shared()?, None).await
    }

    /// As [`fresh`](Database::fresh), on a server of the test's own.
    ///
    /// # Errors
    ///
    /// If a migration fails.
    pub async fn fresh_on(server: &Postgres) -> anyhow::Result<Database> {
        let database = Database::create(server, None).await?;
        migrate(database.url(), &migrations_dir(), None).await?;
        Ok(database)
    }

    /// As [`empty`](Database::empty), on a server of the test's own.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn empty_on(server: &Postgres) -> anyhow::Result<Database> {
        Database::create(server, None).await
    }

    /// As [`fresh`](Database::fresh), in another encoding than UTF-8.
    ///
    /// # Errors
    ///
    /// If the server does not start or has no such encoding, or a migration fails.
    pub async fn encoded(encoding: &str) -> anyhow::Result<Database> {
        let how = format!("template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        let database = Database::create(try_shared()?, Some(&how)).await?;
        migrate(database.url(), &migrations_dir(), None).await?;
        Ok(database)
    }

    async fn create(server: &Postgres, template: Option<&str>) -> anyhow::Result<Database> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("{DATABASE_PREFIX}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin_url = server.url("postgres");
        let admin = connect(&admin_url).await?;
        let sql = format!("CREATE DATABASE {name} TEMPLATE {}", template.unwrap_or("template0"));
        let deadline = Instant::now() + TEMPLATE_FREE_WITHIN;
        loop {
            match admin.batch_execute(&sql).await {
                Ok(()) => break,
                Err(error)
                    if error.code() == Some(&SqlState::OBJECT_IN_USE)
                        && Instant::now() < deadline => {}
                Err(error) => return Err(error).context(sql),
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Database {
            url: server.url(&name),
            conninfo: server.conninfo(&name),
            admin_url,
            name,
            client: Mutex::new(None),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, as a URI over TCP, for the superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it is, as a URI over TCP, for somebody with the rights of `role`.
    pub fn url_as(&self, role: Role) -> String {
        role.in_url(&self.url)
    }

    /// Where it is, as `key=value` words through the Unix socket.
    pub fn conninfo(&self) -> &str {
        &self.conninfo
    }

    /// A connection of the caller's own, driven by a task of the current runtime.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn client(&self) -> anyhow::Result<Client> {
        connect(&self.url).await
    }

    /// Runs one or more statements; the number of rows they touched.
    ///
    /// # Errors
    ///
    /// PostgreSQL's, with the SQL.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<u64> {
        let messages = self.ask(sql).await?;
        Ok(messages
            .iter()
            .map(|message| match message {
                SimpleQueryMessage::CommandComplete(rows) => *rows,
                _ => 0,
            })
            .sum())
    }

    /// All rows, as text; `None` is NULL.
    ///
    /// # Errors
    ///
    /// PostgreSQL's, with the SQL.
    pub async fn query_rows(&self, sql: &str) -> anyhow::Result<Vec<Vec<Option<String>>>> {
        let messages = self.ask(sql).await?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect())
                }
                _ => None,
            })
            .collect())
    }

    /// The first column of the first row, as text.
    ///
    /// # Errors
    ///
    /// PostgreSQL's, or that there is no row, or NULL; with the SQL.
    pub async fn query_text(&self, sql: &str) -> anyhow::Result<String> {
        let first = self.query_rows(sql).await?.into_iter().next();
        let value = first.with_context(|| format!("no row: {sql}"))?.into_iter().next();
        value.flatten().with_context(|| format!("NULL: {sql}"))
    }

    /// The first column of the first row, as a number.
    ///
    /// # Errors
    ///
    /// As [`query_text`](Database::query_text), or that it is not an integer.
    pub async fn query_i64(&self, sql: &str) -> anyhow::Result<i64> {
        let text = self.query_text(sql).await?;
        text.parse().with_context(|| format!("{text:?} is not an integer: {sql}"))
    }

    /// Asks every 20 ms until `sql` answers true. A server that is away meanwhile is waited for.
    ///
    /// # Errors
    ///
    /// If it has not within `timeout`, or `sql` is wrong; with the SQL and the last answer.
    pub async fn wait_until(&self, sql: &str, timeout: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let late = Instant::now() >= deadline;
            let answer = match self.query_rows(sql).await {
                Ok(rows) => match rows.into_iter().next().and_then(|row| row.into_iter().next()) {
                    Some(Some(value)) if value == "t" => return Ok(()),
                    answer => format!("{:?}", answer.flatten()),
                },
                Err(error) if is_away(&error) => format!("{error:#}"),
                Err(error) => return Err(error),
            };
            if late {
                bail!("waited {timeout:?} in vain for: {sql}\nthe last answer was {answer}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// From now on what its server commits durably waits for a standby, and there is none; or no more.
    /// Who waits is seen in `pg_stat_activity`: `wait_event = 'SyncRep'`.
    ///
    /// # Errors
    ///
    /// If the server, which must be the test's own, does not answer.
    pub async fn await_standby(&self, awaited: bool) -> anyhow::Result<()> {
        let name = if awaited { "nobody" } else { "" };
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
        self.execute(&set).await?;
        self.execute("SELECT pg_reload_conf()").await?;
        let is_set = format!("SELECT current_setting('synchronous_standby_names') = '{name}'");
        self.wait_until(&is_set, SETTING_KNOWN_WITHIN).await
    }

    async fn ask(&self, sql: &str) -> anyhow::Result<Vec<SimpleQueryMessage>> {
        let client = self.own_client().await?;
        client.simple_query(sql).await.with_context(|| sql.to_owned())
    }

    async fn own_client(&self) -> anyhow::Result<Arc<Client>> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let client = Arc::new(connect(&self.url).await?);
        *kept = Some(client.clone());
        Ok(client)
    }
}

impl Drop for Database {
    /// Best effort: the server may be gone, and everything with it. What the children said who worked
    /// on it has no address, login or secret of its in it.
    fn drop(&mut self) {
        let private = apart::run(async {
            let private = tokio::time::timeout(DROP_WITHIN, private(&self.url)).await;
            private.context("look what is in it in time")
        });
        let _ = apart::run(async {
            tokio::time::timeout(DROP_WITHIN, async {
                let admin = connect(&self.admin_url).await?;
                let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
                admin.batch_execute(&sql).await.context(sql)
            })
            .await
            .context("drop the database in time")?
        });
        ledger::close(&self.name, private.unwrap_or_default());
    }
}

/// What must not be in a log: addresses, logins, and secrets as they are written anywhere. What a
/// token is signed with comes after its secret, whose last character it changes.
async fn private(url: &str) -> Vec<String> {
    const QUESTIONS: [&str; 3] = [
        "SELECT email, login FROM accounts",
        "SELECT left(translate(encode(secret, 'base64'), '+/', '-_'), 42) FROM tokens",
        "SELECT encode(secret, 'hex') FROM tokens",
    ];
    let Ok(client) = connect(url).await else { return Vec::new() };
    let mut all = Vec::new();
    for question in QUESTIONS {
        // Not every test has these tables.
        for message in client.simple_query(question).await.unwrap_or_default() {
            if let SimpleQueryMessage::Row(row) = message {
                all.extend((0..row.len()).filter_map(|n| row.get(n).map(str::to_owned)));
            }
        }
    }
    all
}

/// Not the statement's fault: the server is stopping, starting or gone.
fn is_away(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code) {
        Some(code) => code.code().starts_with("57P") || code.code().starts_with("08"),
        None => true,
    }
}

async fn make_template(server: &Postgres) -> anyhow::Result<String> {
    const NAME: &str = "mailroom_template";
    let admin = connect(&server.url("postgres")).await?;
    // An earlier attempt may have failed half-way.
    let again = format!("DROP DATABASE IF EXISTS {NAME} WITH (FORCE)");
    admin.batch_execute(&again).await.context(again)?;
    let create = format!("CREATE DATABASE {NAME} TEMPLATE template0");
    admin.batch_execute(&create).await.context(create)?;
    let url = server.url(NAME);
    migrate(&url, &migrations_dir(), None).await?;
    let template = connect(&url).await?;
    template.batch_execute(HELD_UNLESS_PENDING).await.context(HELD_UNLESS_PENDING)?;
    // Nobody, autovacuum included, shall be in it while it is cloned.
    let close = format!("ALTER DATABASE {NAME} ALLOW_CONNECTIONS false");
    admin.batch_execute(&close).await.context(close)?;
    Ok(NAME.to_owned())
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.with_context(|| format!("connect to {url}"))?;
    tokio::spawn(connection);
    Ok(client)
}
