//! The parts of `daemon` that need a real PostgreSQL, a real signal or a real stderr.

#![expect(clippy::expect_used, reason = "a step that fails, fails the test")]

mod certificates;
mod connecting;
mod processes;
mod refusals;
mod tls;

use std::path::PathBuf;

use daemon::postgres::{ConnectError, Connected, Os, Target};

/// A user without files of his own.
fn os() -> Os {
    Os { user: Some("postgres".to_owned()), home: None, socket_dirs: Vec::new() }
}

fn target(conninfo: &str) -> Target {
    target_of(conninfo, &os())
}

fn target_of(conninfo: &str, os: &Os) -> Target {
    Target::parse(conninfo, &|_| None, os).expect(conninfo)
}

async fn connect(conninfo: &str) -> Result<Connected, ConnectError> {
    target(conninfo).connect().await
}

/// What a statement returns, its first column of its first row as text.
async fn ask(connected: &mut Connected, sql: &str) -> String {
    let answer = connected.driver.run(connected.client.query_one(sql, &[])).await;
    answer.expect("still connected").expect(sql).get(0)
}

async fn execute(connected: &mut Connected, sql: &str) {
    let done = connected.driver.run(connected.client.batch_execute(sql)).await;
    done.expect("still connected").expect(sql);
}

/// A file in `dir`.
fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().expect("has a parent")).expect("create directory");
    std::fs::write(&path, text).expect("write file");
    path
}
