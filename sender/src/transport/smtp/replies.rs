//! What a server says, as it is read: counted, bounded, and made fit for a reader that is strict.
//!
//! The count keeps questions and answers in step. An answer that came before its question was asked
//! belongs to nothing we said; whoever took it for the next one would believe that a mail was accepted
//! which was refused, or the other way round.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest line of an answer, in bytes; RFC 5321 allows 512.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// More than this, in bytes, of what a server says is not kept.
const KEPT_BYTES_MAX: usize = 8 * 1024;

/// See the module. Shared between the stream and whoever asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Replies(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What there is of a line that has no end yet.
    line: Vec<u8>,
    /// Answers that are complete.
    complete: u64,
    /// Answers that what was asked so far deserves; `None` until [`Replies::count_from_here`].
    owed: Option<u64>,
    /// Those of them that had to be there before the question that is asked now.
    settled: u64,
    /// Whether anything of that question has left us.
    said: bool,
    /// The beginning of what was said.
    kept: Vec<u8>,
}

impl Replies {
    /// Takes bytes as they came; whole lines of them go to `out`, in ASCII, a bare code followed by the
    /// space that belongs there.
    ///
    /// # Errors
    /// A line without an end.
    pub(super) fn hear(&self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut state = self.lock();
        for &byte in bytes {
            let plain =
                byte == b'\n' || byte == b'\r' || byte == b'\t' || (b' '..0x7F).contains(&byte);
            state.line.push(if plain { byte } else { b'?' });
            if state.line.len() > LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
            }
            if byte == b'\n' {
                let mut line = std::mem::take(&mut state.line);
                if is_code(&line) && matches!(line.get(3), Some(b'\r' | b'\n')) {
                    line.insert(3, b' ');
                }
                state.complete += u64::from(is_code(&line) && line.get(3) != Some(&b'-'));
                let room = KEPT_BYTES_MAX.saturating_sub(state.kept.len()).min(line.len());
                state.kept.extend(line.iter().take(room));
                out.append(&mut line);
            }
        }
        Ok(())
    }

    /// From now on every answer must have a question.
    pub(super) fn count_from_here(&self) {
        let mut state = self.lock();
        state.owed = Some(state.complete);
        state.kept = Vec::new();
    }

    /// Something is about to be asked that deserves so many answers.
    pub(super) fn asking(&self, answers: u64) {
        let mut state = self.lock();
        if let Some(owed) = state.owed {
            state.settled = owed;
            state.owed = Some(owed + answers);
            state.said = false;
        }
    }

    /// Whether nothing was answered that has not been asked. To be looked at before the question.
    pub(super) fn in_step(&self) -> bool {
        let state = self.lock();
        state.owed.is_none() || state.said || state.complete == state.settled
    }

    /// The question is on its way.
    pub(super) fn said(&self) {
        self.lock().said = true;
    }

    /// Whether anything of the present question has left us.
    pub(super) fn was_said(&self) -> bool {
        self.lock().said
    }

    /// Whether the present question is still to be said.
    pub(super) fn is_to_be_said(&self) -> bool {
        let state = self.lock();
        state.owed.is_some() && !state.said
    }

    /// Whether the server has said that we are welcome.
    pub(super) fn welcome(&self) -> bool {
        self.lock().kept.starts_with(b"220")
    }

    /// Whether the server offers this, in its answer to EHLO.
    pub(super) fn offers(&self, wanted: &str) -> bool {
        String::from_utf8_lossy(&self.lock().kept)
            .lines()
            .filter_map(|line| line.strip_prefix("250"))
            .filter_map(|line| line.get(1..)?.split_whitespace().next())
            .any(|keyword| keyword.eq_ignore_ascii_case(wanted))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_code(line: &[u8]) -> bool {
    line.get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_plain() {
        let (replies, mut out) = (Replies::default(), Vec::new());
        replies.hear(b"250-a\r\n25", &mut out).unwrap();
        assert_eq!(out, b"250-a\r\n");
        replies.hear(b"0\r\n550 Empf\xE4nger\x1b\r\n", &mut out).unwrap();
        assert_eq!(out, b"250-a\r\n250 \r\n550 Empf?nger?\r\n");
        assert!(replies.hear(&[b'x'; LINE_BYTES_MAX + 1], &mut out).is_err());
    }

    #[test]
    fn an_answer_before_its_question_is_noticed() {
        let (replies, mut out) = (Replies::default(), Vec::new());
        replies.hear(b"220 hello\r\n250-a\r\n250 b\r\n", &mut out).unwrap();
        replies.count_from_here();
        replies.asking(3);
        assert!(replies.in_step());
        replies.said();
        replies.hear(b"250 a\r\n250 b\r\n354 go\r\n", &mut out).unwrap();
        replies.asking(1);
        assert!(replies.in_step() && replies.is_to_be_said());
        replies.hear(b"250 early\r\n", &mut out).unwrap();
        assert!(!replies.in_step());
    }
}
