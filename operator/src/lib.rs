//! The operator's tool, `mailroom`: what is done by hand, or by a job that watches over a repository,
//! around the two halves of the pipe.
//!
//! `main → cli →` a module for each command. It gets the [`environment`] and an
//! [`output`](output::Output) to write its results to; how it ended is its exit code (see [`cli`]).

pub mod cli;
pub mod completions;
pub mod confirm;
pub mod database;
pub mod deliveries;
pub mod doctor;
pub mod environment;
pub mod key;
pub mod man;
pub mod migrate;
pub mod moments;
pub mod output;
pub mod purge;
pub mod ready;
pub mod run;
pub mod serve;
pub mod status;
pub mod templates;
pub mod token;
