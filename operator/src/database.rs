//! The database, as the operator's commands use it: one connection, and statements one after another.

use std::future::Future;
use std::ops::Deref;

use daemon::postgres::{ConnectError, Connected, Target};
use tokio::task::JoinHandle;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client};

/// A connection, driven in the background for as long as this lives.
#[derive(Debug)]
pub struct Database {
    client: Client,
    server: String,
    driver: JoinHandle<()>,
}

impl Database {
    /// Connects.
    ///
    /// # Errors
    /// What each server came to; a connection that will not mend ends the command with 78.
    pub async fn connect(target: &Target) -> Result<Self, ConnectError> {
        Self::connect_hearing(target, |_| {}).await
    }

    /// Connects, and passes on what the server says beside its answers: warnings and notices.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_hearing(
        target: &Target,
        heard: impl Fn(&DbError) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let Connected { client, mut driver } = target.connect().await?;
        let server = driver.server().to_owned();
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = driver.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    heard(&notice);
                }
            }
        });
        Ok(Self { client, server, driver })
    }

    /// The server we ended up with, as `host:port/dbname`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Resolves when the connection has ended, and must not be asked again then.
    pub async fn ended(&mut self) {
        // It only ends; it has no result.
        _ = (&mut self.driver).await;
    }

    /// For what takes the client by `&mut`: transactions.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Deref for Database {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Runs what talks to a server.
///
/// # Errors
/// What it fails with.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
