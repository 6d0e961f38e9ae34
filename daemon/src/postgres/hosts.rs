//! Where the servers are: `host`, `hostaddr` and `port`, each of them a list.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::options::Options;

const DEFAULT_PORT: u16 = 5432;
/// More is a mistake, and every reconnect would try them all.
const HOSTS_MAX: usize = 64;

/// One server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: Host,
    pub(super) port: u16,
}

/// How to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// Nothing was said: the Unix socket in the first of the default directories that has one.
    DefaultSocket,
    /// The Unix socket in this directory.
    Socket(PathBuf),
    /// A name, looked up at each connection, or an address written out.
    Name(String),
    /// An address, with the name that its certificate is to be for, if one was given.
    Address { name: Option<String>, address: IpAddr },
}

/// # Errors
/// Lists of different lengths, or an element that cannot be.
pub(super) fn servers(options: &Options) -> Result<Vec<Server>, String> {
    let (hosts, addresses, ports) =
        (options.list("host"), options.list("hostaddr"), options.list("port"));
    let given = options.text("hostaddr").is_some();
    let count = if given { addresses.len() } else { hosts.len() };
    if given && options.text("host").is_some() && hosts.len() != count {
        return Err("host and hostaddr list a different number of servers".to_owned());
    }
    if ports.len() != 1 && ports.len() != count {
        return Err(options.fault("port", "lists more or fewer ports than there are hosts"));
    }
    if count > HOSTS_MAX {
        return Err(options.fault("host", &format!("lists more than {HOSTS_MAX} servers")));
    }
    let element = |list: &[&'_ str], i: usize| list.get(i).copied().unwrap_or_default().to_owned();
    (0..count)
        .map(|i| {
            let (name, address) = (element(&hosts, i), element(&addresses, i));
            let port = if ports.len() == 1 { ports[0] } else { ports[i] };
            Ok(Server { host: host(options, name, &address)?, port: port_number(options, port)? })
        })
        .collect()
}

fn host(options: &Options, name: String, address: &str) -> Result<Host, String> {
    if !address.is_empty() {
        let address =
            address.parse().map_err(|_| options.fault("hostaddr", "is not an IP address"))?;
        return Ok(Host::Address { name: Some(name).filter(|name| !name.is_empty()), address });
    }
    match name.as_bytes().first() {
        None => Ok(Host::DefaultSocket),
        Some(b'/') => Ok(Host::Socket(PathBuf::from(name))),
        Some(b'@') => {
            Err(options.fault("host", "names an abstract socket, which is not supported"))
        }
        Some(_) => Ok(Host::Name(name)),
    }
}

fn port_number(options: &Options, port: &str) -> Result<u16, String> {
    if port.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    let number = port.parse().ok().filter(|number| *number != 0);
    number.ok_or_else(|| options.fault("port", "is not a number from 1 to 65535"))
}

/// The directory of the Unix socket for `port`: the first of `dirs` that has one now, else the first.
pub(super) fn socket_dir(dirs: &[PathBuf], port: u16) -> &Path {
    let there = |dir: &&PathBuf| dir.join(format!(".s.PGSQL.{port}")).exists();
    dirs.iter().find(there).or(dirs.first()).map_or(Path::new("/tmp"), PathBuf::as_path)
}

/// `host:port`, as written in the log.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::DefaultSocket => f.write_str("local socket")?,
            Host::Socket(dir) => write!(f, "{}", dir.display())?,
            Host::Name(name) => f.write_str(name)?,
            Host::Address { name: Some(name), .. } => f.write_str(name)?,
            Host::Address { name: None, address } => write!(f, "{address}")?,
        }
        write!(f, ":{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conninfo;
    use super::*;

    fn listed(text: &str) -> Result<Vec<String>, String> {
        let options = Options::gather(conninfo::parse(text)?, &|_| None)?;
        Ok(servers(&options)?.iter().map(|s| format!("{s} {:?}", s.host)).collect())
    }

    #[test]
    fn hosts_addresses_and_ports_go_together() {
        assert_eq!(listed("").expect("valid"), ["local socket:5432 DefaultSocket"]);
        assert_eq!(
            listed("host=a,,/run/pg port=1,,3").expect("valid"),
            ["a:1 Name(\"a\")", "local socket:5432 DefaultSocket", "/run/pg:3 Socket(\"/run/pg\")"]
        );
        assert_eq!(
            listed("host=a,b hostaddr=10.0.0.1, port=7").expect("valid"),
            ["a:7 Address { name: Some(\"a\"), address: 10.0.0.1 }", "b:7 Name(\"b\")"]
        );
        assert_eq!(
            listed("hostaddr=::1").expect("valid"),
            ["::1:5432 Address { name: None, address: ::1 }"]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, fault) in [
            ("host=a,b port=1,2,3", "port lists more or fewer ports than there are hosts"),
            ("host=a,b hostaddr=::1", "host and hostaddr list a different number of servers"),
            ("hostaddr=localhost", "hostaddr is not an IP address"),
            ("port=65536", "port is not a number from 1 to 65535"),
            ("port=0", "port is not a number from 1 to 65535"),
            ("host=@pg", "host names an abstract socket, which is not supported"),
        ] {
            assert_eq!(listed(text).expect_err(text), fault);
        }
    }

    #[test]
    fn the_socket_that_is_there_now_is_taken() {
        let (a, b) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let dirs = [a.path().to_owned(), b.path().to_owned()];
        assert_eq!(socket_dir(&dirs, 5432), a.path());
        std::fs::write(b.path().join(".s.PGSQL.5432"), "").expect("write");
        assert_eq!(socket_dir(&dirs, 5432), b.path());
        assert_eq!(socket_dir(&dirs, 5433), a.path());
        assert_eq!(socket_dir(&[], 5432), Path::new("/tmp"));
    }
}
