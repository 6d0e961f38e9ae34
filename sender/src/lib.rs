//! The second half of the pipe: reads lines of signed tokens, sends them as mail, records each
//! result.
//!
//! `main → config → run`. [`plan`], [`retry`] and [`rate`] decide and touch nothing; [`deliveries`]
//! is all SQL; [`compose`] makes letters of templates; [`transport`] is how mail leaves. [`courier`] takes one call from permit to record,
//! and [`ledger`] keeps what has begun through lost connections.

pub mod compose;
pub mod config;
pub mod courier;
pub mod deliveries;
pub mod ledger;
pub mod plan;
pub mod rate;
pub mod reader;
pub mod retry;
pub mod run;
pub mod template;
pub mod transport;
