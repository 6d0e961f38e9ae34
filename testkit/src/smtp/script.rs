//! Where an SMTP server can misbehave, and how.

use std::time::Duration;

/// The places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before it says anything.
    Greeting,
    /// Its answer to EHLO, before and after STARTTLS.
    Ehlo,
    /// Its answer to STARTTLS.
    StartTls,
    /// Its answer to AUTH.
    Auth,
    /// Its answer to MAIL.
    Mail,
    /// Its answer to RCPT.
    Rcpt,
    /// Its answer to DATA.
    Data,
    /// In the middle of the message.
    Body,
    /// Its answer to the final dot.
    Dot,
    /// Its answer to QUIT.
    Quit,
}

impl Stage {
    /// All of them, in the order of a connection.
    pub const ALL: [Stage; 10] = [
        Stage::Greeting,
        Stage::Ehlo,
        Stage::StartTls,
        Stage::Auth,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::Body,
        Stage::Dot,
        Stage::Quit,
    ];
}

/// What to do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// As it should be.
    Go,
    /// Say this instead of the right answer: `451 4.3.0 Try again`. At [`Stage::Dot`] the message
    /// is accepted only if it begins with a 2.
    Say(String),
    /// Hang up.
    Drop,
    /// Accept the message, and hang up without saying so; elsewhere like [`Act::Drop`].
    AcceptAndDrop,
    /// Say nothing for so long, then go on as it should be.
    Delay(Duration),
    /// Say nothing any more.
    Hang,
}

impl Act {
    /// Says this.
    pub fn say(text: &str) -> Act {
        Act::Say(text.to_owned())
    }
}
