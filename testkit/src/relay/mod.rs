//! Real relays: Postfix and OpenSMTPD, each alone with its files, its users and its processes.
//!
//! Needs root, for namespaces and mounts. Nothing is installed, and nothing listens on anything but
//! 127.0.0.1.

mod packages;
mod settings;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use crate::certificates::Certificate;
use crate::watchdog::Watchdog;
use crate::{port, wait};

/// Runs a relay alone; says how.
const APART: &str = include_str!("apart.sh");
/// Where Debian keeps what is run here, whatever our own PATH is.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
/// Someone may take the port between our choice and the relay's start.
const START_TRIES_MAX: u32 = 5;

/// A mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// Postfix, which takes pipelined commands.
    Postfix,
    /// OpenSMTPD, which does not.
    OpenSmtpd,
}

impl Software {
    /// The name of its package, and of its directory in `/etc`.
    fn name(self) -> &'static str {
        match self {
            Software::Postfix => "postfix",
            Software::OpenSmtpd => "opensmtpd",
        }
    }

    /// Where its package is, if it is not installed; or why it cannot run here.
    fn packages(self) -> Result<Option<&'static Path>, &'static str> {
        static POSTFIX: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
        static OPENSMTPD: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
        let known = match self {
            Software::Postfix => &POSTFIX,
            Software::OpenSmtpd => &OPENSMTPD,
        };
        known
            .get_or_init(|| self.find().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map(Option::as_deref)
            .map_err(String::as_str)
    }

    fn find(self) -> anyhow::Result<Option<PathBuf>> {
        ensure!(rustix::process::geteuid().is_root(), "namespaces and mounts need root");
        let packages = packages::find(self)?;
        // Everything but the relay itself.
        let dir = tempfile::tempdir().context("create a directory")?;
        let (memory, settings) = (dir.path().join("memory"), dir.path().join("settings"));
        fs::create_dir(&memory).and_then(|()| fs::create_dir(&settings)).context("create one")?;
        let place = Place { memory: &memory, settings: &settings, packages: packages.as_deref() };
        let tried = apart(self, &place)
            .arg("true")
            .stdin(Stdio::null())
            .output()
            .context("failed to run unshare")?;
        let words = String::from_utf8_lossy(&tried.stderr);
        let words = words.trim().lines().next_back().unwrap_or_default();
        // 137: the end of its input may come before its own end, and is as good here.
        let well = tried.status.success() || tried.status.code() == Some(137);
        ensure!(well, "namespaces or mounts are not to be had here: {words}");
        Ok(packages)
    }
}

/// Where mail goes from a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// To this server, all of it, in the clear.
    To(SocketAddr),
    /// Nowhere: it is accepted, queued and thrown away. Postfix can do it.
    Discard,
}

/// A running relay on 127.0.0.1 that takes mail for everybody, without AUTH. Its queue is in memory. It
/// ends when it is dropped or when our process ends, by whatever cause, and leaves no file.
#[derive(Debug)]
pub struct Relay {
    /// Like no other's: it says whether it is really ours that answers on the port.
    name: String,
    addr: SocketAddr,
    dir: PathBuf,
    child: Child,
    /// Open as long as it is to live.
    stdin: Option<ChildStdin>,
    watchdog: Watchdog,
}

impl Relay {
    /// Why `software` cannot run here; `None` if it can. Fetches it, if it is not installed.
    pub fn missing(software: Software) -> Option<String> {
        software.packages().err().map(str::to_owned)
    }

    /// Starts one that sends mail `onward`, and offers STARTTLS if it is given a certificate.
    ///
    /// # Errors
    ///
    /// If it cannot run here (see [`missing`](Relay::missing)), or does not start; the end of its log
    /// is in the message.
    pub fn start(
        software: Software,
        onward: Onward,
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Relay> {
        let mut tries = 1;
        loop {
            let mut relay = Relay::spawn(software, onward, certificate)?;
            match relay.wait_until_ready() {
                Ok(()) => return Ok(relay),
                Err(_) if tries < START_TRIES_MAX && relay.log().contains("already in use") => {
                    tries += 1;
                }
                Err(error) => return Err(error.context(format!("start {}", software.name()))),
            }
        }
    }

    fn spawn(
        software: Software,
        onward: Onward,
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Relay> {
        let packages = software.packages().map_err(anyhow::Error::msg)?;
        let dir = tempfile::Builder::new().prefix("mailroom-relay-").tempdir();
        let dir = dir.context("create a directory")?.keep();
        let watchdog = Watchdog::start(Signal::KILL, Some(&dir))?;
        let (memory, settings) = (dir.join("memory"), dir.join("settings"));
        fs::create_dir(&memory).context("create a directory")?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free_port()?));
        let name = format!("relay-{:x}.test", fastrand::u64(..));
        settings::write(&settings, software, &name, addr, onward, certificate)?;
        let log = File::create(dir.join("log")).context("create a log")?;
        let place = Place { memory: &memory, settings: &settings, packages };
        let mut child = apart(software, &place)
            .args(settings::command(software))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("share a log")?)
            .stderr(log)
            .spawn()
            .context("failed to run unshare")?;
        watchdog.guard(child.id())?;
        let stdin = child.stdin.take();
        Ok(Relay { name, addr, dir, child, stdin, watchdog })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its log is, until it ends.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let greeting = greeting(self.addr);
            let log = self.log();
            let end: Vec<&str> = log.lines().rev().take(10).collect();
            let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
            if let Some(status) = self.child.try_wait().context("look after the relay")? {
                bail!("it has ended: {status}; its log ends with:\n{end}");
            }
            match greeting {
                Ok(line) if line.starts_with(&format!("220 {} ", self.name)) => return Ok(()),
                other if Instant::now() > deadline => {
                    bail!("it does not answer: {other:?}; its log ends with:\n{end}");
                }
                Ok(_) | Err(_) => std::thread::sleep(wait::POLL),
            }
        }
    }
}

impl Drop for Relay {
    /// The end of its input ends it all; its files are removed by the watchdog, which is dropped next.
    fn drop(&mut self) {
        drop(self.stdin.take());
        let ended = || !matches!(self.child.try_wait(), Ok(None));
        if !wait::holds_within(STOPPED_WITHIN, ended) {
            let _ = self.child.kill();
        }
        let _ = self.watchdog.forget();
        let _ = self.child.wait();
    }
}

struct Place<'a> {
    memory: &'a Path,
    settings: &'a Path,
    packages: Option<&'a Path>,
}

/// The command that runs in namespaces what arguments are added to it.
fn apart(software: Software, place: &Place<'_>) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"])
        .args(["sh", "-c", APART, "apart.sh", software.name()])
        .arg(place.memory)
        .arg(place.packages.unwrap_or(Path::new("")))
        .arg(place.settings)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        // A Ctrl-C is for us, not for it.
        .process_group(0);
    command
}

fn greeting(addr: SocketAddr) -> std::io::Result<String> {
    let stream = TcpStream::connect_timeout(&addr, READY_WITHIN)?;
    stream.set_read_timeout(Some(READY_WITHIN))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}
