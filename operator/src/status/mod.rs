//! `mailroom status`: what is outstanding, what happened lately, who is at work, and what the provider
//! allows.

mod page;
mod provider;
mod snapshot;

use std::io::{ErrorKind, IsTerminal};
use std::time::Duration;

use daemon::exit::{Exit, exit_of};
use daemon::postgres::Target;
use daemon::shutdown::Shutdown;
use serde::Serialize;
use tokio::time::Instant;

use self::provider::Provider;
use self::snapshot::Snapshot;
use crate::database::{Database, block_on};
use crate::environment::Environment;
use crate::output::Output;

/// The provider counts what it is asked; its quota changes slowly.
const PROVIDER_EVERY: Duration = Duration::from_secs(60);

/// To the first corner, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[2J";

const HELP: &str = "Settings: MAILROOM_DATABASE_URL, and for the provider's quota \
    MAILROOM_TRANSPORT and those of AWS (AWS_REGION, AWS_ACCESS_KEY_ID and so on).";

/// What is said after `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Show it again every so many seconds, until interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    watch: Option<u32>,
    /// A JSON object, a line each time
    #[arg(long)]
    json: bool,
}

/// All there is to say.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    snapshot: Snapshot,
    provider: Provider,
}

/// Shows it.
///
/// # Errors
/// What stopped it; the exit code is in the error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let mut asker = Asker::new(environment.database()?, environment);
    block_on(async {
        let Some(seconds) = args.watch else {
            let status = asker.ask().await?;
            show(&status, args.json, "", out)?;
            return Ok(Exit::Done);
        };
        let clear = if !args.json && std::io::stdout().is_terminal() { CLEAR } else { "" };
        let shutdown = Shutdown::on_signals()?;
        let every = Duration::from_secs(seconds.into());
        loop {
            let next = Instant::now() + every;
            let asked = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(Exit::Done),
                asked = asker.ask() => asked,
            };
            let shown = match asked {
                Ok(status) => show(&status, args.json, clear, out),
                // The database comes back, and this is what one looks at meanwhile.
                Err(error) if exit_of(&error) == Exit::Unavailable => {
                    let said = format!("{error:#}; asking again");
                    if args.json {
                        out.json(&serde_json::json!({ "error": said }))
                    } else {
                        out.text(&format!("{clear}{said}\n"))
                    }
                }
                Err(error) => return Err(error),
            };
            match shown {
                Err(error) if is_reader_gone(&error) => return Ok(Exit::Done),
                other => other?,
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(Exit::Done),
                () = tokio::time::sleep_until(next) => {}
            }
        }
    })
}

fn show(status: &Status, json: bool, clear: &str, out: &mut Output<'_>) -> anyhow::Result<()> {
    if json {
        return out.json(status);
    }
    out.text(&format!("{clear}{}", page::of(status)?))
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Who asks, and what is kept from one time to the next.
struct Asker<'a> {
    target: Target,
    database: Option<Database>,
    environment: &'a Environment,
    provider: Option<(Instant, Provider)>,
}

impl<'a> Asker<'a> {
    fn new(target: Target, environment: &'a Environment) -> Self {
        Self { target, database: None, environment, provider: None }
    }

    async fn ask(&mut self) -> anyhow::Result<Status> {
        // Kept only when it has answered: after an error there is another connection.
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::connect_sparing(&self.target).await?,
        };
        let snapshot = Snapshot::take(&database).await?;
        self.database = Some(database);
        let fresh = |at: &Instant| at.elapsed() < PROVIDER_EVERY;
        let provider = match self.provider.take().filter(|(at, _)| fresh(at)) {
            Some(kept) => kept,
            None => (Instant::now(), Provider::ask(self.environment).await),
        };
        self.provider = Some(provider.clone());
        Ok(Status { snapshot, provider: provider.1 })
    }
}
