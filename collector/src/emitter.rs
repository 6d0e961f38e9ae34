//! The one owner of stdout, which is data.
//!
//! A pipe is written without blocking, so that the database connection is served while a slow reader
//! takes its time, and kept about one batch short, so that what is urgent does not queue behind what
//! was claimed long ago. Anything else (a file, a terminal) is written as it comes.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FileType, OFlags};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::unix::pipe;

/// An ordinary row on the wire, in bytes.
const ROW_BYTES: usize = 160;
/// The kernel's smallest and usual pipe.
const PIPE_BYTES_MIN: usize = 4 * 1024;
const PIPE_BYTES_MAX: usize = 64 * 1024;

/// Writes lines.
#[derive(Debug)]
pub struct Emitter {
    out: Out,
}

#[derive(Debug)]
enum Out {
    Pipe(pipe::Sender),
    /// Never blocks for long, or cannot be asked.
    File(File),
}

impl Emitter {
    /// Takes stdout over. `batch` is the rows of one batch.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn stdout(batch: u32) -> io::Result<Self> {
        Self::over(io::stdout().as_fd().try_clone_to_owned()?, batch)
    }

    fn over(out: OwnedFd, batch: u32) -> io::Result<Self> {
        if FileType::from_raw_mode(rustix::fs::fstat(&out)?.st_mode) != FileType::Fifo {
            return Ok(Self { out: Out::File(File::from(out)) });
        }
        #[cfg(target_os = "linux")]
        {
            let bytes = (batch as usize).saturating_mul(ROW_BYTES).next_power_of_two();
            // A wish: a pipe that already holds more, or a kernel that refuses, works as well.
            _ = rustix::pipe::fcntl_setpipe_size(&out, bytes.clamp(PIPE_BYTES_MIN, PIPE_BYTES_MAX));
        }
        let own = reopen(&out).unwrap_or(out);
        let flags = rustix::fs::fcntl_getfl(&own)?;
        rustix::fs::fcntl_setfl(&own, flags | OFlags::NONBLOCK)?;
        Ok(Self { out: Out::Pipe(pipe::Sender::from_owned_fd(own)?) })
    }

    /// Writes whole lines. Returns when the last byte is in the pipe. Cancelled half-way, the line
    /// stays unfinished, and the reader discards it.
    ///
    /// # Errors
    /// `BrokenPipe` when the reader is gone; anything else the system says.
    pub async fn emit(&mut self, lines: &[u8]) -> io::Result<()> {
        #[cfg(debug_assertions)]
        if daemon::crash_point::is_chosen("half_line")
            && let Some((half, rest)) = lines.split_at_checked(lines.len() / 2)
        {
            self.write(half).await?;
            daemon::crash_point!("half_line");
            return self.write(rest).await;
        }
        self.write(lines).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.out {
            Out::Pipe(pipe) => pipe.write_all(bytes).await,
            Out::File(file) => file.write_all(bytes),
        }
    }

    /// Waits until the reader is gone; for ever if that cannot be seen.
    pub async fn reader_gone(&self) {
        if let Out::Pipe(pipe) = &self.out
            && pipe.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// The same pipe under a description of its own, so that making it non-blocking does not surprise a
/// process that shares our stdout.
fn reopen(pipe: &OwnedFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use super::*;

    fn piped(batch: u32) -> (Emitter, File) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        (Emitter::over(writer, batch).unwrap(), File::from(reader))
    }

    #[tokio::test]
    async fn a_full_pipe_is_waited_for_and_nothing_is_lost() {
        let (mut emitter, mut reader) = piped(10);
        let lines = vec![b'x'; 1 << 20];
        let reading = std::thread::spawn(move || {
            let mut all = vec![0; 1 << 20];
            reader.read_exact(&mut all).map(|()| all)
        });
        emitter.emit(&lines).await.unwrap();
        assert_eq!(reading.join().unwrap().unwrap(), lines);
    }

    #[tokio::test]
    async fn the_pipe_is_about_a_batch_short() {
        for (batch, bytes) in [(1, 4096), (10, 4096), (100, 16384), (1000, 65536)] {
            let (emitter, _reader) = piped(batch);
            let Out::Pipe(pipe) = &emitter.out else { panic!("is a pipe") };
            assert_eq!(rustix::pipe::fcntl_getpipe_size(pipe).unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn a_reader_that_goes_is_noticed_while_idle_and_while_writing() {
        let (mut emitter, reader) = piped(10);
        let waiting = tokio::time::timeout(Duration::from_millis(20), emitter.reader_gone());
        assert!(waiting.await.is_err(), "the reader is there");
        emitter.emit(b"a line\n").await.unwrap();
        drop(reader);
        tokio::time::timeout(Duration::from_secs(10), emitter.reader_gone()).await.unwrap();
        let error = emitter.emit(b"another\n").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
