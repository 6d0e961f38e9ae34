//! Child processes to be: what they are given.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Mutex;

use anyhow::Context;
use rustix::process::Signal;

use crate::binary::binary;
use crate::ledger;
use crate::lines::Lines;
use crate::running::Running;
use crate::watchdog::Watchdog;

/// Set: what the children write to stderr is repeated on ours.
const ECHO_VARIABLE: &str = "MAILROOM_TEST_ECHO";

/// A child process to be: a program, its arguments and its environment, which holds nothing of ours
/// but the PATH. Its stdin is empty, its stdout and stderr are captured, unless told otherwise.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Input,
    stdout: Output,
}

#[derive(Debug)]
enum Input {
    Bytes(Vec<u8>),
    Held,
    Given(Stdio),
}

#[derive(Debug)]
enum Output {
    Captured,
    Held,
    Given(Stdio),
}

impl Process {
    /// A program of this workspace; [`binary`] builds it when it is spawned.
    pub fn new(name: &str) -> Process {
        Process {
            name: name.to_owned(),
            program: None,
            args: Vec::new(),
            env: Vec::new(),
            stdin: Input::Given(Stdio::null()),
            stdout: Output::Captured,
        }
    }

    /// Any other program.
    pub fn at(path: impl Into<PathBuf>) -> Process {
        let path = path.into();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Process { program: Some(path), ..Process::new(&name) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Process {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Process {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Process {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Process {
        variables.into_iter().fold(self, |process, (name, value)| process.env(name, value))
    }

    /// Sets the variables that are set for another.
    #[must_use]
    pub fn env_of(self, other: &Process) -> Process {
        self.envs(other.env.iter().map(|(name, value)| (name, value)))
    }

    /// Has it run by `wrapper`, a program and its arguments, which is given its path and arguments as
    /// further ones.
    ///
    /// # Errors
    ///
    /// If it cannot be built.
    pub fn under(mut self, wrapper: &[&str]) -> anyhow::Result<Process> {
        let program = self.program.map_or_else(|| binary(&self.name), Ok)?;
        let mut words = wrapper.iter().map(OsString::from);
        self.program = words.next().map(PathBuf::from);
        self.args.insert(0, program.into());
        self.args.splice(..0, words);
        Ok(self)
    }

    /// Gives it these bytes to read, and then the end of input.
    #[must_use]
    pub fn stdin_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Process {
        self.stdin = Input::Bytes(bytes.into());
        self
    }

    /// Keeps the writing end of its stdin for [`Running::take_stdin`].
    #[must_use]
    pub fn stdin_held(mut self) -> Process {
        self.stdin = Input::Held;
        self
    }

    /// Gives it this as stdin: a file, or the reading end of a pipe.
    #[must_use]
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Process {
        self.stdin = Input::Given(from.into());
        self
    }

    /// Keeps the reading end of its stdout for [`Running::take_stdout`]: the test reads as slowly
    /// as it likes, or not at all.
    #[must_use]
    pub fn stdout_held(mut self) -> Process {
        self.stdout = Output::Held;
        self
    }

    /// Gives it this as stdout: a file, or the writing end of a pipe.
    #[must_use]
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Process {
        self.stdout = Output::Given(to.into());
        self
    }

    /// Starts it, in a process group of its own.
    ///
    /// # Errors
    ///
    /// If it cannot be built, found or run.
    pub fn spawn(self) -> anyhow::Result<Running> {
        let program = self.program.map_or_else(|| binary(&self.name), Ok)?;
        let guard = Watchdog::start(Signal::KILL, None)?;
        let mut command = Command::new(&program);
        command
            .args(self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stderr(Stdio::piped());
        let mut bytes = None;
        command.stdin(match self.stdin {
            Input::Given(from) => from,
            Input::Held => Stdio::piped(),
            Input::Bytes(given) => {
                bytes = Some(given);
                Stdio::piped()
            }
        });
        let captured = matches!(self.stdout, Output::Captured);
        command.stdout(match self.stdout {
            Output::Given(to) => to,
            Output::Captured | Output::Held => Stdio::piped(),
        });
        let mut child =
            command.spawn().with_context(|| format!("failed to run {}", program.display()))?;
        guard.guard(child.id())?;
        // The ends of pipes that it was given must not stay open with us.
        drop(command);

        let echo = std::env::var_os(ECHO_VARIABLE).map(|_| format!("{}: ", self.name));
        let stderr = child.stderr.take().context("stderr is not a pipe")?;
        let stderr = Lines::capture(stderr, echo)?;
        ledger::keep(&self.env, &stderr);
        let mut held_stdout = child.stdout.take();
        let stdout = match held_stdout.take_if(|_| captured) {
            Some(pipe) => Some(Lines::capture(pipe, None)?),
            None => None,
        };
        let mut held_stdin = child.stdin.take();
        if let Some(bytes) = bytes
            && let Some(pipe) = held_stdin.take()
        {
            feed(pipe, bytes)?;
        }
        Ok(Running {
            name: self.name,
            pid: child.id(),
            child: Mutex::new(child),
            stderr,
            secrets: ledger::secrets_in(&self.env),
            stdout,
            held_stdin: Mutex::new(held_stdin),
            held_stdout: Mutex::new(held_stdout),
            guard,
        })
    }
}

/// On a thread, because a pipe takes no more than 64 KiB until someone reads.
fn feed(mut pipe: ChildStdin, bytes: Vec<u8>) -> anyhow::Result<()> {
    std::thread::Builder::new()
        .name("testkit-stdin".into())
        .spawn(move || {
            // A child that does not want it all is no error of ours.
            let _ = pipe.write_all(&bytes);
        })
        .map(drop)
        .context("start a thread")
}
