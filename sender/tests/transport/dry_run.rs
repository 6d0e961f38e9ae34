//! The dry run.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use sender::transport::dry_run::DryRun;
use sender::transport::{Outcome, SendRate, Transport};
use serde_json::{Value, json};

use crate::harness::{activations, classes, settings};

/// Keeps what was written, and what of it was flushed.
#[derive(Clone, Default)]
pub(crate) struct Out(Arc<Mutex<(Vec<u8>, usize)>>);

impl Out {
    /// The lines written so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = self.0.lock().unwrap();
        out.1 = out.0.len();
        Ok(())
    }
}

/// A pipe whose reader is gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A runtime on which a socket cannot be opened without a panic.
fn without_network<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn each_call_is_a_line_of_json_and_no_socket_is_opened() {
    let output = tempfile::tempdir().unwrap();
    let out = Out::default();
    let dry_run = DryRun::to(out.clone(), settings(&output)).unwrap();
    let outcomes = without_network(async {
        assert_eq!(dry_run.send_rate().await, SendRate::Unknown);
        let mut outcomes =
            dry_run.send(&activations(&["a@example.org", "b@example.org"]), &|| true).await;
        outcomes.extend(dry_run.send(&activations(&["c@example.org"]), &|| true).await);
        outcomes
    });
    let sent = |id: &str| Outcome::Sent { provider_id: id.to_owned() };
    assert_eq!(outcomes, [sent("dry-run-1"), sent("dry-run-2"), sent("dry-run-3")]);
    assert_eq!(dry_run.broken(), None);
    assert!(!output.path().join("kept").exists(), "a dry run leaves nothing behind");

    let (bytes, flushed) = out.0.lock().unwrap().clone();
    assert_eq!(bytes.len(), flushed);
    let lines = out.lines();
    assert_eq!(lines.len(), 2);
    let entries = lines[0]["request"]["BulkEmailEntries"].as_array().unwrap();
    assert_eq!(entries[1]["Destination"], json!({ "ToAddresses": ["b@example.org"] }));
    assert_eq!(
        lines[1]["response"],
        json!({ "BulkEmailEntryResults": [{ "Status": "SUCCESS", "MessageId": "dry-run-3" }] })
    );
}

#[test]
fn a_closed_output_is_broken_for_good() {
    let output = tempfile::tempdir().unwrap();
    let dry_run = DryRun::to(Gone, settings(&output)).unwrap();
    let outcomes = without_network(dry_run.send(&activations(&["a@example.org"]), &|| true));
    assert_eq!(classes(&outcomes), ["ambiguous"]);
    assert!(dry_run.broken().unwrap().contains("broken pipe"), "{:?}", dry_run.broken());
}
