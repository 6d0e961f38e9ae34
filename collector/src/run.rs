//! The collector at work: one session after another until it is asked to stop.

use std::time::Duration;

use anyhow::anyhow;
use daemon::crash_point;
use daemon::exit::{Exit, ExitExt};
use daemon::reconnect::Reconnect;
use daemon::session::Identity;
use daemon::shutdown::Shutdown;
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::emitter::Emitter;
use crate::queue::{self, Predecessors, Queue};
use crate::work::{End, Work};

/// Not durable: what PostgreSQL forgets of it when it crashes can be done again (ADR 15).
const IDENTITY: Identity =
    Identity { kind: "collector", version: env!("CARGO_PKG_VERSION"), durable: false };

/// The longest wait between two attempts to reach PostgreSQL.
const RECONNECT_MAX: Duration = Duration::from_secs(10);
/// Signals to both halves of a pipe arrive no further apart than this.
const STOP_TOGETHER: Duration = Duration::from_millis(200);
/// How long a stop waits for a line that the reader does not take. The rest of it is released.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Collects until asked to stop, or until nobody reads.
///
/// # Errors
/// When the first connection cannot be made and waiting would not mend it, or when the database is
/// behind a transaction pooler: [`Exit::Config`].
pub async fn run(
    config: &Config,
    mut emitter: Emitter,
    shutdown: Shutdown,
) -> anyhow::Result<Exit> {
    tracing::info!(
        version = IDENTITY.version,
        queue = config.queue,
        batch_limit = config.batch_limit,
        "started"
    );
    let mut predecessors = Predecessors::default();
    let mut checked = false;
    let channel = Some(config.channel.as_str());
    let mut sessions =
        Reconnect::new(&config.database, IDENTITY, channel, &queue::ALL, RECONNECT_MAX);
    loop {
        let session = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(stopped()),
            () = emitter.reader_gone() => return Ok(reader_gone(0, &shutdown).await),
            session = sessions.open() => session?,
        };
        let queue = Queue::new(&session, &config.queue);
        let mut work = Work::new(config, &queue, &mut emitter, &mut predecessors);
        let end = tokio::select! {
            end = work.until_the_end(&session, &mut checked, &shutdown) => end,
            () = too_late(&shutdown) => {
                tracing::warn!("line_unfinished");
                // If PostgreSQL does not answer either, our session's end releases them.
                _ = timeout(STOP_TIMEOUT, queue.release()).await;
                End::Stopped
            }
        };
        predecessors.sessions.push(session.former());
        match end {
            End::Unfit(error) => return Err(error),
            End::Stopped => return Ok(stopped()),
            End::ReaderGone => {
                crash_point!("reader_gone");
                let released = queue.release().await.unwrap_or_default();
                return Ok(reader_gone(released, &shutdown).await);
            }
            End::Unwritable(error) => {
                _ = queue.release().await;
                return Err(anyhow!(error).context("write to stdout").exit(Exit::Unavailable));
            }
            // What the first session may not do, the next one may not, either.
            End::Lost(trouble) if trouble.is_pooled() || (!checked && trouble.will_not_mend()) => {
                return Err(anyhow!(trouble).exit(Exit::Config));
            }
            End::Lost(trouble) => {
                tracing::warn!(error = %trouble, "connection_lost");
            }
        }
    }
}

async fn too_late(shutdown: &Shutdown) {
    shutdown.requested().await;
    sleep(STOP_TIMEOUT).await;
}

fn stopped() -> Exit {
    tracing::info!("stopped");
    Exit::Done
}

/// A stop of the whole pipe, Ctrl-C say, reaches the reader as well, and perhaps first: then it is a
/// stop and not a failure.
async fn reader_gone(released: i64, shutdown: &Shutdown) -> Exit {
    if timeout(STOP_TOGETHER, shutdown.requested()).await.is_ok() {
        tracing::info!(released, "reader_gone");
        return stopped();
    }
    tracing::warn!(released, "reader_gone");
    Exit::Unavailable
}
