//! An SMTP server that takes mail, and misbehaves on command.

mod dialogue;
mod script;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

pub use self::script::{Act, Stage};
use self::server::{Server, Shared};
use crate::certificates::Certificate;
use crate::wait;

/// What the server offers.
#[derive(Debug, Clone, Default)]
pub struct SmtpOptions {
    /// Its certificate, if it can encrypt.
    pub certificate: Option<Certificate>,
    /// Encrypted from the first byte; else by STARTTLS.
    pub implicit: bool,
    /// Hides STARTTLS from its answer to EHLO, as somebody in between would.
    pub strip_starttls: bool,
    /// Whether it offers PIPELINING.
    pub pipelining: bool,
    /// Offers AUTH in these ways, and takes this name and password.
    pub login: Option<(String, String)>,
    /// The ways to log in that it offers: `PLAIN LOGIN XOAUTH2`.
    pub mechanisms: String,
}

/// A message that was accepted, whether or not the client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The address of MAIL FROM.
    pub from: String,
    /// The addresses of RCPT TO.
    pub to: Vec<String>,
    /// The message as it was sent, doubled dots undone.
    pub message: String,
}

/// An SMTP server on 127.0.0.1. It does its part on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct SmtpServer {
    shared: Arc<Shared>,
    server: Server,
}

impl SmtpServer {
    /// Starts one in the clear, with PIPELINING and without AUTH.
    ///
    /// # Errors
    ///
    /// If there is no port or thread to be had.
    pub fn start() -> anyhow::Result<SmtpServer> {
        SmtpServer::start_with(SmtpOptions { pipelining: true, ..SmtpOptions::default() })
    }

    /// Starts one that offers this.
    ///
    /// # Errors
    ///
    /// Likewise, or if the certificate is none.
    pub fn start_with(options: SmtpOptions) -> anyhow::Result<SmtpServer> {
        let shared = Arc::new(Shared::new(options)?);
        let server = Server::start(shared.clone()).context("start an SMTP server")?;
        Ok(SmtpServer { shared, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// From now on asked at every stage of every connection: what to do there? `nth` counts from 1
    /// how often that stage was reached, by whatever connection.
    pub fn script(&self, script: impl FnMut(Stage, usize) -> Act + Send + 'static) {
        self.shared.set_script(script);
    }

    /// What was accepted so far, in the order of acceptance.
    pub fn messages(&self) -> Vec<Received> {
        self.shared.messages()
    }

    /// Everything that clients have said outside of messages, a line each.
    pub fn said(&self) -> Vec<String> {
        self.shared.said()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Waits until so many messages were accepted.
    ///
    /// # Errors
    ///
    /// If they were not, within `timeout`.
    pub fn wait_messages(&self, count: usize, timeout: Duration) -> anyhow::Result<()> {
        if !wait::holds_within(timeout, || self.messages().len() >= count) {
            bail!("waited {timeout:?} for {count} messages, and had {}", self.messages().len());
        }
        Ok(())
    }
}
