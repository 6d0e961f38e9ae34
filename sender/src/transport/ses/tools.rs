//! For the operator's tools: a client that is made as the transport's is, and what its errors say.

use std::error::Error;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};

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

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, in one line that is free of addresses.
    pub reason: String,
    /// Whether the same call may succeed later without anybody doing something.
    pub is_transient: bool,
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
        Self { reason: words(&format!("{}: {}", error.label(), error.text)), is_transient }
    }
}
