//! The HTTP server: three pages, GET and HEAD. Whoever connects can hold up nobody but themselves:
//! connections are bounded in number, size and time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::metrics;
use super::readiness::Readiness;
use super::watcher::Watcher;

/// When there are more, the oldest one is closed: it is a slow client's, since an answer takes
/// milliseconds.
const CONNECTIONS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 8192;
/// From the connection to the end of the request's headers.
const HEADER_WITHIN: Duration = Duration::from_secs(5);
/// From the connection to its end: a look at the database is 9 s at most.
const CONNECTION_WITHIN: Duration = Duration::from_secs(15);
/// When the process has no descriptor left, or the like.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers for ever. Mail shall not wait for longer than `ready_age`.
pub async fn serve(listener: TcpListener, watcher: Watcher, ready_age: Duration) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(tokio::spawn(talk(stream, watcher.clone(), ready_age)).abort_handle());
    }
}

/// One request, one answer: nobody here asks often enough to keep a connection.
async fn talk(stream: TcpStream, watcher: Watcher, ready_age: Duration) {
    // The answer is complete when it is written; nothing is gained by waiting for more.
    _ = stream.set_nodelay(true);
    let service = service_fn(async |request: Request<_>| {
        Ok::<_, Infallible>(answer(&request, &watcher, ready_age).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong here is the client's.
    _ = timeout(CONNECTION_WITHIN, connection).await;
}

async fn answer<B>(
    request: &Request<B>,
    watcher: &Watcher,
    ready_age: Duration,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !["/metrics", "/live", "/ready"].contains(&path) {
        return said(StatusCode::NOT_FOUND, "not found: there are /metrics, /live and /ready");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refusal = said(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are allowed");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    if path == "/live" {
        return said(StatusCode::OK, "alive");
    }
    let Some(seen) = watcher.seen().await else {
        return said(StatusCode::SERVICE_UNAVAILABLE, "not ready: about to stop");
    };
    if path == "/metrics" {
        return match metrics::text(&seen, ready_age) {
            Ok(text) => page(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, error),
        };
    }
    match &seen.promises {
        None => said(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the database does not answer; the log of mailroom serve says why",
        ),
        Some(promises) => {
            let readiness = Readiness::of(promises, ready_age);
            let ready = readiness.is_ready();
            said(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, readiness)
        }
    }
}

fn said(status: StatusCode, words: impl Display) -> Response<Full<Bytes>> {
    page(status, TEXT, format!("{words}\n"))
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // What was true a moment ago is no health check.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
