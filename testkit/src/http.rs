//! One HTTP request, by hand: what a client library would mend or refuse to say stays as it is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// No answer takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 200, say.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The rest, up to the end of the connection.
    pub body: String,
}

impl Answer {
    /// `GET` of this path.
    ///
    /// # Errors
    ///
    /// If nobody is there, or what comes is no answer.
    pub fn get(addr: SocketAddr, path: &str) -> anyhow::Result<Answer> {
        Answer::to(addr, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    /// The answer to these bytes.
    ///
    /// # Errors
    ///
    /// As [`get`](Answer::get).
    pub fn to(addr: SocketAddr, request: &str) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect(addr).with_context(|| format!("connect to {addr}"))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).context("set up the connection")?;
        // One that does not want it all may have answered all the same.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            read.context("read an answer")?;
            anyhow::bail!("no answer but {text:?}");
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.with_context(|| format!("no status in {head:?}"))?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}
