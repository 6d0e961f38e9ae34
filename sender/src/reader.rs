//! Reads lines from stdin, with bounded memory and a number for each.
//!
//! A line is handed on only when its `\n` has come: a collector that dies in the middle of one leaves
//! a half that must not be acted on. A line longer than any of ours is skipped to its end, so that
//! the next one is read in step.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mailroom::line::LINE_BYTES_MAX;
use rustix::fs::{FileType, Mode, OFlags};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;

/// What is read at first. Small, because what is read has left the pipe and can no longer be overtaken
/// by something more urgent; of a line that is longer, as much again as there is of it.
const CHUNK_BYTES: usize = 4 * 1024;
/// What is read at most.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A whole line without its `\n`; numbers start at 1.
    Line(u64, Vec<u8>),
    /// A line of more than [`LINE_BYTES_MAX`] bytes was skipped.
    TooLong(u64),
    /// The input ended in the middle of a line. What there was of it is discarded.
    Unterminated(u64),
    /// The input ended.
    End,
}

/// Reads [`Input`]s.
pub struct Reader<R> {
    input: R,
    chunk: Vec<u8>,
    /// What of `chunk` has been read and not yet looked at.
    start: usize,
    end: usize,
    line: Vec<u8>,
    too_long: bool,
    number: u64,
}

/// Opens stdin for reading without blocking, where it is a pipe.
///
/// # Errors
/// When stdin is closed.
pub fn stdin() -> io::Result<Reader<Box<dyn AsyncRead + Unpin>>> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    if FileType::from_raw_mode(rustix::fs::fstat(&input)?.st_mode) != FileType::Fifo {
        return Ok(Reader::new(Box::new(tokio::io::stdin())));
    }
    // Under a description of its own, so that a process that shares our stdin is not surprised.
    let path = format!("/proc/self/fd/{}", input.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let own = rustix::fs::open(path, flags, Mode::empty()).unwrap_or(input);
    let flags = rustix::fs::fcntl_getfl(&own)?;
    rustix::fs::fcntl_setfl(&own, flags | OFlags::NONBLOCK)?;
    Ok(Reader::new(Box::new(pipe::Receiver::from_owned_fd(own)?)))
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self {
            input,
            chunk: Vec::new(),
            start: 0,
            end: 0,
            line: Vec::new(),
            too_long: false,
            number: 1,
        }
    }

    /// The next input. Cancel-safe: nothing read is lost.
    ///
    /// # Errors
    /// Whatever reading says.
    pub async fn next(&mut self) -> io::Result<Input> {
        loop {
            if let Some(input) = self.take_line() {
                return Ok(input);
            }
            let wanted = self.line.len().clamp(CHUNK_BYTES, CHUNK_BYTES_MAX);
            if self.chunk.len() < wanted {
                self.chunk.resize(wanted, 0);
            }
            let Some(chunk) = self.chunk.get_mut(..wanted) else { continue };
            self.end = self.input.read(chunk).await?;
            self.start = 0;
            if self.end == 0 {
                let unfinished = self.too_long || !self.line.is_empty();
                self.line = Vec::new();
                self.too_long = false;
                return Ok(if unfinished { Input::Unterminated(self.number) } else { Input::End });
            }
        }
    }

    /// A whole line, if what has been read completes one; else keeps what there is of it.
    fn take_line(&mut self) -> Option<Input> {
        let rest = self.chunk.get(self.start..self.end)?;
        let (part, ended) = match rest.iter().position(|&byte| byte == b'\n') {
            Some(at) => (rest.get(..at)?, true),
            None => (rest, false),
        };
        self.start += part.len() + usize::from(ended);
        if self.too_long || self.line.len() + part.len() >= LINE_BYTES_MAX {
            self.too_long = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
        if !ended {
            return None;
        }
        let number = self.number;
        self.number += 1;
        let line = std::mem::take(&mut self.line);
        Some(if std::mem::take(&mut self.too_long) {
            Input::TooLong(number)
        } else {
            Input::Line(number, line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn inputs(bytes: &[u8]) -> Vec<Input> {
        let mut reader = Reader::new(bytes);
        let mut inputs = Vec::new();
        loop {
            match reader.next().await.unwrap() {
                Input::End => return inputs,
                input => inputs.push(input),
            }
        }
    }

    fn line(number: u64, text: &str) -> Input {
        Input::Line(number, text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn lines_have_numbers_and_an_empty_one_counts() {
        assert_eq!(inputs(b"a\n\nb\n").await, [line(1, "a"), line(2, ""), line(3, "b")]);
        assert_eq!(inputs(b"").await, []);
    }

    #[tokio::test]
    async fn half_a_line_is_discarded() {
        assert_eq!(inputs(b"a\nb").await, [line(1, "a"), Input::Unterminated(2)]);
    }

    #[tokio::test]
    async fn a_line_may_span_many_chunks_and_be_just_short_enough() {
        let longest = "x".repeat(LINE_BYTES_MAX - 1);
        let text = format!("{longest}\nb\n");
        assert_eq!(inputs(text.as_bytes()).await, [line(1, &longest), line(2, "b")]);
    }

    #[tokio::test]
    async fn an_endless_line_is_skipped_without_being_kept() {
        let text = format!("{}\nb\n{}", "x".repeat(LINE_BYTES_MAX), "y".repeat(LINE_BYTES_MAX * 2));
        let read = inputs(text.as_bytes()).await;
        assert_eq!(read, [Input::TooLong(1), line(2, "b"), Input::Unterminated(3)]);

        let mut reader = Reader::new(tokio::io::repeat(b'x').take(64 << 20));
        assert_eq!(reader.next().await.unwrap(), Input::Unterminated(1));
        assert_eq!(reader.line.capacity(), 0);
    }
}
