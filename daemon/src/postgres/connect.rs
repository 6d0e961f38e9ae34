//! Going there: each server in turn, each address of a server, encrypted or not as wished.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use super::driver::Driver;
use super::error::{Cause, ConnectError};
use super::hosts::{self, Host, Server};
use super::session_settings;
use super::target::Target;
use super::tls::Mode;

/// A session with its settings made.
#[derive(Debug)]
pub struct Connected {
    /// Sends statements and waits for their answers; somebody must drive meanwhile.
    pub client: Client,
    /// Drives the connection.
    pub driver: Driver,
}

/// One way to reach a server.
#[derive(Debug, Clone)]
enum Endpoint {
    Socket(PathBuf),
    /// The name is for the certificate.
    Tcp {
        name: String,
        address: IpAddr,
    },
}

#[derive(Debug, Clone, Copy)]
enum Encryption {
    No,
    IfOffered,
    Yes,
}

impl Target {
    /// Connects, trying the servers in order, and makes the session's settings. As with libpq, a server
    /// that is not there or not ready is passed over, and one that turns us away ends the search.
    ///
    /// # Errors
    /// What each server tried came to.
    pub async fn connect(&self) -> Result<Connected, ConnectError> {
        let mut servers: Vec<&Server> = self.servers.iter().collect();
        if self.shuffled {
            fastrand::shuffle(&mut servers);
        }
        let mut failures = Vec::new();
        for server in servers {
            let place = format!("{server}/{}", self.dbname);
            match Box::pin(self.connect_server(server)).await {
                Ok((client, driver)) => {
                    return Ok(Connected { client, driver: driver.to(place) });
                }
                Err(cause) => {
                    let last = cause.will_not_mend();
                    failures.push((place, cause));
                    if last {
                        break;
                    }
                }
            }
        }
        Err(ConnectError::new(failures))
    }

    async fn connect_server(&self, server: &Server) -> Result<(Client, Driver), Cause> {
        let mut config = self.config.clone();
        config.port(server.port);
        if let Some(password) = self.password(server) {
            config.password(password);
        }
        let mut failed = Cause::Network("the name has no address".to_owned());
        for endpoint in self.endpoints(server).await? {
            for encryption in self.encryptions(&endpoint) {
                match self.attempt(&config, &endpoint, *encryption).await {
                    Ok(connected) => return Ok(connected),
                    Err(cause) => failed = cause,
                }
                if !failed.is_about_encryption() {
                    break;
                }
            }
            if failed.will_not_mend() {
                break;
            }
        }
        Err(failed)
    }

    async fn endpoints(&self, server: &Server) -> Result<Vec<Endpoint>, Cause> {
        let (name, address) = match &server.host {
            Host::DefaultSocket => {
                let dir = hosts::socket_dir(&self.socket_dirs, server.port);
                return Ok(vec![Endpoint::Socket(dir.to_owned())]);
            }
            Host::Socket(dir) => return Ok(vec![Endpoint::Socket(dir.clone())]),
            Host::Address { name, address } => {
                (name.clone().unwrap_or_else(|| address.to_string()), Some(*address))
            }
            Host::Name(name) => (name.clone(), name.parse().ok()),
        };
        let mut addresses = match address {
            Some(address) => vec![address],
            None => self.look_up(&name).await?,
        };
        if self.shuffled {
            fastrand::shuffle(&mut addresses);
        }
        let tcp = |address| Endpoint::Tcp { name: name.clone(), address };
        Ok(addresses.into_iter().map(tcp).collect())
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Cause> {
        let found = within(self.connect_timeout, tokio::net::lookup_host((name, 0))).await?;
        let found = found.map_err(|error| Cause::Network(error.to_string()))?;
        Ok(found.map(|address| address.ip()).collect())
    }

    /// What to try, in this order, as long as the reason for the failure lies in the encryption.
    fn encryptions(&self, endpoint: &Endpoint) -> &'static [Encryption] {
        use Encryption::{IfOffered, No, Yes};
        match (endpoint, self.tls.mode) {
            // As with libpq, a Unix socket is never encrypted, whatever sslmode says.
            (Endpoint::Socket(_), _) | (_, Mode::Disable) => &[No],
            (_, Mode::Allow) => &[No, Yes],
            (_, Mode::Prefer) => &[IfOffered, No],
            (_, Mode::Require | Mode::VerifyCa | Mode::VerifyFull) => &[Yes],
        }
    }

    async fn attempt(
        &self,
        config: &Config,
        endpoint: &Endpoint,
        encryption: Encryption,
    ) -> Result<(Client, Driver), Cause> {
        let mut config = config.clone();
        match endpoint {
            Endpoint::Socket(dir) => config.host_path(dir),
            Endpoint::Tcp { name, address } => config.host(name).hostaddr(*address),
        };
        let connected = async {
            let (client, mut driver) = match encryption {
                Encryption::No => {
                    let (client, connection) =
                        config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
                    (client, Driver::new(connection))
                }
                Encryption::IfOffered | Encryption::Yes => {
                    let tls = self.tls.connector().map_err(Cause::Settings)?;
                    let optional = matches!(encryption, Encryption::IfOffered);
                    config.ssl_mode(if optional { SslMode::Prefer } else { SslMode::Require });
                    config.ssl_negotiation(self.tls.negotiation);
                    let (client, connection) = config.connect(tls).await?;
                    (client, Driver::new(connection))
                }
            };
            driver.run(session_settings::apply(&client)).await??;
            Ok((client, driver))
        };
        within(self.connect_timeout, connected).await?
    }
}

async fn within<F: Future>(limit: Option<Duration>, work: F) -> Result<F::Output, Cause> {
    match limit {
        None => Ok(work.await),
        Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| Cause::Timeout(limit)),
    }
}
