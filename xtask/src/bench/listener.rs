//! What row 4 compares the collector with: programs that LISTEN and write a line to their stdout at each
//! notification, and do nothing else, or nothing else but claim.

use std::io::Write as _;

use anyhow::Context;
use testkit::Process;
use tokio_postgres::{AsyncMessage, NoTls};

use super::bare::Bare;

/// What they are called among the tasks.
pub(crate) const TASK: &str = "bench-listener";
/// What they listen to; `latency.rs` notifies it.
const CHANNEL: &str = "bench";

/// What is written at a notification.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line {
    /// What it says.
    Heard,
    /// The address of a delivery that is claimed then, by the collector's statement.
    Claimed,
}

impl Line {
    fn word(self) -> &'static str {
        match self {
            Line::Heard => "heard",
            Line::Claimed => "claimed",
        }
    }
}

/// One that connects to `url`.
pub(super) fn listener(url: &str, line: Line) -> anyhow::Result<Process> {
    let own = std::env::current_exe().context("ask for the path of this program")?;
    Ok(Process::at(own).args([TASK, url, line.word()]).stdout_held())
}

/// Is one, until its connection or its reader is gone.
pub(crate) fn run(url: &str, line: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("build a tokio runtime")?.block_on(async {
        if line == Line::Claimed.word() {
            Bare::connect(url).await?.claim_when_notified(CHANNEL, write).await
        } else {
            hear(url).await
        }
    })
}

async fn hear(url: &str) -> anyhow::Result<()> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.context("connect")?;
    let hear = async {
        while let Some(message) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(news) = message.context("hear")? {
                write(news.payload().as_bytes())?;
            }
        }
        Ok(())
    };
    let sql = format!("LISTEN {CHANNEL}");
    let listen = async { client.batch_execute(&sql).await.with_context(|| sql.clone()) };
    tokio::try_join!(hear, listen).map(|_| ())
}

/// In one piece, so that it is read in one.
fn write(line: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let line = [line, b"\n"].concat();
    stdout.write_all(&line).and_then(|()| stdout.flush()).context("write to stdout")
}
