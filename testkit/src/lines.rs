//! The lines a child process writes, kept as they come.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

/// Lines without their line ends. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

impl Lines {
    /// Reads `from` to its end on a thread of its own. `echo` repeats each line on our stderr,
    /// after this prefix.
    pub(crate) fn capture(
        from: impl Read + Send + 'static,
        echo: Option<String>,
    ) -> anyhow::Result<Arc<Lines>> {
        let lines = Arc::new(Lines::default());
        let filled = lines.clone();
        std::thread::Builder::new()
            .name("testkit-lines".into())
            .spawn(move || filled.fill(BufReader::new(from), echo))
            .context("start a thread")?;
        Ok(lines)
    }

    fn fill(&self, mut from: impl BufRead, echo: Option<String>) {
        let mut bytes = Vec::new();
        // An error ends it like the end of the stream does: there is nothing more to be had.
        while from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            if bytes.ends_with(b"\n") {
                bytes.pop();
            }
            let line = String::from_utf8_lossy(&bytes).into_owned();
            if let Some(prefix) = &echo {
                let _ = writeln!(std::io::stderr(), "{prefix}{line}");
            }
            bytes.clear();
            self.lock().lines.push(line);
            self.changed.notify_all();
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// The whole text, with line ends.
    pub(crate) fn text(&self) -> String {
        self.lock().lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Waits until `n` lines match (the lines that are there already count); the n-th of them.
    pub(crate) fn wait(
        &self,
        n: usize,
        timeout: Duration,
        matches: impl Fn(&str) -> bool,
    ) -> anyhow::Result<String> {
        let deadline = Instant::now() + timeout;
        let (mut seen, mut found) = (0, 0);
        let mut state = self.lock();
        loop {
            while let Some(line) = state.lines.get(seen) {
                seen += 1;
                found += usize::from(matches(line));
                if found >= n {
                    return Ok(line.clone());
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended {
                bail!("the stream has ended, with {found} such lines and not {n}");
            }
            if left.is_zero() {
                bail!("after {timeout:?} there are {found} such lines and not {n}");
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of the stream; whether it came.
    pub(crate) fn wait_end(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `line` has `pattern` in it, not followed by more of the same word: `call=1` is not in
/// `call=10`, nor `event=call` in `event=call_started`.
pub(crate) fn contains(line: &str, pattern: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let open = pattern.ends_with(|c| !word(c));
    line.match_indices(pattern).any(|(at, _)| open || !line[at + pattern.len()..].starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_pattern_matches_whole_words() {
        let line = "2026-11-21T17:57:56.123Z INFO sender event=call_started call=10 cause=\"a b\"";
        assert!(contains(line, "event=call_started"));
        assert!(contains(line, "event=call_started call=10"));
        assert!(contains(line, "cause="));
        assert!(!contains(line, "event=call"));
        assert!(!contains(line, "call=1"));
    }
}
