//! The whole pipe, as it is run: real processes, a real PostgreSQL, a double of SES.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod answers;
mod application;
mod audit;
mod blackhole;
mod clock;
mod crash;
mod docs;
mod faults;
mod growth;
mod hostile;
mod hosts;
mod idle;
mod memory;
mod minutes;
mod new_kind;
mod operations;
mod outage;
mod packaging;
mod pipe;
#[cfg(debug_assertions)]
mod points;
mod pooler;
mod priority;
mod provider;
mod recipes;
mod relays;
mod roles;
mod run;
mod serve;
mod ses_tls;
mod settings;
mod support;
mod throttling;
mod transports;
mod twice;
mod upgrade;
mod volume;
mod wire;
mod world;

/// For what should happen at once, on a machine that is busy with other tests.
const SOON: std::time::Duration = std::time::Duration::from_secs(30);
