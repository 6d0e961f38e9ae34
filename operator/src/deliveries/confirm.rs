//! Many mails at once are sent, or stopped, only when somebody has seen how many.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, anyhow};
use daemon::exit::{Exit, ExitExt};

use crate::output::Output;

/// Whether to go on: it was said on the command line, or is said now on the terminal.
///
/// # Errors
/// When there is nobody to ask.
pub(super) fn confirmed(yes: bool, out: &mut Output<'_>) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stdout().is_terminal() {
        return Err(
            anyhow!("nothing was done: --yes does it, --dry-run only shows it").exit(Exit::Config)
        );
    }
    out.text("Go on? [y/N] ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("read the answer")?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y", "Y\n", " yes \n", "YES"].iter().all(|answer| is_yes(answer)));
        assert!(!["", "\n", "n", "yess", "ye", "1"].iter().any(|answer| is_yes(answer)));
    }
}
