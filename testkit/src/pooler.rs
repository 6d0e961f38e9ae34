//! The least there is to a transaction pooler: two server connections for a client, and after each
//! transaction the other one's turn.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A transaction pooler in front of a PostgreSQL server, driven by a task of the current runtime.
#[derive(Debug, Clone, Copy)]
pub struct TransactionPooler {
    /// Where the server is.
    pub upstream: SocketAddr,
    /// Whether statements are prepared on both connections, as newer poolers do.
    pub prepares: bool,
}

impl TransactionPooler {
    /// Starts it; where it is.
    ///
    /// # Errors
    ///
    /// If there is no port to be had.
    pub async fn start(self) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("listen for clients")?;
        let addr = listener.local_addr().context("ask for the port")?;
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Its errors are the ends of connections.
                tokio::spawn(async move { self.serve(client).await.is_ok() });
            }
        });
        Ok(addr)
    }

    async fn serve(self, mut client: TcpStream) -> io::Result<()> {
        let hello = startup(&mut client).await?;
        let connect = || TcpStream::connect(self.upstream);
        let mut servers = [connect().await?, connect().await?];
        for (n, server) in servers.iter_mut().enumerate() {
            server.write_all(&hello).await?;
            answer(server, (n == 0).then_some(&mut client)).await?;
        }
        let mut turn = 0;
        loop {
            // What the client wants answered before it goes on.
            let (mut asked, mut parses) = (Vec::new(), false);
            loop {
                let (kind, bytes) = message(&mut client).await?;
                asked.extend(bytes);
                parses |= kind == b'P';
                match kind {
                    b'Q' | b'S' => break,
                    b'X' => return Ok(()),
                    _ => {}
                }
            }
            if self.prepares && parses {
                let other = &mut servers[1 - turn];
                other.write_all(&asked).await?;
                answer(other, None).await?;
            }
            servers[turn].write_all(&asked).await?;
            if answer(&mut servers[turn], Some(&mut client)).await? {
                turn = 1 - turn;
            }
        }
    }
}

/// A message of the protocol: its type and all its bytes.
async fn message(from: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut bytes = head.to_vec();
    bytes.resize(length as usize + 1, 0);
    from.read_exact(&mut bytes[5..]).await?;
    Ok((head[0], bytes))
}

/// Up to ReadyForQuery; whether no transaction is open.
async fn answer(server: &mut TcpStream, mut to: Option<&mut TcpStream>) -> io::Result<bool> {
    loop {
        let (kind, bytes) = message(server).await?;
        if let Some(client) = &mut to {
            client.write_all(&bytes).await?;
        }
        if kind == b'Z' {
            return Ok(bytes[5] == b'I');
        }
    }
}

/// The client's first message, which has no type; a wish for TLS is turned down.
async fn startup(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
    loop {
        let mut bytes = vec![0; 4];
        client.read_exact(&mut bytes).await?;
        let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        bytes.resize(length as usize, 0);
        client.read_exact(&mut bytes[4..]).await?;
        if bytes[4..] != SSL_REQUEST {
            return Ok(bytes);
        }
        client.write_all(b"N").await?;
    }
}
