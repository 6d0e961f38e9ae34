//! Runs files against a database.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context;
use daemon::exit::Exit;
use daemon::postgres::Target;
use daemon::shutdown::Shutdown;
use serde::Serialize;
use tokio_postgres::error::DbError;

use super::failure::failed;
use super::files::ALL;
use super::plan::{Direction, Step, Version, number, steps};
use super::record::{Record, State, unknown};
use super::say;
use crate::database::Database;
use crate::output::Output;

/// A connection, and the record of what it has.
pub(super) struct Migrator {
    database: Database,
    record: Record,
    shutdown: Shutdown,
}

/// One file that was run.
#[derive(Debug, Serialize)]
struct Done {
    direction: &'static str,
    version: i64,
    name: &'static str,
    /// Where the database is now; -1 is nothing.
    at: i64,
    seconds: f64,
}

impl Migrator {
    /// Connects. Nothing is written.
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let database = Database::connect_hearing(target, warn).await?;
        let record = Record::find(&database).await?;
        Ok(Self { database, record, shutdown: Shutdown::never() })
    }

    /// What the database says now; it may change until it is locked.
    pub(super) async fn state(&self) -> anyhow::Result<State> {
        self.record.read(&self.database).await
    }

    /// The steps from here, if a file may be run at all.
    pub(super) async fn plan(
        &self,
        direction: Direction,
        limit: Option<usize>,
    ) -> anyhow::Result<(State, Vec<Step>)> {
        let state = self.state().await?;
        self.record.check(state)?;
        let steps = steps(ALL, state.version, direction, limit);
        Ok((state, steps.with_context(|| unknown(number(state.version)))?))
    }

    /// Keeps others out, until [`unlock`](Self::unlock) or our end. From here on a signal is a wish; at a
    /// question before, it ends us.
    pub(super) async fn lock(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.shutdown = Shutdown::on_signals().context("handle signals")?;
        self.record.locks().take(&self.database, patience, &self.shutdown).await?;
        // Somebody may have been at work until now.
        self.record = Record::find(&self.database).await?;
        self.record.create(&self.database).await
    }

    /// Lets others in.
    pub(super) async fn unlock(&self) {
        self.record.locks().release(&self.database).await;
    }

    /// Says that the database is at `version`, and clean.
    pub(super) async fn force(&mut self, version: Version) -> anyhow::Result<()> {
        let clean = State { version, dirty: false };
        self.record.write(self.database.client_mut(), clean).await
    }

    /// Runs one file after another, with a line for each. Asked to stop, it ends the one it is at.
    pub(super) async fn go(
        &mut self,
        steps: &[Step],
        json: bool,
        out: &mut Output<'_>,
    ) -> anyhow::Result<Exit> {
        for (n, step) in steps.iter().enumerate() {
            if self.shutdown.is_requested() {
                say(format_args!("asked to stop; {} left to do", steps.len() - n));
                return Ok(Exit::Unavailable);
            }
            let done = self.step(step).await?;
            match json {
                true => out.json(&done)?,
                false => out.line(format_args!("{:<4}  {}", done.direction, step.file().name))?,
            }
        }
        Ok(Exit::Done)
    }

    async fn step(&mut self, step: &Step) -> anyhow::Result<Done> {
        let began = Instant::now();
        let version = step.after;
        self.record.write(self.database.client_mut(), State { version, dirty: true }).await?;
        self.run(step).await?;
        self.record.write(self.database.client_mut(), State { version, dirty: false }).await?;
        Ok(Done {
            direction: step.direction.word(),
            version: step.migration.version,
            name: step.migration.name,
            at: number(step.after),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Runs the file as one simple query. If we die here, the database stays dirty, whether the file is
    /// done or not.
    async fn run(&self, step: &Step) -> anyhow::Result<()> {
        let mut ran = pin!(self.database.batch_execute(step.file().text));
        let ended = tokio::select! {
            ended = &mut ran => ended,
            () = self.shutdown.requested() => {
                say("asked to stop: after this file");
                ran.await
            }
        };
        ended.map_err(|error| failed(step, &error))
    }
}

/// What a file warns of; what it merely notes is not for whoever migrates.
fn warn(said: &DbError) {
    if said.severity() == "WARNING" {
        let hint = said.hint().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        say(format_args!("warning: {}{hint}", said.message()));
    }
}
