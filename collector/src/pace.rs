//! How quick the reader of our lines is, and so how much may be claimed ahead of it. Pure: time comes
//! in. What is claimed stands in front of what is urgent, so only a quick reader is given much at once.
//! `batcher.rs` has the tests, where both decide together.

use std::time::Instant;

use crate::fading::Fading;

/// A claim takes up to so many batches, and a look counts as many, so that a backlog needs few of either.
pub const BATCHES_AHEAD: u32 = 20;
/// No claim of several batches takes more rows than this: nothing urgent overtakes what is claimed.
pub const ROWS_AHEAD: u32 = 200;
/// What a reader takes at once without having done anything: pipe and reader hold four batches, and where
/// batches are small so many rows more (4 KiB of each, and the sender's two calls).
const IDLE_BATCHES: u32 = 4;
const IDLE_ROWS: u32 = 64;
/// What is remembered of rows that the reader took at once: a trickle of them proves nothing.
const STREAK_SECONDS: f64 = 0.5;

/// See the module.
#[derive(Debug)]
pub struct Pace {
    limit: u32,
    /// Rows that the reader has taken lately without a wait.
    streak: Fading,
    /// The batches that a claim may take while there are many of them.
    batches: u32,
}

impl Pace {
    /// A reader that has shown nothing yet. `limit` is the rows of a batch, at least 1.
    pub fn new(limit: u32, now: Instant) -> Self {
        Self { limit, streak: Fading::new(STREAK_SECONDS, f64::MAX, now), batches: 1 }
    }

    /// So many rows are in the pipe: at once, or only after the reader had made room for them.
    pub fn taken(&mut self, rows: u32, at_once: bool, now: Instant) {
        if at_once {
            self.streak.add(rows, now);
        } else {
            self.streak.forget(now);
        }
        self.batches = if self.is_quick(now) { (self.batches * 2).min(BATCHES_AHEAD) } else { 1 };
    }

    /// Whether the reader takes more at once than it and the pipe hold.
    pub fn is_quick(&mut self, now: Instant) -> bool {
        let rows = self.limit.saturating_mul(IDLE_BATCHES).saturating_add(IDLE_ROWS);
        self.streak.level(now) >= f64::from(rows)
    }

    /// How many of so many waiting rows to claim: whole batches, one at least, and no more than wait.
    pub fn rows_at_once(&mut self, waiting: u32, now: Instant) -> u32 {
        let batches = if self.is_quick(now) { self.batches } else { 1 };
        let batches = (ROWS_AHEAD / self.limit).min(batches);
        (waiting / self.limit).min(batches).max(1).saturating_mul(self.limit)
    }
}
