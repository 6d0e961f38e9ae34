//! The first half of the pipe: LISTENs, claims due deliveries in batches, signs their tokens and
//! writes them to stdout, a batch a line.
//!
//! `main → config → run`. [`batcher`], [`floors`], [`lines`] and [`sweeps`] decide and touch nothing; [`queue`]
//! is all SQL; [`emitter`] is all of stdout.

pub mod batcher;
pub mod config;
pub mod emitter;
pub mod fading;
pub mod floors;
pub mod lines;
pub mod pace;
pub mod purges;
pub mod queue;
pub mod run;
pub mod sweeps;
pub mod work;
