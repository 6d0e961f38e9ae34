//! Much is done at once only when somebody has seen what. Every command asks in the same words.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, anyhow};
use daemon::exit::{Exit, ExitExt};

/// Goes on when it was said on the command line, or is said now on the terminal. What is about to be
/// done was told before.
///
/// # Errors
/// When it was not confirmed, or there is nobody to ask: a person must look.
pub fn confirm(yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if stdin.is_terminal() && io::stderr().is_terminal() {
        // There is nowhere left to ask; the answer is read all the same.
        let _ = write!(io::stderr(), "Type yes to do it: ");
        if is_yes(&mut stdin.lock())? {
            return Ok(());
        }
    }
    Err(anyhow!("nothing was done: if it shall be, say --yes").exit(Exit::Config))
}

fn is_yes(answers: &mut impl BufRead) -> anyhow::Result<bool> {
    let mut answer = String::new();
    answers.read_line(&mut answer).context("read the answer")?;
    Ok(answer.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes(&mut &b"yes\n"[..]).unwrap());
        for no in ["", "\n", "y\n", "YES\n", "no\n", "yes please\n"] {
            assert!(!is_yes(&mut no.as_bytes()).unwrap(), "{no:?}");
        }
    }
}
