//! A call that failed, in our terms: above all, whether the request may have reached SES.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{ConnectorError, ProvideErrorMetadata, SdkError};

/// How far a failed call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Provably not sent: refused, DNS, TLS, no connection in time, credentials not to be had now.
    NotSent,
    /// Provably not sent, and the next try will end the same: no credentials, no valid endpoint.
    NotBuilt,
    /// No answer in time.
    TimedOut,
    /// The connection ended before the answer.
    Cut,
    /// There is an answer, decodable or not.
    Answered,
}

/// In place of the list of everything that was tried.
const NO_CREDENTIALS: &str = "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a \
                              profile or a role";

/// A failed call.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) kind: Kind,
    /// The answer's HTTP status.
    pub(super) status: Option<u16>,
    /// The answer's error code.
    pub(super) code: Option<String>,
    /// The answer's message, or the causes of the failure. Not yet free of addresses.
    pub(super) text: String,
}

impl CallError {
    /// Reads an error of the SDK. `transmitting` is whether the SDK had got as far as handing the
    /// request to a connection.
    pub(super) fn new<E>(error: &SdkError<E, HttpResponse>, transmitting: bool) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let kind = kind(error, transmitting);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let text = match error.message() {
            _ if has_no_credentials(error) => NO_CREDENTIALS.to_owned(),
            Some(message) => message.to_owned(),
            None => causes(error),
        };
        Self { kind, status, code: error.code().map(str::to_owned), text }
    }

    /// What comes before the text in a reason.
    pub(super) fn label(&self) -> String {
        match (self.kind, self.status, &self.code) {
            (_, Some(status), Some(code)) => format!("{code} ({status})"),
            (_, Some(status), None) => format!("answer {status} without a known error"),
            (Kind::NotSent, None, _) => "not sent".to_owned(),
            (Kind::NotBuilt, None, _) => "the call could not be made".to_owned(),
            (Kind::TimedOut, None, _) => "no answer in time".to_owned(),
            (Kind::Cut | Kind::Answered, None, _) => "no answer".to_owned(),
        }
    }
}

fn kind<E: Error + 'static>(error: &SdkError<E, HttpResponse>, transmitting: bool) -> Kind {
    if let SdkError::ConstructionFailure(_) = error {
        return Kind::NotBuilt;
    }
    if error.raw_response().is_some() {
        return Kind::Answered;
    }
    if !transmitting || chain(error).any(|cause| cause.is::<CredentialsError>()) {
        return before_transmission(error);
    }
    if chain(error).any(is_connect) {
        return Kind::NotSent;
    }
    match error {
        SdkError::TimeoutError(_) => Kind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::TimedOut,
        _ => Kind::Cut,
    }
}

/// Nothing has left yet. A time-out can only have been the credentials'.
fn before_transmission<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Kind {
    if let SdkError::TimeoutError(_) = error {
        return Kind::NotSent;
    }
    match chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
        Some(
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_),
        )
        | None => Kind::NotBuilt,
        Some(_) => Kind::NotSent,
    }
}

fn has_no_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error)
        .filter_map(|cause| cause.downcast_ref::<CredentialsError>())
        .any(|cause| matches!(cause, CredentialsError::CredentialsNotLoaded(_)))
}

fn is_connect(cause: &(dyn Error + 'static)) -> bool {
    cause
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The causes in words, each said once.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    // The SDK's own layers only say that there is a cause.
    for cause in chain(error).skip(1).filter(|cause| !cause.is::<ConnectorError>()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}
