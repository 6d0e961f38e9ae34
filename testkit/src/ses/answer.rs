//! HTTP answers in the manner of AWS's REST-JSON, and the two that stop half-way.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use serde_json::{Value, json};

/// Why the server closes a connection in the middle of things.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut by order of the test")
    }
}

impl std::error::Error for Cut {}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Cut {
        match never {}
    }
}

/// A body that may promise more than it gives: then its end is the end of the connection.
pub(super) struct Payload {
    bytes: Option<Bytes>,
    promised: u64,
    left: u64,
    flushed: bool,
}

impl Payload {
    fn whole(bytes: Bytes) -> Payload {
        let promised = bytes.len() as u64;
        Payload { bytes: Some(bytes), promised, left: 0, flushed: true }
    }

    fn half(bytes: Bytes) -> Payload {
        let half = bytes.slice(..bytes.len() / 2);
        let left = (bytes.len() - half.len()) as u64;
        Payload { promised: bytes.len() as u64, bytes: Some(half), left, flushed: false }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.bytes.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.left == 0 => Poll::Ready(None),
            // Having to wait makes hyper write out what it has; an error makes it drop that.
            None if !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}

pub(super) fn json(status: u16, body: &Value) -> Response<Payload> {
    respond(status, None, Payload::whole(body.to_string().into()))
}

pub(super) fn error(status: u16, kind: &str, message: &str) -> Response<Payload> {
    error_with(status, kind, &json!({ "message": message }))
}

pub(super) fn error_with(status: u16, kind: &str, body: &Value) -> Response<Payload> {
    respond(status, Some(kind), Payload::whole(body.to_string().into()))
}

/// Half of the body that [`json`] would send.
pub(super) fn half(status: u16, body: &Value) -> Response<Payload> {
    respond(status, None, Payload::half(body.to_string().into()))
}

pub(super) fn nonsense() -> Response<Payload> {
    respond(200, None, Payload::whole(Bytes::from_static(b"<html>It works!</html>")))
}

fn respond(status: u16, error: Option<&str>, payload: Payload) -> Response<Payload> {
    use hyper::header::{CONTENT_TYPE, HeaderValue};

    let mut response = Response::new(payload);
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        "x-amzn-requestid",
        HeaderValue::from_static("00000000-0000-4000-8000-000000000000"),
    );
    if let Some(kind) = error.and_then(|kind| HeaderValue::from_str(kind).ok()) {
        headers.insert("x-amzn-errortype", kind);
    }
    response
}
