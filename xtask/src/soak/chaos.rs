//! Faults, about one a second, and their end.

use std::time::{Duration, Instant};

use fastrand::Rng;
use testkit::{Database, Signal};

use super::journal::{Journal, Span};
use super::pipe::Pipe;
use super::provider::Provider;
use super::stage::{Half, PIPES, Stage};

/// How often the processes are looked after.
const PULSE: Duration = Duration::from_millis(20);
/// Milliseconds between two faults.
const PAUSE: std::ops::Range<u64> = 400..1_400;
/// Milliseconds that a fault lasts which lasts.
const LASTS: std::ops::Range<u64> = 1_000..8_000;
/// How long everything may take to come to its end: retries are a minute and a quarter apart at
/// most, a line that was lost is noticed after one or two minutes.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);

/// The faults and those they befall.
pub(super) struct Chaos<'a> {
    stage: &'a Stage,
    provider: Provider,
    rng: Rng,
    pipes: Vec<Pipe>,
    journal: Journal,
    lasting: Vec<Lasting>,
}

/// A fault that is still in force.
struct Lasting {
    pipe: usize,
    half: Half,
    since: Instant,
    until: Instant,
    /// The process that is stopped; `None`: it is the connection to the database that suffers.
    stopped: Option<u32>,
}

impl<'a> Chaos<'a> {
    pub(super) fn new(stage: &'a Stage, mut rng: Rng) -> Chaos<'a> {
        let provider = Provider::direct(&stage.ses, rng.fork());
        let pipes = (0..PIPES).map(Pipe::new).collect();
        Chaos { stage, provider, rng, pipes, journal: Journal::default(), lasting: Vec::new() }
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.provider
    }

    pub(super) fn pipes(&self) -> &[Pipe] {
        &self.pipes
    }

    /// Lets it rain until then.
    pub(super) async fn rain(&mut self, until: Instant) -> anyhow::Result<()> {
        let mut next = Instant::now();
        while Instant::now() < until {
            self.look_after()?;
            if Instant::now() >= next {
                self.fault()?;
                next = Instant::now() + Duration::from_millis(self.rng.u64(PAUSE));
            }
            tokio::time::sleep(PULSE).await;
        }
        Ok(())
    }

    /// Ends all faults, and waits until nothing is outstanding. Whether it came to that.
    pub(super) async fn settle(&mut self, database: &Database) -> anyhow::Result<bool> {
        self.provider.calm(&self.stage.ses);
        for lasting in &mut self.lasting {
            lasting.until = Instant::now();
        }
        let deadline = Instant::now() + SETTLED_WITHIN;
        while Instant::now() < deadline {
            self.look_after()?;
            tokio::time::sleep(PULSE).await;
            let up = self.pipes.iter().all(Pipe::is_up);
            let left = "SELECT EXISTS (SELECT FROM deliveries)";
            if up && database.query_text(left).await? == "f" {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends what is over, and starts what has ended.
    fn look_after(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for ended in self.lasting.extract_if(.., |lasting| lasting.until <= now) {
            let Lasting { pipe, half, since, .. } = ended;
            match ended.stopped {
                None => self.stage.proxy(pipe, half).heal()?,
                Some(pid) => {
                    if let Some(process) = self.pipes[pipe].half(half).filter(|p| p.pid() == pid) {
                        process.signal(Signal::CONT)?;
                    }
                    if half == Half::Sender {
                        self.journal.sender_stopped(pipe, Span { from: since, until: now });
                    }
                }
            }
        }
        for pipe in &mut self.pipes {
            pipe.look_after(self.stage, &mut self.rng)?;
        }
        Ok(())
    }

    fn fault(&mut self) -> anyhow::Result<()> {
        let pipe = self.rng.usize(..PIPES);
        let half = if self.rng.bool() { Half::Collector } else { Half::Sender };
        match self.rng.u8(..20) {
            0..4 => self.kill(pipe, half),
            4..7 => self.stop(pipe, half),
            7..12 => self.disconnect(pipe, half),
            12 => self.crash(),
            _ => {
                self.provider.trouble(&self.stage.ses);
                Ok(())
            }
        }
    }

    fn kill(&mut self, pipe: usize, half: Half) -> anyhow::Result<()> {
        let Some(process) = self.pipes[pipe].half(half) else { return Ok(()) };
        process.kill()?;
        if half == Half::Sender {
            self.journal.sender_killed(pipe, Instant::now());
        }
        self.journal.count(match half {
            Half::Collector => "collector: kill -9",
            Half::Sender => "sender: kill -9",
        });
        Ok(())
    }

    fn stop(&mut self, pipe: usize, half: Half) -> anyhow::Result<()> {
        let Some(process) = self.pipes[pipe].half(half) else { return Ok(()) };
        let pid = process.pid();
        if self.lasting.iter().any(|lasting| lasting.stopped == Some(pid)) {
            return Ok(());
        }
        process.signal(Signal::STOP)?;
        self.last(pipe, half, Some(pid));
        self.journal.count(match half {
            Half::Collector => "collector: SIGSTOP",
            Half::Sender => "sender: SIGSTOP",
        });
        Ok(())
    }

    /// Cuts the connection to the database; or cuts it and has it refused for a while; or has it
    /// lose everything for a while.
    fn disconnect(&mut self, pipe: usize, half: Half) -> anyhow::Result<()> {
        let proxy = self.stage.proxy(pipe, half);
        let suffers = |l: &Lasting| l.stopped.is_none() && (l.pipe, l.half) == (pipe, half);
        let kind = if self.lasting.iter().any(suffers) { 0 } else { self.rng.u8(..3) };
        if kind == 2 {
            proxy.black_hole(true);
        } else {
            if kind == 1 {
                proxy.refuse(true)?;
            }
            proxy.cut()?;
        }
        if kind != 0 {
            self.last(pipe, half, None);
        }
        self.journal.count(match (half, kind) {
            (Half::Collector, 0) => "collector: connection cut",
            (Half::Collector, 1) => "collector: connection refused",
            (Half::Collector, _) => "collector: connection black-holed",
            (Half::Sender, 0) => "sender: connection cut",
            (Half::Sender, 1) => "sender: connection refused",
            (Half::Sender, _) => "sender: connection black-holed",
        });
        Ok(())
    }

    fn crash(&mut self) -> anyhow::Result<()> {
        let from = Instant::now();
        tokio::task::block_in_place(|| self.stage.postgres.restart_immediate())?;
        self.journal.database_died(Span { from, until: Instant::now() });
        self.journal.count("PostgreSQL: immediate restart");
        Ok(())
    }

    fn last(&mut self, pipe: usize, half: Half, stopped: Option<u32>) {
        let since = Instant::now();
        let until = since + Duration::from_millis(self.rng.u64(LASTS));
        self.lasting.push(Lasting { pipe, half, since, until, stopped });
    }
}
