//! What row 4 compares the collector with: a program that does nothing but LISTEN, and writes what it
//! hears to its stdout, a line a notification.

use std::io::Write as _;

use anyhow::Context;
use testkit::Process;
use tokio_postgres::{AsyncMessage, NoTls};

/// What it is called among the tasks.
pub(crate) const TASK: &str = "bench-listener";
/// What it listens to.
pub(super) const CHANNEL: &str = "bench";

/// One that connects to `url`.
pub(super) fn listener(url: &str) -> anyhow::Result<Process> {
    let own = std::env::current_exe().context("ask for the path of this program")?;
    Ok(Process::at(own).args([TASK, url]).stdout_held())
}

/// Is one, until its connection or its reader is gone.
pub(crate) fn run(url: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("build a tokio runtime")?.block_on(async {
        let (client, mut connection) =
            tokio_postgres::connect(url, NoTls).await.context("connect")?;
        let mut stdout = std::io::stdout();
        let mut hear = async || {
            while let Some(message) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(news) = message.context("hear")? {
                    stdout.write_all(format!("{}\n", news.payload()).as_bytes())?;
                    stdout.flush()?;
                }
            }
            Ok(())
        };
        let sql = format!("LISTEN {CHANNEL}");
        let (heard, listens) = tokio::join!(hear(), client.batch_execute(&sql));
        listens.context(sql)?;
        heard
    })
}
