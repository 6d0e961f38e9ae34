//! The whole pipe, as it is run: real processes, a real PostgreSQL, a double of SES.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod audit;
mod crash;
mod docs;
mod growth;
mod hostile;
mod idle;
#[cfg(debug_assertions)]
mod points;
mod priority;
mod roles;
mod settings;
mod support;
mod twice;
mod upgrade;
mod volume;
mod wire;
mod world;

/// For what should happen at once, on a machine that is busy with other tests.
const SOON: std::time::Duration = std::time::Duration::from_secs(30);
