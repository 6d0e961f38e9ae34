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
const PAUSE: std::ops::Range<u64> = 300..1_200;
/// Milliseconds that a fault lasts which lasts.
const LASTS: std::ops::Range<u64> = 1_000..8_000;
/// Milliseconds that a sender in a call is cut off: with its way back, less than its grace of 30 s.
const WITHIN_GRACE: std::ops::Range<u64> = 13_000..17_000;
/// Milliseconds that PostgreSQL stays away.
const AWAY: std::ops::Range<u64> = 2_000..7_000;
/// Milliseconds that SES throttles everything.
const WAVE: std::ops::Range<u64> = 1_000..5_000;
/// A sender that has used up the day's quota does nothing for a minute.
const QUOTA_EVERY: Duration = Duration::from_secs(60);
/// In the end, nobody waits for the time of another attempt: this brings it about.
const DUE_NOW: &str = "
    WITH hurried AS (
        UPDATE deliveries SET due_at = now() WHERE state = 'pending' AND due_at > now()
        RETURNING queue
    )
    SELECT mailroom_wake(queue) FROM hurried GROUP BY queue";
/// How often.
const HURRY: Duration = Duration::from_secs(1);
/// How long everything may take to come to its end: a line that was lost is noticed after one or two
/// minutes, and a sender that found the day's quota used up asks again after one.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);

/// The faults and those they befall.
pub(super) struct Chaos<'a> {
    stage: &'a Stage,
    provider: Provider,
    rng: Rng,
    pipes: Vec<Pipe>,
    journal: Journal,
    lasting: Vec<Lasting>,
    /// When the day's quota was last used up. Not in the first minute: a short soak ends soon.
    quota: Option<Instant>,
}

/// A fault that is still in force.
struct Lasting {
    what: What,
    since: Instant,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The connection to the database suffers.
    Connection { pipe: usize, half: Half },
    /// The process with this id is stopped.
    Process { pipe: usize, half: Half, pid: u32 },
    /// PostgreSQL is not there; it crashed, or ended in order.
    Server { crashed: bool },
    /// PostgreSQL takes no writes.
    ReadOnly,
}

impl<'a> Chaos<'a> {
    pub(super) fn new(stage: &'a Stage, mut rng: Rng) -> Chaos<'a> {
        let provider = Provider::direct(&stage.ses, rng.fork());
        let pipes = (0..PIPES).map(Pipe::new).collect();
        let (journal, lasting, quota) = (Journal::default(), Vec::new(), Some(Instant::now()));
        Chaos { stage, provider, rng, pipes, journal, lasting, quota }
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
            self.look_after().await?;
            if let Some(pipe) = self.provider.sprung() {
                self.cut_in_call(pipe)?;
            }
            if Instant::now() >= next {
                self.fault().await?;
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
        let mut hurried = Instant::now();
        while Instant::now() < deadline {
            self.look_after().await?;
            tokio::time::sleep(PULSE).await;
            if !self.lasting.is_empty() {
                continue;
            }
            if hurried.elapsed() > HURRY {
                // The connection may have gone with the server, unnoticed.
                database.execute(DUE_NOW).await.ok();
                hurried = Instant::now();
            }
            let up = self.pipes.iter().all(Pipe::is_up);
            let none = "SELECT NOT EXISTS (SELECT FROM deliveries)";
            if up && database.query_text(none).await.is_ok_and(|none| none == "t") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends what is over, and starts what has ended.
    async fn look_after(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let (over, lasting) = self.lasting.drain(..).partition(|lasting| lasting.until <= now);
        self.lasting = lasting;
        // The server first: what comes after may ask it.
        let mut over: Vec<Lasting> = over;
        over.sort_by_key(|ended| !matches!(ended.what, What::Server { .. }));
        for ended in over {
            self.end(ended).await?;
        }
        for pipe in &mut self.pipes {
            pipe.look_after(self.stage, &mut self.rng)?;
        }
        Ok(())
    }

    async fn end(&mut self, ended: Lasting) -> anyhow::Result<()> {
        let Lasting { what, since, .. } = ended;
        match what {
            What::Connection { pipe, half } => self.stage.proxy(pipe, half).heal()?,
            What::Process { pipe, half, pid } => {
                if let Some(process) = self.pipes[pipe].half(half).filter(|p| p.pid() == pid) {
                    process.signal(Signal::CONT)?;
                }
                if half == Half::Sender {
                    let span = Span { from: since, until: Instant::now() };
                    self.journal.sender_stopped(pipe, span);
                }
            }
            What::Server { crashed } => {
                tokio::task::block_in_place(|| self.stage.postgres.start_again())?;
                if crashed {
                    self.journal.database_died(Span { from: since, until: Instant::now() });
                }
            }
            What::ReadOnly => {
                let writable = "ALTER SYSTEM RESET default_transaction_read_only";
                if !self.configure(writable).await? {
                    self.lasting.push(ended);
                }
            }
        }
        Ok(())
    }

    /// Changes the server's configuration; whether it was there to be told.
    async fn configure(&self, sql: &str) -> anyhow::Result<bool> {
        if self.is_down() {
            return Ok(false);
        }
        // A connection that has just been lost is noticed by the first who uses it.
        let done = self.stage.database.execute(sql).await.is_ok();
        Ok(done && self.stage.database.execute("SELECT pg_reload_conf()").await.is_ok())
    }

    fn is_down(&self) -> bool {
        self.lasting.iter().any(|lasting| matches!(lasting.what, What::Server { .. }))
    }

    async fn fault(&mut self) -> anyhow::Result<()> {
        let pipe = self.rng.usize(..PIPES);
        let half = if self.rng.bool() { Half::Collector } else { Half::Sender };
        match self.rng.u8(..80) {
            0..9 => self.kill(pipe, half),
            9..12 => {
                self.kill(pipe, Half::Collector)?;
                self.kill(pipe, Half::Sender)
            }
            12..20 => self.stop(pipe, half),
            20..34 => self.disconnect(pipe, half),
            34..36 => self.crash(),
            36..39 => self.shut_down(),
            39 => self.read_only().await,
            43..63 => {
                self.provider.lie_in_wait(pipe);
                Ok(())
            }
            40..42 => {
                let until = Instant::now() + Duration::from_millis(self.rng.u64(WAVE));
                self.provider.throttle(until);
                self.journal.count("SES: throttles everything for a while");
                Ok(())
            }
            42 if self.quota.is_none_or(|last| last.elapsed() > QUOTA_EVERY) => {
                self.quota = Some(Instant::now());
                self.provider.daily_quota();
                Ok(())
            }
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
        let what = What::Process { pipe, half, pid: process.pid() };
        if self.lasting.iter().any(|lasting| lasting.what == what) {
            return Ok(());
        }
        process.signal(Signal::STOP)?;
        self.last(what);
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
        let what = What::Connection { pipe, half };
        let suffers = self.lasting.iter().any(|lasting| lasting.what == what);
        let kind = if suffers { 0 } else { self.rng.u8(..3) };
        if kind == 2 {
            proxy.black_hole(true);
        } else {
            if kind == 1 {
                proxy.refuse(true)?;
            }
            proxy.cut()?;
        }
        if kind != 0 {
            self.last(what);
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

    /// Cuts a sender that is in a call off from the database. It comes back at once, or after some time
    /// within the grace, while a new collector of another pipe looks for what the dead have held: what
    /// it records then is all that there is to be mailed.
    fn cut_in_call(&mut self, pipe: usize) -> anyhow::Result<()> {
        let proxy = self.stage.proxy(pipe, Half::Sender);
        let what = What::Connection { pipe, half: Half::Sender };
        if self.rng.bool() || self.lasting.iter().any(|lasting| lasting.what == what) {
            self.journal.count("sender: cut off in a call");
            return proxy.cut();
        }
        proxy.refuse(true)?;
        proxy.cut()?;
        let since = Instant::now();
        let until = since + Duration::from_millis(self.rng.u64(WITHIN_GRACE));
        self.lasting.push(Lasting { what, since, until });
        self.journal.count("sender: cut off in a call, for long");
        self.kill((pipe + 1) % PIPES, Half::Collector)
    }

    fn crash(&mut self) -> anyhow::Result<()> {
        if self.is_down() {
            return Ok(());
        }
        let from = Instant::now();
        tokio::task::block_in_place(|| self.stage.postgres.restart_immediate())?;
        self.journal.database_died(Span { from, until: Instant::now() });
        self.journal.count("PostgreSQL: immediate restart");
        Ok(())
    }

    /// Has PostgreSQL crash and stay away; or end in order, and come again at once or after a while.
    /// What was committed before an orderly end is there afterwards, so that excuses nothing.
    fn shut_down(&mut self) -> anyhow::Result<()> {
        if self.is_down() {
            return Ok(());
        }
        let (since, postgres) = (Instant::now(), &self.stage.postgres);
        let kind = self.rng.u8(..3);
        let crashed = kind == 0;
        let stop = || if crashed { postgres.stop_immediate() } else { postgres.stop_fast() };
        tokio::task::block_in_place(stop)?;
        let lasts = if kind == 2 { 0 } else { self.rng.u64(AWAY) };
        let until = Instant::now() + Duration::from_millis(lasts);
        self.lasting.push(Lasting { what: What::Server { crashed }, since, until });
        self.journal.count(match kind {
            0 => "PostgreSQL: immediate stop, away",
            1 => "PostgreSQL: fast stop, away",
            _ => "PostgreSQL: fast restart",
        });
        Ok(())
    }

    async fn read_only(&mut self) -> anyhow::Result<()> {
        if self.lasting.iter().any(|lasting| lasting.what == What::ReadOnly) {
            return Ok(());
        }
        // Whatever of it was done is undone in the end.
        self.last(What::ReadOnly);
        if self.configure("ALTER SYSTEM SET default_transaction_read_only = on").await? {
            self.journal.count("PostgreSQL: read-only");
        }
        Ok(())
    }

    fn last(&mut self, what: What) {
        let since = Instant::now();
        let until = since + Duration::from_millis(self.rng.u64(LASTS));
        self.lasting.push(Lasting { what, since, until });
    }
}
