//! Exit codes: what a supervisor may conclude from the way the process ended.
//!
//! The numbers are those of `sysexits.h`, and part of the interface: `75` says "start me again",
//! `78` says "don't, a person must look". An [`anyhow::Error`] carries its class up to `main`
//! without being flattened to text on the way.

use std::fmt;
use std::process::ExitCode;

use crate::postgres::ConnectError;
use crate::settings::Problems;

/// Why the process ended, as its supervisor sees it.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Asked to stop, or end of input with everything recorded.
    Done = 0,
    /// The input was not ours (`EX_DATAERR`).
    Input = 65,
    /// A dependency or the reader is gone: start me again (`EX_TEMPFAIL`).
    Unavailable = 75,
    /// The settings are wrong: do not start me again before they are mended (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    /// The number given to the operating system.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// An error that knows how the process ends because of it. It reads exactly like the error inside:
/// the class adds no words.
#[derive(Debug)]
pub struct Fatal {
    exit: Exit,
    error: anyhow::Error,
}

impl Fatal {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong, without the class.
    pub fn error(&self) -> &anyhow::Error {
        &self.error
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Fatal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Tags an error, or the error of a `Result`, with the way the process ends because of it.
pub trait ExitExt {
    /// The tagged form: `anyhow::Error` or `Result<T, anyhow::Error>`.
    type Tagged;

    /// Tags it. When an error is tagged twice, the last tag counts.
    fn exit(self, exit: Exit) -> Self::Tagged;
}

impl ExitExt for anyhow::Error {
    type Tagged = anyhow::Error;

    fn exit(self, exit: Exit) -> anyhow::Error {
        anyhow::Error::new(Fatal { exit, error: self })
    }
}

impl<T, E: Into<anyhow::Error>> ExitExt for Result<T, E> {
    type Tagged = Result<T, anyhow::Error>;

    fn exit(self, exit: Exit) -> Result<T, anyhow::Error> {
        self.map_err(|error| error.into().exit(exit))
    }
}

/// How the process ends because of `error`: the class found first from the outside in. Bad settings
/// and a connection that will not mend are [`Exit::Config`] without a tag; an error without any
/// class is [`Exit::Unavailable`], because starting again is the harmless guess.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(class).unwrap_or(Exit::Unavailable)
}

fn class(error: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(fatal) = error.downcast_ref::<Fatal>() {
        return Some(fatal.exit);
    }
    let connect = error.downcast_ref::<ConnectError>();
    let config = error.is::<Problems>() || connect.is_some_and(ConnectError::will_not_mend);
    config.then_some(Exit::Config)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_untagged_error_asks_for_another_start() {
        assert_eq!(exit_of(&anyhow!("connection reset")), Exit::Unavailable);
    }

    #[test]
    fn a_tag_is_found_below_any_context_and_adds_no_words() {
        let failed: Result<(), _> = Err(anyhow!("no such channel").context("listen"));
        let error = failed
            .exit(Exit::Config)
            .context("start the collector")
            .context("collector")
            .expect_err("is an error");
        assert_eq!(exit_of(&error), Exit::Config);
        assert_eq!(format!("{error:#}"), "collector: start the collector: listen: no such channel");
    }

    #[test]
    fn any_error_can_be_tagged_and_the_last_tag_counts() {
        let error = "x".parse::<u8>().exit(Exit::Input).expect_err("no number");
        assert_eq!(exit_of(&error), Exit::Input);
        assert_eq!(exit_of(&error.exit(Exit::Done)), Exit::Done);
    }

    #[test]
    fn bad_settings_need_no_tag() {
        let mut problems = Problems::default();
        problems.push("MAILROOM_X", "is wrong");
        assert_eq!(exit_of(&anyhow::Error::new(problems).context("settings")), Exit::Config);
    }

    #[test]
    fn the_numbers_are_those_of_sysexits() {
        let all = [Exit::Done, Exit::Input, Exit::Unavailable, Exit::Config];
        assert_eq!(all.map(Exit::code), [0, 65, 75, 78]);
    }
}
