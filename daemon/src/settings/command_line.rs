//! The command line: three flags and nothing else. What a program does comes from its environment.

use std::ffi::OsString;
use std::io::{self, Write};

use super::Problems;

/// What was asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// No arguments: do the work.
    Run,
    /// `--check`: look at the settings and what they point to, report, and exit.
    Check,
    /// `--help` or `--version`: [`print()`] this text and exit.
    Print(String),
}

/// Reads the arguments of this process: `--help` (`-h`), `--version` (`-V`), `--check`.
///
/// # Errors
/// Any other argument, with the remedy.
pub fn command_line(prog: &str, version: &str, help_text: &str) -> Result<Command, Problems> {
    parse(prog, version, help_text, std::env::args_os().skip(1))
}

/// Writes the answer to `--help` or `--version` on stdout; a text without a final line break gets one.
///
/// # Errors
/// When stdout is closed or full.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn parse(
    prog: &str,
    version: &str,
    help_text: &str,
    args: impl Iterator<Item = OsString>,
) -> Result<Command, Problems> {
    let mut command = Command::Run;
    let mut problems = Problems::default();
    for (index, arg) in args.enumerate() {
        match arg.to_str() {
            Some("--help" | "-h") => return Ok(Command::Print(help_text.to_owned())),
            Some("--version" | "-V") => return Ok(Command::Print(format!("{prog} {version}"))),
            Some("--check") => command = Command::Check,
            arg => problems.push(
                &shown(arg, index),
                format_args!(
                    "is not an argument of {prog}; it takes --help, --version or --check, and its \
                     settings from {}… environment variables",
                    super::PREFIX
                ),
            ),
        }
    }
    problems.finish(command)
}

/// An argument may be a password or a database URL in the wrong place: only what looks like a flag or
/// a plain word is repeated, the rest is told by position.
fn shown(arg: Option<&str>, index: usize) -> String {
    let name = arg.and_then(|arg| arg.split('=').next()).unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !name.is_empty() && name.len() <= 20 && name.bytes().all(plain) {
        format!("\"{name}\"")
    } else {
        format!("argument {}", index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse("collector", "0.1.0", "usage\n", args.iter().map(OsString::from))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn three_flags() {
        assert_eq!(parsed(&[]), Ok(Command::Run));
        assert_eq!(parsed(&["--check"]), Ok(Command::Check));
        assert_eq!(parsed(&["--help"]), Ok(Command::Print("usage\n".to_owned())));
        assert_eq!(parsed(&["-V"]), Ok(Command::Print("collector 0.1.0".to_owned())));
        assert_eq!(parsed(&["--bad", "-h"]), Ok(Command::Print("usage\n".to_owned())));
    }

    #[test]
    fn anything_else_is_named_with_the_remedy() {
        assert_eq!(
            parsed(&["--chek", "start"]),
            Err("\"--chek\": is not an argument of collector; it takes --help, --version or \
                 --check, and its settings from MAILROOM_… environment variables\n\
                 \"start\": is not an argument of collector; it takes --help, --version or \
                 --check, and its settings from MAILROOM_… environment variables"
                .to_owned())
        );
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        for arg in ["postgres://me:hush@db/x", "--url=hush", "hush hush", "hush\u{e9}", ""] {
            let text = parsed(&[arg]).expect_err("not an argument");
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
