//! Credentials that expire, and those that cannot be had.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};

use crate::harness::{Rig, activations, classes, reason};
use crate::server::{Reply, Server};

type Answer = fn() -> Result<Credentials, CredentialsError>;

/// Counts how often it is asked.
#[derive(Clone, Debug)]
struct Provider {
    asked: Arc<AtomicU32>,
    answer: Answer,
}

impl Provider {
    fn new(answer: Answer) -> Self {
        Self { asked: Arc::default(), answer }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.asked.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::ready((self.answer)())
    }
}

fn good() -> Result<Credentials, CredentialsError> {
    Ok(Credentials::new("key", "secret", None, None, "test"))
}

#[tokio::test]
async fn expired_credentials_are_loaded_anew_once() {
    let calls = AtomicU32::new(0);
    let server = Server::start(move |request| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::error("403 Forbidden", "ExpiredTokenException", "expired"),
        _ => Reply::accept(request),
    });
    let provider = Provider::new(good);
    let rig = Rig::with_credentials(&server.url, provider.clone());
    let outcomes = rig.send(&activations(&["a@example.org"; 2])).await;
    assert_eq!(classes(&outcomes), ["sent"; 2]);
    assert_eq!((server.requests().len(), provider.asked()), (2, 2));
    rig.send(&activations(&["a@example.org"])).await;
    assert_eq!(provider.asked(), 2, "cached");
}

#[tokio::test]
async fn what_stays_expired_was_not_sent() {
    for code in ["ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"] {
        let server = Server::start(move |_| Reply::error("403 Forbidden", code, "expired"));
        let rig = Rig::new(&server.url);
        let outcomes = rig.send(&activations(&["a@example.org"; 2])).await;
        assert_eq!(classes(&outcomes), ["deferred"; 2], "{code}");
        assert_eq!(server.requests().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn no_credentials_is_our_configuration_and_no_answer_about_them_is_not() {
    let table: [(Answer, &str); 4] = [
        (|| Err(CredentialsError::not_loaded("none in the chain")), "misconfigured"),
        (|| Err(CredentialsError::invalid_configuration("a bad profile")), "misconfigured"),
        (|| Err(CredentialsError::provider_error("STS says 503")), "deferred"),
        (
            || Err(CredentialsError::provider_timed_out(std::time::Duration::from_secs(5))),
            "deferred",
        ),
    ];
    let server = Server::start(Reply::accept);
    for (answer, class) in table {
        let rig = Rig::with_credentials(&server.url, Provider::new(answer));
        let outcomes = rig.send(&activations(&["a@example.org"])).await;
        assert_eq!(classes(&outcomes), [class], "{}", reason(&outcomes[0]));
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_our_configuration() {
    let outcomes = Rig::new("no endpoint").send(&activations(&["a@example.org"])).await;
    assert_eq!(classes(&outcomes), ["misconfigured"], "{}", reason(&outcomes[0]));
}
