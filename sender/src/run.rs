//! The sender at work: lines in, calls out, results recorded.
//!
//! A line is read only when a call can start, so what is urgent is overtaken by little: the calls in
//! flight and one line.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, anyhow};
use daemon::crash_point;
use daemon::exit::{Exit, ExitExt};
use daemon::shutdown::Shutdown;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mailroom::line;
use tokio::io::AsyncRead;
use tokio::time::sleep;

use crate::config::Config;
use crate::courier::Courier;
use crate::ledger::Ledger;
use crate::plan::{self, Planned};
use crate::rate::Bucket;
use crate::reader::{Input, Reader};
use crate::transport::{SendRate, Transport};

/// How long a stop waits for PostgreSQL to record what is in hand.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);

/// Sends what comes in until it ends or we are asked to stop.
///
/// # Errors
/// When nothing more can be sent or recorded; the exit code is in the error.
pub async fn run<T: Transport, R: AsyncRead + Unpin>(
    config: &Config,
    transport: &T,
    reader: Reader<R>,
    shutdown: Shutdown,
) -> anyhow::Result<Exit> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), transport = transport.name(), "started");
    if config.database.is_none() && !config.dry_run {
        tracing::warn!(
            consequence = "unexpired mail is sent again after a restart",
            remedy = "give the sender MAILROOM_DATABASE_URL too",
            "unacknowledged"
        );
    }
    let rate = match config.ses_rate {
        Some(rate) => Some(rate),
        None => tokio::select! {
            () = shutdown.requested() => None,
            allowed = transport.send_rate() => match allowed {
                SendRate::Known(rate) => Some(rate),
                SendRate::Unknown => None,
            },
        },
    };
    let bucket = RefCell::new(Bucket::new(rate));
    let ledger = config.database.as_ref().map(|_| Ledger::default());
    let courier = Courier::new(config, transport, ledger.as_ref(), &bucket);
    let keep = async {
        match (&ledger, &config.database) {
            (Some(ledger), Some(database)) => ledger.keep(database).await,
            _ => std::future::pending().await,
        }
    };
    let too_late = async {
        shutdown.requested().await;
        sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        exit = deliver(config, &courier, transport, reader, &shutdown) => exit,
        error = keep => Err(error),
        () = too_late => {
            let calls = ledger.as_ref().map_or(0, Ledger::unrecorded);
            tracing::error!(calls, "results_unrecorded");
            Ok(Exit::Unavailable)
        }
    }
}

/// Whether one more call may start: `concurrency` at a time, and one less than that again that are
/// answered and not recorded yet; so one at a time is just that.
fn may_start<T: Transport>(courier: &Courier<'_, T>, carried: usize, concurrency: usize) -> bool {
    courier.under_way() < concurrency && carried < (2 * concurrency).saturating_sub(1)
}

async fn deliver<T: Transport, R: AsyncRead + Unpin>(
    config: &Config,
    courier: &Courier<'_, T>,
    transport: &T,
    mut reader: Reader<R>,
    shutdown: &Shutdown,
) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut reading = true;
    let mut waiting: VecDeque<Planned> = VecDeque::new();
    // Asked for by a signal or by a failure: what has not begun does not begin.
    let (halt, halted) = Shutdown::manual();
    let mut in_flight = FuturesUnordered::new();
    let mut failed: Option<anyhow::Error> = None;
    loop {
        if shutdown.is_requested() || failed.is_some() {
            // What has not begun stays where it is: the collector gets it back.
            reading = false;
            halt.request();
            waiting.clear();
        }
        while may_start(courier, in_flight.len(), config.concurrency)
            && let Some(planned) = waiting.pop_front()
        {
            in_flight.push(courier.carry(planned, &halted));
        }
        let may_start = may_start(courier, in_flight.len(), config.concurrency);
        if !reading && in_flight.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = shutdown.requested(), if reading => {}
            Some(carried) = in_flight.next() => {
                if let Err(error) = carried {
                    failed.get_or_insert(error);
                }
            }
            () = courier.answered(), if reading && !may_start => {}
            input = reader.next(), if reading && waiting.is_empty() && may_start => {
                match input.context("read stdin").exit(Exit::Unavailable)? {
                    Input::Line(number, line) => match line::parse(&line) {
                        Ok(rows) => {
                            crash_point!("line_read");
                            waiting = plan::calls(rows, courier.call_max()).into();
                        }
                        Err(reason) => {
                            exit = Exit::Input;
                            tracing::warn!(line = number, reason = %reason, "line_malformed");
                        }
                    },
                    Input::TooLong(number) => {
                        exit = Exit::Input;
                        let reason = format!("the line has {} bytes or more", line::LINE_BYTES_MAX);
                        tracing::warn!(line = number, reason, "line_malformed");
                    }
                    Input::Unterminated(number) => {
                        tracing::warn!(line = number, "line_unterminated");
                    }
                    Input::End => reading = false,
                }
            }
        }
        if failed.is_none()
            && let Some(reason) = transport.broken()
        {
            failed = Some(anyhow!(reason).exit(Exit::Unavailable));
        }
    }
    transport.finish().await;
    match failed {
        Some(error) => Err(error),
        None => {
            tracing::info!("stopped");
            Ok(exit)
        }
    }
}
