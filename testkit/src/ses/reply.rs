//! How a call is answered, or not.

use std::time::Duration;

/// What the double does with a SendBulkEmail call. `accept` says whether the mails go out all the
/// same, as they may at a provider whose answer is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Accepts everything.
    Ok,
    /// Accepts everything but these entries.
    Entries(Vec<EntryFailure>),
    /// Refuses the call as a whole.
    Error {
        /// HTTP's.
        status: u16,
        /// SES's, for instance `TooManyRequestsException`.
        kind: String,
        /// For people.
        message: String,
    },
    /// Closes the connection without reading the request's body; nothing is accepted. (Where a
    /// script decides it, the body has been read already.)
    CutBeforeRead,
    /// Reads the request, then closes the connection without an answer.
    CutAfterRead {
        /// Whether the mails go out.
        accept: bool,
    },
    /// Reads the request, then says nothing until the client gives up or the test calls
    /// [`release`](super::Ses::release): then what was accepted is answered with success, and what
    /// was not with a closed connection.
    Hang {
        /// Whether the mails go out.
        accept: bool,
    },
    /// Accepts everything at once, and says so only after this time.
    Delay(Duration),
    /// Answers 200 with a body that is not JSON.
    Nonsense {
        /// Whether the mails go out.
        accept: bool,
    },
    /// Answers 200 and closes the connection in the middle of the body.
    Partial {
        /// Whether the mails go out.
        accept: bool,
    },
}

impl Reply {
    /// Refuses the call: `Reply::error(429, "TooManyRequestsException", "Too many requests")`.
    pub fn error(status: u16, kind: &str, message: &str) -> Reply {
        Reply::Error { status, kind: kind.to_owned(), message: message.to_owned() }
    }

    /// Accepts everything but the entry with this index, which gets this status (`MESSAGE_REJECTED`
    /// for instance).
    pub fn fail_index(index: usize, status: &str, error: &str) -> Reply {
        Reply::Entries(vec![EntryFailure::at(index, status, error)])
    }

    /// Accepts everything but the entries to this address.
    pub fn fail_address(address: &str, status: &str, error: &str) -> Reply {
        Reply::Entries(vec![EntryFailure::to(address, status, error)])
    }

    /// Refuses every entry with this status, in a call that is otherwise a success.
    pub fn fail_all(status: &str, error: &str) -> Reply {
        Reply::Entries(vec![EntryFailure {
            which: Which::All,
            status: status.into(),
            error: error.into(),
        }])
    }
}

/// The status of an entry that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFailure {
    which: Which,
    pub(super) status: String,
    pub(super) error: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Index(usize),
    Address(String),
    All,
}

impl EntryFailure {
    /// By the entry's place in the call, from 0.
    pub fn at(index: usize, status: &str, error: &str) -> EntryFailure {
        EntryFailure { which: Which::Index(index), status: status.into(), error: error.into() }
    }

    /// By the entry's address.
    pub fn to(address: &str, status: &str, error: &str) -> EntryFailure {
        EntryFailure {
            which: Which::Address(address.into()),
            status: status.into(),
            error: error.into(),
        }
    }

    pub(super) fn concerns(&self, index: usize, address: &str) -> bool {
        match &self.which {
            Which::Index(which) => *which == index,
            Which::Address(which) => which == address,
            Which::All => true,
        }
    }
}
