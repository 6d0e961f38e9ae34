//! What libpq takes from the operating system when a connection string leaves it out.

use std::path::PathBuf;

/// The user, the home and the places of sockets.
#[derive(Debug, Clone, Default)]
pub struct Os {
    /// The name of the user the process runs as.
    pub user: Option<String>,
    /// The home directory, for `.pgpass` and `.postgresql/root.crt`.
    pub home: Option<PathBuf>,
    /// Where a server's Unix socket may be; the first is the one to name if there is none.
    pub socket_dirs: Vec<PathBuf>,
}

impl Os {
    /// As it is for this process.
    pub fn current() -> Self {
        Self {
            user: whoami::username().ok(),
            home: std::env::home_dir(),
            socket_dirs: vec!["/var/run/postgresql".into(), "/tmp".into()],
        }
    }
}
