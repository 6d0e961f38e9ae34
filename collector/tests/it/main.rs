//! The collector's statements and its parts against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claim;
mod gate;
mod plans;
mod support;
mod sweep;
