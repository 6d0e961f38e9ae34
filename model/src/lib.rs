//! A checked model of Mailroom's protocol: small worlds in which everything that can happen does, in
//! every order, and in each state that is reached the promises of DESIGN §1 are asked for.
//!
//! Nothing of the product uses this crate. It states in a second language what the SQL and the two
//! programs do, so when one of them changes, change it here too: each step names the file it is.
//!
//! # Two models
//!
//! * [`delivery`]: claim, line, begin, call, settle, release; connections lost and taken over from.
//!   Whoever could find a row finds it: that nobody sleeps is the other model's matter.
//! * [`gate`]: writers that notify only if a collector sleeps; arm, look, sleep, wake, sweep. What a
//!   sender does with a line is one step.
//!
//! # What is judged
//!
//! In every reachable state: a row that is gone has its reason in the log; a token has no more
//! accepted mails than one, and one for each crash, lost answer or 30 s out of reach that hit a mail
//! accepted and not recorded; begin grants nothing used, expired, moved, or known to be sent; a `sent`
//! row in the log is a mail; nobody sleeps on a due row without a notification on its way.
//!
//! And from every reachable state: what will happen by itself (processes, time), without a further
//! fault and without the application, can settle everything. That is stronger than the absence of a
//! deadlock, since a collector that polls for ever and finds nothing is not stuck.
//!
//! # What is left out
//!
//! * Time is order. A grace ends when it may: 30 s after a session's end, but not during a call,
//!   which has ended 30 s after begin was asked, nor while its sender has a result and a connection.
//!   60 s pass for a line only if it is lost, or by a fault of its own (`slow_lines`).
//! * A statement is one step, and its answer another; a connection can be lost between, before, or
//!   with the statement still on its way to a backend that lives on. Where two statements of ours can
//!   overlap and it matters, one is two steps: a sweep, a take-over, a late `settle_sent`.
//! * A batch is one row, a call one mail. Half a line is no line: the reader acts on whole ones.
//! * A mail is accepted when its call starts. A process cannot be stopped between the last look at
//!   the clock and the provider's acceptance; nothing could be done about that.
//! * A crash of PostgreSQL takes each row's last asynchronous commit, or all since something was
//!   durable, or none; a row that was skipped stays so. Failing over to a standby that lags,
//!   priorities, floors, the clock of batches and rates are left out.

pub mod delivery;
pub mod explore;
pub mod gate;

/// What kind of step an action is, when we ask whether a state can be recovered from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A process does what it does, or time passes: it will happen.
    Progress,
    /// A fault, or the application: it may never happen, so nothing may wait for it.
    Chance,
}

/// A model that can say when all promises are kept.
pub trait Recoverable: stateright::Model {
    /// What kind of step this is.
    fn kind(&self, action: &Self::Action) -> Kind;
    /// Whether nothing is outstanding.
    fn is_settled(&self, state: &Self::State) -> bool;
}
