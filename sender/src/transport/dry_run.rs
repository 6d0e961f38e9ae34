//! The dry run: the SES transport over a connection that sends nothing. Each call becomes one line
//! of JSON, `{"request": …, "response": …}`: the body as it would have gone out, and the answer it
//! stands for, which accepts every mail.
//!
//! It needs no credentials, no region and no network, and leaves nothing behind. Logs no events.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sesv2::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sesv2::config::{
    Credentials, HttpClient, Region, RuntimeComponents, SharedCredentialsProvider, SharedHttpClient,
};
use aws_sdk_sesv2::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::ses::{Ses, SesSettings};
use super::{Call, Outcome, SendRate, Transport};

/// The transport of a dry run.
pub struct DryRun {
    ses: Ses,
    lines: Lines,
}

impl DryRun {
    /// A dry run whose lines go to standard output, which it owns.
    pub fn to_stdout(settings: SesSettings) -> anyhow::Result<Self> {
        Self::to(io::stdout(), settings)
    }

    /// A dry run whose lines go to `out`, each flushed.
    pub fn to(out: impl Write + Send + 'static, settings: SesSettings) -> anyhow::Result<Self> {
        let lines = Lines::new(out);
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "dry", "run", None, None, "dry run",
            )))
            .build();
        let http = SharedHttpClient::new(NoConnection(lines.clone()));
        Ok(Self { ses: Ses::over(http, config, settings)?, lines })
    }
}

impl Transport for DryRun {
    fn name(&self) -> &'static str {
        "dry-run"
    }

    fn mails_per_call_max(&self) -> usize {
        self.ses.mails_per_call_max()
    }

    fn call_timeout(&self) -> Duration {
        self.ses.call_timeout()
    }

    async fn send_rate(&self) -> SendRate {
        SendRate::Unknown
    }

    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        self.ses.send(call, go).await
    }

    fn broken(&self) -> Option<String> {
        self.lines.locked().broken.clone()
    }
}

/// Where the lines go.
#[derive(Clone)]
struct Lines(Arc<Mutex<Writer>>);

struct Writer {
    out: Box<dyn Write + Send>,
    /// Mails so far, for their message ids.
    mails: u64,
    /// The first failure to write.
    broken: Option<String>,
}

impl Lines {
    fn new(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Writer { out: Box::new(out), mails: 0, broken: None })))
    }

    fn locked(&self) -> MutexGuard<'_, Writer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one line and gives the body of the answer.
    fn answer(&self, request: &[u8]) -> io::Result<String> {
        let parsed: Value = serde_json::from_slice(request)?;
        let entries = parsed.get("BulkEmailEntries").and_then(Value::as_array).map_or(0, Vec::len);
        let mut writer = self.locked();
        let results: Vec<Value> = (0..entries)
            .map(|_| {
                writer.mails += 1;
                json!({ "Status": "SUCCESS", "MessageId": format!("dry-run-{}", writer.mails) })
            })
            .collect();
        let response = json!({ "BulkEmailEntryResults": results }).to_string();
        let mut line = br#"{"request":"#.to_vec();
        line.extend_from_slice(request);
        line.extend_from_slice(br#","response":"#);
        line.extend_from_slice(response.as_bytes());
        line.extend_from_slice(b"}\n");
        let written = writer.out.write_all(&line).and_then(|()| writer.out.flush());
        if let Err(error) = written {
            writer.broken.get_or_insert_with(|| format!("write to standard output: {error}"));
            return Err(error);
        }
        Ok(response)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(..)")
    }
}

/// An HTTP client that connects to nothing.
#[derive(Debug)]
struct NoConnection(Lines);

impl HttpClient for NoConnection {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(NoConnection(self.0.clone()))
    }
}

impl HttpConnector for NoConnection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let answer = self.0.answer(body).and_then(|body| {
            let status = 200.try_into().map_err(io::Error::other)?;
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        });
        HttpConnectorFuture::ready(answer.map_err(|error| ConnectorError::io(error.into())))
    }
}
