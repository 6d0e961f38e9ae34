//! The settings of `serve` and `ready`.

use std::net::SocketAddr;
use std::time::Duration;

use daemon::log::LogSettings;
use daemon::postgres::Target;
use daemon::settings::{Problems, said};
use serde::Deserialize;

use crate::environment::Environment;

/// For nobody but this machine, unless told otherwise.
const ADDR: &str = "127.0.0.1:9464";
const READY_AGE_MS: u64 = 30_000;
const DAY_MS: u64 = 86_400_000;

#[derive(Debug, Default, Deserialize)]
struct Said {
    log: Option<String>,
    log_format: Option<String>,
    ready_age: Option<String>,
    serve_addr: Option<String>,
}

/// What `serve` needs.
#[derive(Debug)]
pub struct Settings {
    /// Where PostgreSQL is.
    pub target: Target,
    /// What is listened on.
    pub addr: SocketAddr,
    /// Mail shall not wait for longer.
    pub ready_age: Duration,
    /// Its log.
    pub log: LogSettings,
}

impl Settings {
    /// From the environment; `listen`, if it was said on the command line, goes before its address.
    ///
    /// # Errors
    /// All settings that are wrong.
    pub fn from_environment(
        environment: &Environment,
        listen: Option<SocketAddr>,
    ) -> Result<Self, Problems> {
        let said: Said = said(environment.vars())?;
        let mut problems = Problems::default();
        let target = environment.database().map_err(|wrong| problems.extend(wrong)).ok();
        let text = said.serve_addr.as_deref().unwrap_or(ADDR);
        let addr = problems.check("MAILROOM_SERVE_ADDR", address(text));
        let ready_age = ready_age(&mut problems, said.ready_age);
        let log = LogSettings::from_said(&mut problems, said.log, said.log_format);
        let (Some(target), Some(addr)) = (target, listen.or(addr)) else { return Err(problems) };
        problems.finish(Self { target, addr, ready_age, log })
    }
}

/// What `ready` needs: where PostgreSQL is, and how old mail may become.
///
/// # Errors
/// All settings that are wrong.
pub fn of_ready(environment: &Environment) -> Result<(Target, Duration), Problems> {
    let said: Said = said(environment.vars())?;
    let mut problems = Problems::default();
    let target = environment.database().map_err(|wrong| problems.extend(wrong)).ok();
    let ready_age = ready_age(&mut problems, said.ready_age);
    let Some(target) = target else { return Err(problems) };
    problems.finish((target, ready_age))
}

/// An address and a port, for clap and for the setting.
///
/// # Errors
/// When it is none.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let example = "give an address and a port, as 127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464";
    text.parse().map_err(|_| format!("{text:?} is not an address to listen on; {example}"))
}

fn ready_age(problems: &mut Problems, said: Option<String>) -> Duration {
    Duration::from_millis(problems.number(
        "MAILROOM_READY_AGE",
        said,
        READY_AGE_MS,
        1..=DAY_MS,
        "ms",
    ))
}
