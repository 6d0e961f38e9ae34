//! For the operator's tools: a client that is made as the transport's is, and what its answers say.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sesv2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sesv2::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::call_error::{CallError, Kind};
use super::settings::{self, TimeOuts};
use crate::transport::words::words;

/// A client configured by the environment, the profile files and the machine, that never retries by
/// itself. Makes no call yet.
pub async fn client(time_outs: TimeOuts) -> Client {
    let http = settings::http_client();
    let config = settings::from_environment(&http, None).await;
    settings::client(&config, &http, time_outs)
}

/// The region that the environment, the profile files or the machine name; without one the client
/// goes to a default.
pub async fn named_region() -> Option<String> {
    settings::find_region(&settings::http_client()).await.map(|region| region.to_string())
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, in one line that is free of addresses.
    pub reason: String,
    /// Whether the same call may succeed later without anybody doing something.
    pub is_transient: bool,
    /// Whether these credentials are good, but not for this call.
    pub is_denied: bool,
    /// Whether what was asked about is not there.
    pub is_missing: bool,
}

impl Failure {
    /// Reads an error of the SDK.
    pub fn new<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let error = CallError::new(error, true);
        let is_transient = match error.kind {
            Kind::NotSent | Kind::TimedOut | Kind::Cut => true,
            Kind::NotBuilt => false,
            Kind::Answered => error.status.is_none_or(|status| status == 429 || status >= 500),
        };
        let code = error.code.as_deref();
        Self {
            reason: words(&format!("{}: {}", error.label(), error.text)),
            is_transient,
            is_denied: matches!(code, Some("AccessDeniedException" | "AccessDenied")),
            // Not all that speak SES's language name the error.
            is_missing: error.status == Some(404)
                && code.is_none_or(|code| code == "NotFoundException"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SES: {}", self.reason)
    }
}

impl Error for Failure {}

/// Takes down when an answer was given, by the clock of who gave it. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct AnsweredAt(Arc<Mutex<Option<i64>>>);

impl AnsweredAt {
    /// In seconds since 1970; `None`: there was no answer, or it had no date.
    pub fn seconds(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for AnsweredAt {
    fn name(&self) -> &'static str {
        "AnsweredAt"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.map(|date| date.secs());
        Ok(())
    }
}
