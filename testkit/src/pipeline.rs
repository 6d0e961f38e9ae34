//! `collector | sender`, as the shell does it.

use anyhow::Context;

use crate::process::Process;
use crate::running::Running;

/// Two processes, the first one's stdout being the second one's stdin: a kernel pipe of which we
/// keep no end, so that each notices the end of the other.
#[derive(Debug)]
pub struct Pipeline {
    /// The one that writes.
    pub collector: Running,
    /// The one that reads.
    pub sender: Running,
}

impl Pipeline {
    /// Starts both, the reader first.
    ///
    /// # Errors
    ///
    /// If either cannot be run.
    pub fn spawn(collector: Process, sender: Process) -> anyhow::Result<Pipeline> {
        let (reader, writer) = std::io::pipe().context("make a pipe")?;
        let sender = sender.stdin(reader).spawn()?;
        let collector = collector.stdout(writer).spawn()?;
        Ok(Pipeline { collector, sender })
    }
}
