//! `make example`: the application of `examples/signup` with all it needs, until Ctrl-C.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use testkit::{Database, Pipeline, Postgres, Process, Role, Running, binary_of};
use tokio::signal::unix::{SignalKind, signal};

use crate::demo::say;

/// The longest an application may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the processes are looked after.
const PULSE: Duration = Duration::from_millis(500);

/// Starts it all, says where it is, and takes it down when told to.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("build a tokio runtime")?.block_on(async {
        say("Setting up: a private PostgreSQL, collector | sender, and the application.")?;
        // Dropped in the opposite order; the files go with the server.
        let postgres = Postgres::start().context("start PostgreSQL")?;
        let database = Database::fresh_on(&postgres).await.context("make a database")?;
        let schema = include_str!("../../examples/signup/schema.sql");
        database.execute(schema).await.context("make the application's own table")?;
        let mails = postgres.socket_dir().join("mail");
        let key = "SELECT encode(gen_random_bytes(32), 'hex')";
        let key = database.query_text(key).await.context("make a key")?;

        let application = application(&database, &key, &mails)?;
        let url = application.wait_line(1, PATIENCE)?;
        let pipe = Pipeline::spawn(collector(&database, &key), sender(&database, &mails, &url))?;
        // Heard from the moment on that somebody is told of it.
        let mut pressed = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        say(format_args!(
            "\nOpen {url}/ in a browser: sign up, open the mailbox, follow the link.\n\
             Its mails:    {}\n\
             Its database: psql {}\n\
             Ctrl-C ends it, and nothing is left.",
            mails.display(),
            database.url()
        ))?;
        tokio::select! {
            _ = pressed.recv() => Ok(()),
            ended = watch([
                ("signup", &application),
                ("collector", &pipe.collector),
                ("sender", &pipe.sender),
            ]) => ended,
        }
    })
}

fn application(database: &Database, key: &str, mails: &Path) -> anyhow::Result<Running> {
    Process::at(binary_of("mailroom-example-signup", "signup")?)
        .env("LISTEN", std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:0".to_owned()))
        .env("DATABASE_URL", database.url_as(Role::Application))
        .env("MAILROOM_SECRET_KEY", key)
        .env("MAILBOX", mails)
        .spawn()
}

fn collector(database: &Database, key: &str) -> Process {
    Process::new("collector")
        .env("MAILROOM_DATABASE_URL", database.url_as(Role::Collector))
        .env("MAILROOM_SECRET_KEY", key)
        // Nobody else signs up here, so there is nothing to wait for.
        .env("MAILROOM_BATCH_TIMEOUT", "0")
}

fn sender(database: &Database, mails: &Path, url: &str) -> Process {
    Process::new("sender")
        .env("MAILROOM_DATABASE_URL", database.url_as(Role::Sender))
        .env("MAILROOM_TRANSPORT", "file")
        .env("MAILROOM_FILE_PATH", mails)
        .env("MAILROOM_FROM", "Example <noreply@example.com>")
        .env("MAILROOM_BASE_URL", url)
}

/// Comes back only with the error that one of them has ended.
async fn watch(processes: [(&str, &Running); 3]) -> anyhow::Result<()> {
    let mut pulse = tokio::time::interval(PULSE);
    loop {
        pulse.tick().await;
        for (name, process) in processes {
            if !process.is_running()? {
                bail!("{name} has ended; its log:\n{}", process.stderr());
            }
        }
    }
}
