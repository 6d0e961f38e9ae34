//! `mailroom migrate`: the schema, brought up to date or back, the way golang-migrate does it, so that
//! either may be used on a database, and both at once.
//!
//! `files` are what this program carries, `plan` says which to run; `lock` and `record` are the protocol.
//! A file takes effect between two writes of the record, "version, dirty" and "version, clean". If we
//! die in between, the database is dirty, and nobody migrates it before a person has looked.

mod commands;
mod failure;
mod files;
mod lock;
#[cfg(test)]
mod names;
mod plan;
mod record;
mod run;
mod status;

pub use commands::{Args, run};

/// The newest version this program knows.
pub fn newest() -> i64 {
    files::ALL.last().map_or(0, |migration| migration.version)
}

/// Says something beside the results, on stderr.
fn say(text: impl std::fmt::Display) {
    daemon::log::complain("mailroom", text);
}
