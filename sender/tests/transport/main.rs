//! The transports against a server that answers as it is told, byte by byte.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod answers;
mod bisect;
mod conformance;
mod credentials;
mod dry_run;
mod environment;
mod failures;
mod harness;
mod request;
mod server;
mod smtp;
mod smtp_tls;
