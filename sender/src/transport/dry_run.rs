//! Dry runs. Of SES: the transport over a connection that sends nothing. Each call becomes one line
//! of JSON, `{"request": …, "response": …}`: the body as it would have gone out, and the answer it
//! stands for, which accepts every mail.
//!
//! Of any other transport: the letters, `{"from": …, "to": …, "subject": …, "text": …, "html": …}`.
//!
//! Neither needs credentials or a network, and neither leaves anything behind. Logs no events.

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

use super::address::recipient;
use super::message::Origin;
use super::ses::{Ses, SesSettings};
use super::{Call, Mail, Outcome, SendRate, Transport};
use crate::compose::Composer;

/// As with SES, so that calls look alike.
const MAILS_PER_CALL_MAX: usize = 50;

/// Nothing can take long; there is no database that would care.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// The transport of a dry run.
pub struct DryRun {
    ses: Ses,
    lines: Lines,
}

impl DryRun {
    /// A dry run whose lines go to standard output, which it owns.
    pub fn to_stdout(settings: SesSettings, composer: Option<Composer>) -> anyhow::Result<Self> {
        let dry_run = Self::to(io::stdout(), settings)?;
        Ok(Self { ses: dry_run.ses.with_composer(composer), ..dry_run })
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

/// The transport of a dry run of anything but SES.
pub struct DryLetters {
    origin: Origin,
    composer: Composer,
    lines: Lines,
}

impl DryLetters {
    /// A dry run whose lines go to standard output, which it owns.
    pub fn to_stdout(origin: Origin, composer: Composer) -> Self {
        Self::to(io::stdout(), origin, composer)
    }

    /// A dry run whose lines go to `out`, each flushed.
    pub fn to(out: impl Write + Send + 'static, origin: Origin, composer: Composer) -> Self {
        Self { origin, composer, lines: Lines::new(out) }
    }

    fn show(&self, call: &Call, mail: &Mail) -> Outcome {
        let letter = match self.composer.letter(call, mail) {
            Ok(letter) => letter,
            Err(outcome) => return outcome,
        };
        let to = match recipient(&mail.email) {
            Ok(to) => to,
            Err(reason) => return Outcome::Rejected { reason: reason.to_owned() },
        };
        let line = json!({
            "from": self.origin.from.to_string(), "to": to,
            "subject": letter.subject, "text": letter.text, "html": letter.html,
        });
        match self.lines.locked().write(format!("{line}\n").as_bytes()) {
            Ok(()) => Outcome::Sent { provider_id: "dry-run".to_owned() },
            Err(error) => Outcome::Deferred { reason: format!("standard output: {error}") },
        }
    }
}

impl Transport for DryLetters {
    fn name(&self) -> &'static str {
        "dry-run"
    }

    fn mails_per_call_max(&self) -> usize {
        MAILS_PER_CALL_MAX
    }

    fn call_timeout(&self) -> Duration {
        CALL_TIMEOUT
    }

    async fn send_rate(&self) -> SendRate {
        SendRate::Unknown
    }

    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        let each = call.mails.iter().map(|mail| {
            if go() {
                self.show(call, mail)
            } else {
                Outcome::Untried { reason: "held back".to_owned() }
            }
        });
        each.collect()
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
        writer.write(&line)?;
        Ok(response)
    }
}

impl Writer {
    /// Writes and flushes; the first failure is kept.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.out.write_all(line).and_then(|()| self.out.flush());
        if let Err(error) = &written {
            self.broken.get_or_insert_with(|| format!("write to standard output: {error}"));
        }
        written
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
