//! The sender's statements and its parts against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod begin;
mod settle;
mod support;
