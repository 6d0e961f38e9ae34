//! An attempt to connect that can be waited for while somebody asks.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use daemon::postgres::{ConnectError, Target};
use daemon::trouble::Trouble;
use tokio::time::{sleep, timeout};

use super::look;
use crate::database::Database;

/// An attempt takes no longer, whatever `connect_timeout` says.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What comes of it.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Database, Failure>> + 'a>>;

/// Why there is no connection to look through.
#[derive(Debug)]
pub enum Failure {
    /// The server refuses, or is not there.
    Connect(ConnectError),
    /// It says nothing.
    Late,
    /// It ended what was just begun.
    Prepare(Trouble),
}

impl Failure {
    /// Whether waiting does not help.
    pub fn will_not_mend(&self) -> bool {
        match self {
            Self::Connect(error) => error.will_not_mend(),
            Self::Late => false,
            Self::Prepare(trouble) => trouble.will_not_mend(),
        }
    }

    /// In words.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Connect(error) => error.into(),
            Self::Late => anyhow::anyhow!("no connection within {} s", CONNECT_MAX.as_secs()),
            Self::Prepare(trouble) => trouble.into(),
        }
    }
}

/// An attempt to connect, after a wait.
pub fn connecting(target: &Target, wait: Duration) -> Connecting<'_> {
    Box::pin(async move {
        sleep(wait).await;
        let connected = async {
            let database = Database::connect(target).await.map_err(Failure::Connect)?;
            look::prepare(&database).await.map_err(Failure::Prepare)?;
            Ok(database)
        };
        timeout(CONNECT_MAX, connected).await.unwrap_or(Err(Failure::Late))
    })
}
