//! `mailroom doctor`: would mail flow? Everything is looked at that a set-up can have wrong, with the
//! environment that the halves are given, and each fault is said with its remedy.
//!
//! Nothing is changed: not in the database, not at the provider. [`settings`] first, then the database
//! ([`connection`], [`server`], [`schema`], [`triggers`], [`rights`], [`pipe`]), then the way out
//! ([`transport`]).

pub mod connection;
pub mod finding;
pub mod key_file;
pub mod letter;
pub mod pipe;
pub mod query;
pub mod rights;
pub mod schema;
pub mod server;
pub mod ses;
pub mod settings;
pub mod stored;
pub mod templates;
pub mod transport;
pub mod triggers;

use std::time::Duration;

use clap::ValueEnum;
use daemon::exit::Exit;
use sender::config::Kind;

use self::finding::{Finding, Report};
use self::pipe::Action;
use self::settings::Settings;
use crate::database::block_on;
use crate::environment::Environment;
use crate::output::Output;

/// SES takes one call a second about templates.
const PACE_MS: u64 = 1000;

const HELP: &str = "Settings: those of the collector and of the sender, see their --help.\n\
    Exit codes: 0 mail would flow, 75 something is away, 78 something must be mended.";

/// What is said after `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A JSON object a line: verdict, check, detail, remedy
    #[arg(long)]
    json: bool,
    /// Send one real test mail there, as the sender would
    #[arg(long, value_name = "ADDRESS")]
    send_to: Option<String>,
    /// Which half has this environment: for halves with logins or machines of their own
    #[arg(long, value_enum, default_value_t = Half::Both)]
    half: Half,
    /// Milliseconds between the beginnings of two calls about templates
    #[arg(long = "pace", value_name = "MS", default_value_t = PACE_MS, hide = true)]
    pace_ms: u64,
}

/// Whose environment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Half {
    /// They share it.
    Both,
    /// The collector's.
    Collector,
    /// The sender's.
    Sender,
}

impl Half {
    /// Whether what the collector needs is looked at.
    pub fn collects(self) -> bool {
        self != Self::Sender
    }

    /// Whether what the sender needs is looked at.
    pub fn sends(self) -> bool {
        self != Self::Collector
    }
}

/// Looks at everything.
///
/// # Errors
/// When the reader of stdout is gone; what is found is no error.
pub fn run(args: Args, environment: &Environment, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let mut report = Report::new(out, args.json);
    let (settings, findings) = settings::read(environment, args.half);
    report.say(findings)?;
    block_on(async {
        let actions = Box::pin(database(&settings, args.half, &mut report)).await?;
        if args.half.sends() {
            let way = transport::Way {
                settings: settings.sender.as_ref(),
                environment,
                actions: &actions,
                pace: Duration::from_millis(args.pace_ms),
            };
            Box::pin(way.look(&mut report)).await?;
        }
        match &args.send_to {
            None => {}
            Some(address) if args.half.sends() => {
                report.say([Box::pin(letter::send(settings.sender.as_ref(), address)).await])?;
            }
            Some(_) => {
                let detail = "not sent: it is the sender that sends";
                report.say([Finding::wrong("test mail", detail, "with --half sender")])?;
            }
        }
        Ok(())
    })?;
    report.end()
}

/// Looks at the database; the actions there are, or those there always are.
async fn database(
    settings: &Settings,
    half: Half,
    report: &mut Report<'_, '_>,
) -> anyhow::Result<Vec<Action>> {
    let Some(target) = &settings.database else {
        let detail = "no database to look at: MAILROOM_DATABASE_URL is not usable";
        report.say(unseen("connection", half, detail))?;
        return Ok(Action::known());
    };
    let (one, other) = match Box::pin(connection::open(target)).await {
        Ok((one, other, findings)) => {
            report.say(findings)?;
            (one, other)
        }
        Err(finding) => {
            let after = finding.check.clone();
            report.say([finding])?;
            report.say(unseen(&after, half, "there is no connection"))?;
            return Ok(Action::known());
        }
    };
    report.say(Box::pin(server::look(&one)).await)?;
    drop(other);
    let (there, findings) = schema::look(&one).await;
    report.say(findings)?;
    if !there {
        report.say([Finding::skipped(
            "triggers and the rest",
            "there is no schema to look at",
            "",
        )])?;
        return Ok(Action::known());
    }
    report.say(triggers::look(&one).await)?;
    if let Some((channel, queue)) = &settings.collector {
        report.say([pipe::channel(&one, channel).await, pipe::queue(&one, queue).await])?;
    }
    let queue = settings.collector.as_ref().map(|(_, queue)| queue.as_str());
    let (actions, findings) = pipe::actions(&one, queue).await;
    report.say(findings)?;
    let sender = settings.sender.as_ref().filter(|sender| sender.transport == Kind::Ses);
    if let (Some(sender), false) = (sender, actions.is_empty()) {
        report.say(stored::strangers(sender, &actions))?;
    }
    report.say(Box::pin(rights::look(&one, half)).await)?;
    report.say(pipe::backlog(&one, queue.unwrap_or("mailroom")).await)?;
    Ok(if actions.is_empty() { Action::known() } else { actions })
}

/// All that is looked at in a database, in this order.
const IN_DATABASE: [&str; 15] = [
    "connection",
    "pooler",
    "PostgreSQL",
    "writable",
    "clock",
    "connections",
    "open transactions",
    "settings of roles",
    "schema",
    "triggers",
    "functions",
    "channel",
    "queue",
    "actions",
    "pipe",
];

/// What comes after `first` and is not looked at because of that.
fn unseen(first: &str, half: Half, detail: &str) -> Vec<Finding> {
    let of_collector = |check: &&str| half.collects() || !["channel", "queue"].contains(check);
    let checks = IN_DATABASE.iter().skip_while(|check| **check != first).skip(1);
    let rights = [("collector's rights", half.collects()), ("sender's rights", half.sends())];
    let rights = rights.into_iter().filter_map(|(check, of_it)| of_it.then_some(check));
    let checks = checks.copied().filter(of_collector).chain(rights);
    checks.map(|check| Finding::skipped(check, detail, "")).collect()
}
