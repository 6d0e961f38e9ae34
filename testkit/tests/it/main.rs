//! The testkit's own tests.

mod database;
mod ledger;
mod postgres;
mod process;
mod proxy;
mod relay;
mod ses;

/// For what should happen at once, on a machine that is busy with other tests.
const SOON: std::time::Duration = std::time::Duration::from_secs(20);
