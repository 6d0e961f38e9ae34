//! One `collector | sender`, looked after as a service manager does it: started again when it has
//! ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use fastrand::Rng;
use testkit::{Pipeline, Running};

use super::between::{self, Done};
use super::stage::{Half, Stage};

/// Exit codes that faults may lead to: a drained end, a dependency gone, SIGKILL.
const EXPECTED: [i32; 3] = [0, 75, 128 + 9];
/// The sender's when SES says that the configuration is wrong, and what it must have said then.
const CONFIGURATION: (i32, &str) = (78, "AccessDenied");
/// The pipe that has a log between its halves.
const LOGGED: usize = 1;
/// Both halves have ended; what they said may take this long to arrive.
const REST: Duration = Duration::from_secs(5);

pub(super) struct Pipe {
    number: usize,
    running: Option<Pipeline>,
    /// When a pipe that is down is started again.
    due: Instant,
    starts: usize,
    between: Arc<between::Done>,
    log: String,
    /// Ends that no fault explains.
    strange: Vec<String>,
}

impl Pipe {
    pub(super) fn new(number: usize) -> Pipe {
        let (between, log, strange) = (Arc::default(), String::new(), Vec::new());
        Pipe { number, running: None, due: Instant::now(), starts: 0, between, log, strange }
    }

    /// One of its processes, if it has not ended.
    pub(super) fn half(&self, half: Half) -> Option<&Running> {
        let pipeline = self.running.as_ref()?;
        let process = match half {
            Half::Collector => &pipeline.collector,
            Half::Sender => &pipeline.sender,
        };
        process.is_running().is_ok_and(|running| running).then_some(process)
    }

    /// Starts it again a moment after both halves have ended.
    pub(super) fn look_after(&mut self, stage: &Stage, rng: &mut Rng) -> anyhow::Result<()> {
        let now = Instant::now();
        match self.running.take() {
            None if now >= self.due => {
                self.running = Some(self.start(stage, rng)?);
                self.starts += 1;
            }
            None => {}
            Some(pipeline) => {
                if pipeline.collector.is_running()? || pipeline.sender.is_running()? {
                    self.running = Some(pipeline);
                } else {
                    self.bury(&pipeline)?;
                    self.due = now + Duration::from_millis(rng.u64(50..1_500));
                }
            }
        }
        Ok(())
    }

    fn start(&self, stage: &Stage, rng: &mut Rng) -> anyhow::Result<Pipeline> {
        let (collector, sender) = (stage.collector(self.number), stage.sender(self.number));
        if self.number != LOGGED {
            return Pipeline::spawn(collector, sender);
        }
        let (reader, writer) = std::io::pipe().context("make a pipe")?;
        let sender = sender.stdin(reader).spawn()?;
        let collector = collector.stdout_held().spawn()?;
        let lines = collector.take_stdout().context("stdout is held")?;
        between::pass_on(lines, writer, rng.fork(), self.between.clone())?;
        Ok(Pipeline { collector, sender })
    }

    /// What happened to its lines on their way.
    pub(super) fn between(&self) -> [(&'static str, usize); 2] {
        let Done { repeated, late } = &*self.between;
        [("lines repeated", repeated), ("lines overtaken", late)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// Whether both halves run.
    pub(super) fn is_up(&self) -> bool {
        self.half(Half::Collector).is_some() && self.half(Half::Sender).is_some()
    }

    /// How often it was started.
    pub(super) fn starts(&self) -> usize {
        self.starts
    }

    /// Ends that no fault explains.
    pub(super) fn strange(&self) -> &[String] {
        &self.strange
    }

    /// All that its processes have said.
    pub(super) fn log(&self) -> String {
        let mut log = self.log.clone();
        if let Some(pipeline) = &self.running {
            log += &pipeline.collector.stderr();
            log += &pipeline.sender.stderr();
        }
        log
    }

    fn bury(&mut self, pipeline: &Pipeline) -> anyhow::Result<()> {
        let halves = [(Half::Collector, &pipeline.collector), (Half::Sender, &pipeline.sender)];
        for (half, process) in halves {
            let code = process.wait(REST)?;
            let said = process.stderr();
            let misconfigured = half == Half::Sender
                && code == CONFIGURATION.0
                && said.lines().any(|l| l.contains("gave_up") && l.contains(CONFIGURATION.1));
            if !EXPECTED.contains(&code) && !misconfigured {
                let last = said.lines().last().unwrap_or_default();
                let pipe = self.number;
                self.strange.push(format!("{half} {pipe} has ended with {code}: {last}"));
            }
            self.log += &said;
        }
        Ok(())
    }
}
