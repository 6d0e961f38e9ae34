//! The driving half of a connection: nothing moves, in or out, unless somebody polls it.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{AsyncMessage, Connection, Error};

/// Drives one connection, with or without TLS, and hands out what the server says unasked.
///
/// It must be polled while a statement of the client is under way, and also while there is none: a
/// listener that is not read from pins the server's oldest transaction. Dropping it closes the
/// connection.
pub struct Driver {
    /// Taken away when the connection has ended; it must not be polled again.
    connection: Option<Box<dyn Messages + Send>>,
    server: String,
}

impl Driver {
    pub(super) fn new<S, T>(connection: Connection<S, T>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self { connection: Some(Box::new(connection)), server: String::new() }
    }

    /// Names the server.
    pub(super) fn to(self, server: String) -> Self {
        Self { server, ..self }
    }

    /// The server we ended up with, as `host:port/dbname`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The next notification or notice. `None` and an error are terminal: the connection is gone, and
    /// from then on the answer is `None`. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<AsyncMessage, Error>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same as [`next`](Self::next), for those who poll by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let polled = connection.poll_message(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.connection = None;
        }
        polled
    }

    /// Drives the connection until `work`, which waits for answers on it, is done. What the server says
    /// unasked meanwhile is dropped: not for a session that listens.
    ///
    /// # Errors
    /// What ended the connection, unless `work` itself was told; it is dropped then.
    pub async fn run<F: Future>(&mut self, work: F) -> Result<F::Output, Error> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(output) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                match self.poll_next(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    // The server's last words may have gone to the work, as the answer to it, with the
                    // end of the connection right behind them.
                    Poll::Ready(Some(Err(error))) if error.as_db_error().is_none() => {
                        return match work.as_mut().poll(cx) {
                            Poll::Ready(output) => Poll::Ready(Ok(output)),
                            Poll::Pending => Poll::Ready(Err(error)),
                        };
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    // Closed: the client knows, so the work ends by itself.
                    Poll::Ready(None) => return work.as_mut().poll(cx).map(Ok),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// What the server has reported about itself: `server_version`, `in_hot_standby`, …
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.connection.as_ref()?.parameter(name)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("server", &self.server)
            .field("open", &self.connection.is_some())
            .finish()
    }
}

/// A connection, whatever the streams it is made of.
trait Messages {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>>;
    fn parameter(&self, name: &str) -> Option<&str>;
}

impl<S, T> Messages for Connection<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        Connection::poll_message(self, cx)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        Connection::parameter(self, name)
    }
}
