//! As much of HTTP as these tests need.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::SOON;

/// What a request was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

pub(crate) fn get(url: &str) -> Answer {
    request("GET", url, "", "")
}

/// Sends a form, as this page's own.
pub(crate) fn post(url: &str, fields: &[(&str, &str)]) -> Answer {
    post_from("same-origin", url, fields)
}

/// Sends a form, as a page of that site.
pub(crate) fn post_from(site: &str, url: &str, fields: &[(&str, &str)]) -> Answer {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let fields: Vec<_> = fields.iter().map(|(name, v)| format!("{name}={}", encode(v))).collect();
    let headers =
        format!("Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: {site}\r\n");
    request("POST", url, &headers, &fields.join("&"))
}

fn request(method: &str, url: &str, headers: &str, body: &str) -> Answer {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    Answer {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_lowercase(),
        body: body.to_owned(),
    }
}
