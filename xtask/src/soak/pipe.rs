//! One `collector | sender`, looked after as a service manager does it: started again when it has
//! ended.

use std::time::{Duration, Instant};

use fastrand::Rng;
use testkit::{Pipeline, Running};

use super::stage::{Half, Stage};

/// Exit codes that faults may lead to: a drained end, a dependency gone, SIGKILL.
const EXPECTED: [i32; 3] = [0, 75, 128 + 9];
/// Both halves have ended; what they said may take this long to arrive.
const REST: Duration = Duration::from_secs(5);

pub(super) struct Pipe {
    number: usize,
    running: Option<Pipeline>,
    /// When a pipe that is down is started again.
    due: Instant,
    starts: usize,
    log: String,
    /// Ends that no fault explains.
    strange: Vec<String>,
}

impl Pipe {
    pub(super) fn new(number: usize) -> Pipe {
        let (running, log, strange) = (None, String::new(), Vec::new());
        Pipe { number, running, due: Instant::now(), starts: 0, log, strange }
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
                let (collector, sender) = (stage.collector(self.number), stage.sender(self.number));
                self.running = Some(Pipeline::spawn(collector, sender)?);
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
            if !EXPECTED.contains(&code) {
                let last = said.lines().last().unwrap_or_default();
                let pipe = self.number;
                self.strange.push(format!("{half} {pipe} has ended with {code}: {last}"));
            }
            self.log += &said;
        }
        Ok(())
    }
}
