//! How a mail leaves: what a transport is given, what it answers, and the words it answers in.
//!
//! A transport decides nothing about a delivery. It says what happened to each mail, and above all
//! whether the mail may have been sent; `retry` decides what the row becomes.

pub mod address;
pub mod dry_run;
pub mod file;
pub mod message;
pub mod noop;
pub mod ses;
pub mod smtp;
pub mod words;

use std::time::Duration;

use mailroom::ActionNumber;

/// One mail to be sent. Everything in it but the delivery's id is secret or personal, so it has no
/// `Debug`.
pub struct Mail {
    /// The id of the token's row, when a database is in use. The only part that may be logged.
    pub delivery: Option<i64>,
    /// The recipient's address, as the account has it.
    pub email: String,
    /// The account's login: text from outside, in any language.
    pub login: String,
    /// The signed token, 86 characters; `secret` in a template.
    pub token: String,
    /// The code that goes with the token, if its kind has one.
    pub code: Option<String>,
    /// The account's locale, as it was written down.
    pub locale: Option<String>,
    /// When the token expires, in seconds since 1970; known if a database is in use.
    pub expires_at: Option<i64>,
    /// What the token carries for its template: a JSON object, as text.
    pub data: Option<String>,
}

/// The mails of one action, at least one and at most [`Transport::mails_per_call_max`].
pub struct Call {
    /// The action of every mail in it.
    pub action: ActionNumber,
    /// The action's label in the database, if one is in use.
    pub label: Option<String>,
    /// The mails.
    pub mails: Vec<Mail>,
}

/// What happened to one mail. The `reason`s are short and free of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider accepted it.
    Sent {
        /// The provider's message id.
        provider_id: String,
    },
    /// Provably not sent: try again.
    Deferred {
        /// Why not.
        reason: String,
    },
    /// Its turn did not come: try again soon, nothing has been tried.
    Untried {
        /// Why not.
        reason: String,
    },
    /// It may have been sent, or not: the answer never came or says nothing.
    Ambiguous {
        /// What is known.
        reason: String,
    },
    /// Not sent: the provider wants less.
    Throttled {
        /// The provider's words.
        reason: String,
        /// It will take minutes, not seconds: a daily quota is used up.
        late: bool,
    },
    /// Not sent, and never will be.
    Rejected {
        /// The provider's words, or ours.
        reason: String,
    },
    /// Not sent, through no fault of the mail: our configuration is wrong.
    Misconfigured {
        /// What is wrong.
        reason: String,
        /// It may mend from outside (sending paused): hold and probe rather than exit.
        hold: bool,
    },
}

/// How fast the provider lets us send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SendRate {
    /// In recipients a second.
    Known(f64),
    /// The provider did not say.
    Unknown,
}

/// A way to send mail. Used by one task of a single-threaded runtime and dispatched statically.
#[expect(async_fn_in_trait, reason = "one thread, static dispatch: no Send bound is wanted")]
pub trait Transport {
    /// The name in the log of deliveries.
    fn name(&self) -> &'static str;

    /// How many mails one [`Call`] may have.
    fn mails_per_call_max(&self) -> usize;

    /// The longest one call to the provider may take.
    fn call_timeout(&self) -> Duration;

    /// What the provider allows; asks it.
    async fn send_rate(&self) -> SendRate;

    /// Sends, and answers with one outcome a mail, in the order of the mails. `go` is asked right
    /// before every call to the provider; when it says no, the mails of that call are
    /// [`Outcome::Untried`].
    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome>;

    /// Says goodbye, at the end: there will be no more calls.
    async fn finish(&self) {}

    /// Why nothing can be sent in this process any more, if so: the process then ends, to be
    /// restarted.
    fn broken(&self) -> Option<String> {
        None
    }
}
