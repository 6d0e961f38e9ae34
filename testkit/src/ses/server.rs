//! The double's HTTP server, on a thread of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::answer::{self, Cut, Payload};
use super::call::Call;
use super::reply::{EntryFailure, Reply};
use super::setup;
use super::state::{Shared, Ticket};
use super::templates;
use super::tls::Tls;
use crate::{apart, port};

/// SES's own bound.
const ENTRIES_MAX: usize = 50;

#[derive(Debug)]
pub(super) struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(shared: Arc<Shared>, tls: Option<Arc<Tls>>) -> anyhow::Result<Server> {
        let listener = port::listener().context("listen for SES calls")?;
        let addr = listener.local_addr().context("ask for the port")?;
        listener.set_nonblocking(true).context("set up the listener")?;
        let runtime = apart::runtime()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("testkit-ses".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, shared, tls) => {}
                        _ = stopped => {}
                    }
                });
            })
            .context("start a thread")?;
        Ok(Server { addr, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, tls: Option<Arc<Tls>>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => talk(stream, &shared).await,
                Some(tls) => {
                    if let Some(stream) = tls.accept(stream).await {
                        talk(stream, &shared).await;
                    }
                }
            }
        });
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let service = service_fn(|request| handle(request, shared));
    // Its errors are the cuts that the tests order, and clients that have gone.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An error closes the connection. If the client goes first, this future is dropped where it waits.
async fn handle(request: Request<Incoming>, shared: &Shared) -> Result<Response<Payload>, Cut> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v2/email/outbound-bulk-emails") => send_bulk(request, shared).await,
        (&Method::GET, "/v2/email/account") => Ok(get_account(shared)),
        (_, path) if path.starts_with(templates::PATH) => templates::handle(request, shared).await,
        (&Method::GET, path) if let Some(answer) = setup::handle(path, shared) => Ok(answer),
        (method, path) => {
            let message = format!("no such operation: {method} {path}");
            Ok(answer::error(404, "UnknownOperationException", &message))
        }
    }
}

fn get_account(shared: &Shared) -> Response<Payload> {
    if let Some(denied) = setup::denied(shared, "GetAccount") {
        return denied;
    }
    let account = shared.change(|state| {
        state.account_calls += 1;
        state.account.clone()
    });
    match account.error {
        None => answer::json(account.status, &account.body),
        Some(kind) => answer::error_with(account.status, &kind, &account.body),
    }
}

async fn send_bulk(request: Request<Incoming>, shared: &Shared) -> Result<Response<Payload>, Cut> {
    let headers: BTreeMap<String, String> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();

    let cut = !shared.gate.borrow().held
        && shared.lock().ordered.pop_front_if(|reply| *reply == Reply::CutBeforeRead).is_some();
    if cut {
        shared.change(|state| state.arrived(Call::unread(headers)));
        return Err(Cut);
    }

    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let call = match Call::read(headers, body) {
        Ok(call) => call,
        Err(error) => {
            return Ok(answer::error(400, "SerializationException", &format!("{error:#}")));
        }
    };
    let (ticket, call) = shared.change(|state| state.arrived(call));
    let _ = shared.gate.subscribe().wait_for(|gate| !gate.held).await;

    let response = if (1..=ENTRIES_MAX).contains(&call.entries.len()) {
        let reply = shared.reply_to(&call);
        act(reply, ticket, &call, shared).await?
    } else {
        let message = format!("{} entries, not 1 to {ENTRIES_MAX}", call.entries.len());
        answer::error(400, "BadRequestException", &message)
    };
    shared.change(|state| state.answered(ticket, response.status().as_u16()));
    Ok(response)
}

async fn act(
    reply: Reply,
    ticket: Ticket,
    call: &Call,
    shared: &Shared,
) -> Result<Response<Payload>, Cut> {
    let accept = |failures: &[EntryFailure]| results(failures, ticket, call, shared);
    match reply {
        Reply::Ok => Ok(answer::json(200, &accept(&[]))),
        Reply::Entries(failures) => Ok(answer::json(200, &accept(&failures))),
        Reply::Error { status, kind, message } => Ok(answer::error(status, &kind, &message)),
        Reply::CutBeforeRead | Reply::CutAfterRead { accept: false } => Err(Cut),
        Reply::CutAfterRead { accept: true } => {
            accept(&[]);
            Err(Cut)
        }
        Reply::Hang { accept: accepts } => {
            let results = accepts.then(|| accept(&[]));
            let mut gate = shared.gate.subscribe();
            let before = gate.borrow().releases;
            let _ = gate.wait_for(|gate| gate.releases > before).await;
            results.map(|results| answer::json(200, &results)).ok_or(Cut)
        }
        Reply::Delay(time) => {
            let results = accept(&[]);
            tokio::time::sleep(time).await;
            Ok(answer::json(200, &results))
        }
        Reply::Nonsense { accept: accepts } => {
            if accepts {
                accept(&[]);
            }
            Ok(answer::nonsense())
        }
        Reply::Partial { accept: accepts } => {
            let results =
                if accepts { accept(&[]) } else { json!({ "BulkEmailEntryResults": [] }) };
            Ok(answer::half(200, &results))
        }
    }
}

/// Accepts the entries that do not fail; the body that says so.
fn results(failures: &[EntryFailure], ticket: Ticket, call: &Call, shared: &Shared) -> Value {
    let results: Vec<Value> = shared.change(|state| {
        let each = call.entries.iter().enumerate().map(|(index, entry)| {
            if entry.data.is_none() {
                let error = "Template data is not a JSON object";
                return json!({ "Status": "INVALID_PARAMETER", "Error": error });
            }
            match failures.iter().find(|failure| failure.concerns(index, &entry.to)) {
                Some(failed) => json!({ "Status": failed.status, "Error": failed.error }),
                None => {
                    json!({ "Status": "SUCCESS", "MessageId": state.accept(ticket, call, index) })
                }
            }
        });
        each.collect()
    });
    json!({ "BulkEmailEntryResults": results })
}
