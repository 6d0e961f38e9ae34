//! What Mailroom's tests stand on: a throw-away PostgreSQL, databases made from the migrations,
//! child processes whose logs can be waited for, a double of SES that fails on command, and a
//! proxy that fails like a network.
//!
//! Everything here cleans up after itself, also when its owner is killed with SIGKILL: see
//! [`Postgres`] and [`Running`].

mod account;
mod apart;
mod binary;
mod certificates;
mod clock;
mod cluster;
mod database;
mod exposition;
mod http;
mod ledger;
mod lines;
mod migrations;
mod needles;
mod pg_binaries;
mod pipeline;
mod pooler;
mod port;
mod postgres;
mod process;
mod proxy;
mod quiet;
mod relay;
mod resolver;
mod role;
mod running;
pub mod ses;
mod shim;
pub mod smtp;
mod tls;
mod wait;
mod watchdog;

pub use binary::{binary, binary_of};
pub use certificates::{Authority, Certificate};
pub use clock::Clock;
pub use cluster::Options;
pub use database::{Database, HELD_UNLESS_PENDING};
pub use exposition::{Exposition, Family, Sample};
pub use http::Answer;
pub use migrations::{migrate, migrate_down, migrations_dir};
pub use pipeline::Pipeline;
pub use pooler::TransactionPooler;
pub use port::free_port;
pub use postgres::{Postgres, shared};
pub use process::Process;
pub use proxy::Proxy;
pub use quiet::{assert_quiet, unexpected};
pub use relay::{Onward, Relay, Software};
pub use resolver::SilentResolver;
pub use role::Role;
pub use running::Running;
pub use rustix::process::Signal;
pub use ses::{AcceptedMail, Reply, Ses};
pub use smtp::{Act, Received, SmtpOptions, SmtpServer, Stage};
pub use wait::eventually;
