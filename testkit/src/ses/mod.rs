//! A double of Amazon SES (API v2): it takes bulk mails, remembers them, and fails on command.
//!
//! What it is not: it checks no signature and knows no sandbox, and renders only templates that were
//! stored in it. Every answer
//! other than success is the test's to order, with [`Reply`].

mod answer;
mod call;
mod reply;
mod server;
mod setup;
mod state;
mod templates;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

pub use self::call::{AcceptedMail, Call, Entry};
pub use self::reply::{EntryFailure, Reply};
use self::server::Server;
use self::state::{Account, Shared, State};
pub use self::templates::Content;
pub use self::tls::Handshakes;
use self::tls::Tls;
use crate::certificates::Certificate;
use crate::ledger;

/// The characters of a token that are its secret and nothing else.
const SECRET_CHARS: usize = 42;

/// The double. It runs on a thread of its own, so that tests may wait for it in any way they like;
/// dropping it ends it and closes its connections.
#[derive(Debug)]
pub struct Ses {
    shared: Arc<Shared>,
    tls: Option<Arc<Tls>>,
    server: Server,
}

impl Ses {
    /// Starts one on a free port of 127.0.0.1. It answers everything with success.
    ///
    /// # Errors
    ///
    /// If there is no port or thread to be had.
    pub fn start() -> anyhow::Result<Ses> {
        Ses::over(None)
    }

    /// Likewise, over TLS, with this certificate.
    ///
    /// # Errors
    ///
    /// As there; or if the certificate is none.
    pub fn start_tls(certificate: &Certificate) -> anyhow::Result<Ses> {
        Ses::over(Some(Tls::presenting(certificate)?))
    }

    fn over(tls: Option<Tls>) -> anyhow::Result<Ses> {
        let (shared, tls) = (Arc::new(Shared::default()), tls.map(Arc::new));
        let server = Server::start(shared.clone(), tls.clone())?;
        Ok(Ses { shared, tls, server })
    }

    /// Where it is, for `AWS_ENDPOINT_URL`: `http://127.0.0.1:<port>`; `https://localhost:<port>` if
    /// it speaks TLS.
    pub fn url(&self) -> String {
        match &self.tls {
            None => format!("http://{}", self.addr()),
            Some(_) => format!("https://localhost:{}", self.addr().port()),
        }
    }

    /// Presents this certificate to those who connect from now on.
    ///
    /// # Errors
    ///
    /// If the certificate is none, or the double does not speak TLS.
    pub fn present(&self, certificate: &Certificate) -> anyhow::Result<()> {
        self.tls.as_ref().context("does not speak TLS")?.present(certificate)
    }

    /// How its connections began; none without TLS.
    pub fn handshakes(&self) -> Handshakes {
        self.tls.as_ref().map(|tls| tls.handshakes()).unwrap_or_default()
    }

    /// Where it is, for a proxy.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Orders the reply to the next call, after those ordered before. What is ordered this way goes
    /// before the [`script`](Ses::script).
    pub fn reply(&self, reply: Reply) {
        self.shared.lock().ordered.push_back(reply);
    }

    /// Orders the replies to the next calls.
    pub fn replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.lock().ordered.extend(replies);
    }

    /// Decides about every call from now on. The script must not set another script.
    pub fn script(&self, script: impl FnMut(&Call) -> Reply + Send + 'static) {
        *self.shared.script() = Some(Box::new(script));
    }

    /// From now on every call is read and recorded, and then held up: its reply is not decided,
    /// nothing is accepted. If the client goes meanwhile, the call has come to nothing.
    pub fn hold(&self) {
        self.shared.gate.send_modify(|gate| gate.held = true);
    }

    /// Lets held calls go on, and ends every [`Reply::Hang`].
    pub fn release(&self) {
        self.shared.gate.send_modify(|gate| {
            gate.held = false;
            gate.releases += 1;
        });
    }

    /// What GetAccount says: mails a second, and mails a day (-1: no limit). 14 and 50,000 at first.
    pub fn set_quota(&self, max_send_rate: f64, max_24_hour_send: i64) {
        self.shared.lock().account = Account::quota(max_send_rate, max_24_hour_send);
    }

    /// What GetAccount says, as a whole: the HTTP status, the error type (if it is an error) and
    /// the body.
    pub fn set_account(&self, status: u16, error: Option<&str>, body: serde_json::Value) {
        let error = error.map(str::to_owned);
        self.shared.lock().account = Account { status, error, body };
    }

    /// Makes GetAccount fail.
    pub fn fail_account(&self, status: u16, kind: &str, message: &str) {
        self.set_account(status, Some(kind), json!({ "message": message }));
    }

    /// How often GetAccount has been called.
    pub fn account_calls(&self) -> usize {
        self.shared.lock().account_calls
    }

    /// All calls so far, in the order of their arrival, those without an answer included.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// All mails accepted so far, in the order of their acceptance.
    pub fn mails(&self) -> Vec<AcceptedMail> {
        self.shared.lock().mails.clone()
    }

    /// Looks at the accepted mails without copying them; the double stands still meanwhile.
    pub fn with_mails<T>(&self, look: impl FnOnce(&[AcceptedMail]) -> T) -> T {
        look(&self.shared.lock().mails)
    }

    /// How many mails have been accepted so far.
    pub fn mail_count(&self) -> usize {
        self.with_mails(<[_]>::len)
    }

    /// The mails whose `secret` was accepted more than once, by secret.
    pub fn duplicates(&self) -> Vec<(String, Vec<AcceptedMail>)> {
        self.with_mails(|mails| {
            let mut by_secret: BTreeMap<&str, Vec<&AcceptedMail>> = BTreeMap::new();
            for mail in mails {
                by_secret.entry(mail.secret()).or_default().push(mail);
            }
            by_secret
                .into_iter()
                .filter(|(_, mails)| mails.len() > 1)
                .map(|(secret, mails)| (secret.to_owned(), mails.into_iter().cloned().collect()))
                .collect()
        })
    }

    /// Waits until `n` calls have arrived, counted from the start or the last
    /// [`clear`](Ses::clear).
    ///
    /// # Errors
    ///
    /// If they have not within `timeout`.
    pub fn wait_calls(&self, n: usize, timeout: Duration) -> anyhow::Result<()> {
        self.wait(timeout, |state| state.calls.len() >= n)
            .with_context(|| format!("waited {timeout:?} in vain for {n} calls"))
    }

    /// Waits until `n` mails have been accepted, counted from the start or the last
    /// [`clear`](Ses::clear).
    ///
    /// # Errors
    ///
    /// If they have not within `timeout`.
    pub fn wait_mails(&self, n: usize, timeout: Duration) -> anyhow::Result<()> {
        self.wait(timeout, |state| state.mails.len() >= n)
            .with_context(|| format!("waited {timeout:?} in vain for {n} mails"))
    }

    fn wait(&self, timeout: Duration, met: impl Fn(&State) -> bool) -> anyhow::Result<()> {
        let state = self.shared.wait(timeout, &met);
        let (calls, mails) = (state.calls.len(), state.mails.len());
        anyhow::ensure!(met(&state), "there are {calls} calls and {mails} mails");
        Ok(())
    }

    /// Forgets the calls, the mails, the ordered replies and the script, not the templates. Calls under
    /// way go on.
    pub fn clear(&self) {
        *self.shared.script() = None;
        self.shared.lock().clear();
    }
}

impl Drop for Ses {
    /// What those who called it said has no address, login or secret in it that it was given.
    fn drop(&mut self) {
        let of_mail = |mail: &AcceptedMail| {
            let secret = mail.secret().get(..SECRET_CHARS).unwrap_or_default().to_owned();
            [mail.to.clone(), mail.text("login").to_owned(), secret]
        };
        let private = self.with_mails(|mails| mails.iter().flat_map(of_mail).collect());
        ledger::assert_private_at(&self.url(), private);
    }
}
