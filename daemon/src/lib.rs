//! Being a good Unix process: settings, exit codes, log, signals, PostgreSQL connections.
//!
//! Both halves of the pipe stand on this crate. It knows no token and no mail; what is said here
//! would be true of any small daemon that talks to PostgreSQL.

pub mod backoff;
pub mod crash_point;
pub mod exit;
pub mod log;
pub mod memory;
pub mod postgres;
pub mod program;
pub mod reconnect;
pub mod session;
pub mod settings;
pub mod shutdown;
pub mod tls;
pub mod trouble;
