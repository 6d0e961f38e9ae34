//! A raw HTTP server: it notes each request, and answers with whatever bytes a test wants, or with
//! silence.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// The header, in lower case.
    pub(crate) authorization: String,
    pub(crate) body: serde_json::Value,
}

/// What the server does with a request it has read completely.
pub(crate) enum Reply {
    /// Sends these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes.
    Cut(Vec<u8>),
    /// Sends these bytes and then nothing, until the server ends.
    Hang(Vec<u8>),
}

impl Reply {
    /// A JSON answer.
    pub(crate) fn json(status: &str, body: &serde_json::Value) -> Self {
        Self::text(status, "content-type: application/json", &body.to_string())
    }

    /// An error as SES words it.
    pub(crate) fn error(status: &str, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        Self::text(status, &format!("x-amzn-errortype: {code}"), &body)
    }

    /// Any answer.
    pub(crate) fn text(status: &str, header: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status}\r\n{header}\r\ncontent-length: {length}\r\n\r\n{body}")
                .into_bytes(),
        )
    }

    /// The answer that accepts every entry, with ids `id-<address>`.
    pub(crate) fn accept(request: &Request) -> Self {
        let results: Vec<_> = request
            .recipients()
            .iter()
            .map(|to| serde_json::json!({ "Status": "SUCCESS", "MessageId": format!("id-{to}") }))
            .collect();
        Self::json("200 OK", &serde_json::json!({ "BulkEmailEntryResults": results }))
    }
}

impl Request {
    /// The addresses of a `SendBulkEmail`, in order.
    pub(crate) fn recipients(&self) -> Vec<String> {
        let entries = self.body["BulkEmailEntries"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| entry["Destination"]["ToAddresses"][0].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The running server. It ends with the test's process.
pub(crate) struct Server {
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    _end: Receiver<()>,
}

impl Server {
    /// Starts a server that asks `reply` what to do with each request.
    pub(crate) fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (ended, end) = mpsc::sync_channel::<()>(0);
        let (noted, reply) = (Arc::clone(&requests), Arc::new(reply));
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (noted, reply) = (Arc::clone(&noted), Arc::clone(&reply));
                let ended = ended.clone();
                thread::spawn(move || serve(stream.unwrap(), &noted, &*reply, &ended));
            }
        });
        Self { url, requests, connections, _end: end }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    noted: &Mutex<Vec<Request>>,
    reply: &dyn Fn(&Request) -> Reply,
    ended: &mpsc::SyncSender<()>,
) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        noted.lock().unwrap().push(request.clone());
        match reply(&request) {
            Reply::Bytes(bytes) => writer.write_all(&bytes).unwrap(),
            Reply::Cut(bytes) => return writer.write_all(&bytes).unwrap(),
            Reply::Hang(bytes) => {
                writer.write_all(&bytes).unwrap();
                // Fails when the test drops the server.
                let _ = ended.send(());
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("authorization", value)) => authorization = value.to_owned(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Request { line: line.trim_end().to_owned(), authorization, body })
}
