//! Ports on which a server can be stopped and started again.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

/// Where the kernel's ephemeral ports begin on Linux (`ip_local_port_range`) and elsewhere.
const EPHEMERAL_FROM: u16 = 32_768;
const FIRST: u16 = 15_000;
const TRIES_MAX: u32 = 200;

/// A port of 127.0.0.1 that nobody listens on, below the ephemeral range: while its server is down
/// no outgoing connection can be given it, and a client that keeps dialling it cannot, as it could
/// in the ephemeral range, end up connected to itself.
///
/// It may be in use for a moment yet: a process that is spawned meanwhile holds a copy of the socket
/// that tried it, until it executes its program. Whoever is to listen on it had better try twice.
///
/// # Errors
///
/// If no free port is found.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(listener()?.local_addr().context("ask for the port")?.port())
}

/// Listens on such a port.
pub(crate) fn listener() -> anyhow::Result<TcpListener> {
    for _ in 0..TRIES_MAX {
        let port = fastrand::u16(FIRST..EPHEMERAL_FROM);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener);
        }
    }
    bail!("no free port on 127.0.0.1 between {FIRST} and {EPHEMERAL_FROM}")
}
