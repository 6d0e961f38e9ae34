//! Error responses kept as files, for a person to read: `ses_<UTC time>_<n>.http`, each a status
//! line, the headers, a blank line and the body. They can hold addresses, so only their owner may
//! read them. Keeping one is a courtesy: a full disk never stops mail.
//!
//! Events:
//! * `error_response_kept` (info): `file`, `status`.
//! * `error_response_not_kept` (warn, once): `reason`.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::primitives::{DateTime, DateTimeFormat};

/// Files one process writes at most: an outage must not fill the disk.
const FILES_MAX: u32 = 10_000;

/// The directory of error responses.
pub(super) struct Kept {
    directory: PathBuf,
    count: Cell<u32>,
    warned: Cell<bool>,
}

impl Kept {
    /// Creates the directory if need be.
    pub(super) fn create(directory: &Path) -> Self {
        let kept = Self::new(directory);
        if let Err(error) = std::fs::create_dir_all(directory) {
            kept.warn(&error);
        }
        kept
    }

    /// Creates nothing until there is something to keep.
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), count: Cell::new(0), warned: Cell::new(false) }
    }

    /// Keeps one response.
    pub(super) fn keep(&self, response: &HttpResponse) {
        let status = response.status().as_u16();
        match self.write(&render(response)) {
            Ok(file) => tracing::info!(file = %file.display(), status, "error_response_kept"),
            Err(error) => self.warn(&error),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let time = utc(SystemTime::now());
        loop {
            if self.count.get() >= FILES_MAX {
                return Err(io::Error::other("too many files"));
            }
            self.count.set(self.count.get() + 1);
            let path = self.directory.join(format!("ses_{time}_{}.http", self.count.get()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                // Another process of the same second.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return opened?.write_all(bytes).map(|()| path),
            }
        }
    }

    fn warn(&self, error: &io::Error) {
        if !self.warned.replace(true) {
            let directory = self.directory.display();
            tracing::warn!(%directory, reason = %error, "error_response_not_kept");
        }
    }
}

fn render(response: &HttpResponse) -> Vec<u8> {
    let status = response.status().as_u16();
    let phrase = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    let mut text = format!("HTTP/1.1 {status} {}\r\n", phrase.unwrap_or_default()).into_bytes();
    for (name, value) in response.headers().iter_bytes() {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(response.body().bytes().unwrap_or_default());
    text
}

/// The time as a part of a file's name, `20261105T101112Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or_default());
    let text = time.fmt(DateTimeFormat::DateTime).unwrap_or_default();
    text.replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn response(body: &str) -> HttpResponse {
        let mut response = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
        response.headers_mut().insert("x-amzn-errortype", "BadRequestException");
        response
    }

    #[test]
    fn a_file_has_the_whole_answer_and_one_reader() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::create(&directory.path().join("deep/output"));
        kept.keep(&response("one"));
        kept.keep(&response("two"));
        let mut files: Vec<_> = std::fs::read_dir(directory.path().join("deep/output"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), 2);
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 400 Bad Request\r\nx-amzn-errortype: BadRequestException\r\n\r\none"
        );
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("ses_2") && name.ends_with("Z_1.http"), "{name}");
    }

    #[test]
    fn the_time_in_a_name_is_utc() {
        assert_eq!(utc(SystemTime::UNIX_EPOCH + Duration::from_secs(86_399)), "19700101T235959Z");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_no_panic() {
        let kept = Kept::create(Path::new("/proc/none"));
        kept.keep(&response("lost"));
    }
}
