//! `mailroom serve`: metrics and health checks over HTTP, all from the database, so that the two halves
//! of the pipe stay small.
//!
//! [`http`] answers, [`watcher`] looks (through [`look`], [`connecting`] before that) when it is asked,
//! [`metrics`] and [`readiness`] say what was seen. [`counter`] keeps a look from becoming long.

pub mod connecting;
pub mod counter;
pub mod http;
pub mod look;
pub mod metrics;
pub mod readiness;
pub mod settings;
pub mod watcher;

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use daemon::exit::{Exit, ExitExt};
use daemon::shutdown::Shutdown;
use daemon::{log, memory, program};
use tokio::net::TcpListener;

use self::settings::{Settings, address};
use crate::database::block_on;
use crate::environment::Environment;

const HELP: &str = "GET /metrics: Prometheus's text format. GET /live: 200 while the process lives. GET /ready: 200 if the\n\
                    database answers and mail flows, else 503: none is accepted while some waits for longer than\n\
                    MAILROOM_READY_AGE, or nobody collects what has been due for so long. It says which.\n\
                    Settings: MAILROOM_DATABASE_URL (of a member of mailroom_operator), MAILROOM_SERVE_ADDR,\n\
                    MAILROOM_READY_AGE, MAILROOM_LOG, MAILROOM_LOG_FORMAT.";

/// What is said after `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The address and port to listen on [default: MAILROOM_SERVE_ADDR, else 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    listen: Option<SocketAddr>,
}

/// Serves until it is asked to stop.
///
/// # Errors
/// When the settings are wrong. What comes later is in the log, and in the exit code.
pub fn run(args: Args, environment: &Environment) -> anyhow::Result<Exit> {
    memory::keep_private();
    let settings = Settings::from_environment(environment, args.listen)?;
    log::init("mailroom", settings.log.level, settings.log.format);
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, ready_age_ms = log::ms(settings.ready_age), "started");
    Ok(program::end(block_on(serve(&settings))))
}

async fn serve(settings: &Settings) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals().context("watch for signals")?;
    let listener = listen(settings.addr).await?;
    let addr = listener.local_addr().context("ask for the address")?;
    tracing::info!(address = %addr, "listening");
    let (watcher, watching) = watcher::watcher(&settings.target, settings.ready_age);
    tokio::select! {
        () = shutdown.requested() => {}
        never = counter::run(&settings.target) => match never {},
        () = http::serve(listener, watcher, settings.ready_age) => {}
        watched = watching.run() => watched?,
    }
    tracing::info!("stopped");
    Ok(Exit::Done)
}

async fn listen(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|error| {
        // Whoever is there may be about to go; everything else is a wrong address.
        let exit = match error.kind() {
            ErrorKind::AddrInUse => Exit::Unavailable,
            _ => Exit::Config,
        };
        anyhow!(error).context(format!("listen on {addr}")).exit(exit)
    })
}
