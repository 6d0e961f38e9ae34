//! The example, run as `make example` runs it: by HTTP, and in a real browser.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod browser;
mod chrome;
mod example;
mod flow;
mod http;

/// For what should happen at once, on a machine that is busy with other tests.
const SOON: std::time::Duration = std::time::Duration::from_secs(30);
