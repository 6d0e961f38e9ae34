//! What the model of the gate remembers.

/// A row of `deliveries`, as committed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Row {
    /// Its transaction has not begun, or not committed.
    Unborn,
    Pending {
        due: bool,
    },
    /// Dispatched by this collector.
    Held {
        by: usize,
        written: bool,
    },
    /// Settled, or rolled back.
    Done,
}

impl Row {
    pub(crate) const DUE: Self = Self::Pending { due: true };

    pub(crate) fn is_held(self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

/// What an open transaction does to its row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Change {
    /// The application's insert.
    Insert,
    /// A sender's settle-again: due later.
    Again,
    /// A collector's sweep.
    Release(usize),
}

/// A transaction that makes a row pending.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Transaction {
    pub(crate) change: Change,
    /// It holds the gate shared.
    pub(crate) shares_gate: bool,
    pub(crate) notifies: bool,
    pub(crate) stage: Stage,
}

/// How far a [`Transaction`] is. PostgreSQL makes a commit visible first, then drops its locks, and
/// then tells the listeners.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    Open,
    /// Rolled back to a savepoint, which gave the gate back; it will write again.
    Undone,
    Visible,
}

/// Where a collector is: `collector/src/batcher.rs` with the clock left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum At {
    Down,
    /// About to claim.
    Draining,
    /// It has locked this row and not committed.
    Claiming(usize),
    /// The claim has committed; the line is not written.
    Writing(usize),
    /// About to try for the gate, unless it is armed.
    Arming,
    /// About to look.
    Looking,
    /// It has looked, or taken its snapshot, too early: it arms after that.
    Looked {
        due: bool,
        ahead: u8,
    },
    /// Waits for a notification or for a row of these to fall due.
    Asleep {
        ahead: u8,
    },
    /// It could not arm, and asks again soon.
    Polling,
    /// Its sweep has not committed.
    Sweeping,
}

/// A collector.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Collector {
    pub(crate) at: At,
    pub(crate) armed: bool,
    /// A notification has come and was not looked into.
    pub(crate) news: bool,
    /// A sweep is scheduled.
    pub(crate) sweep: bool,
}

/// What may still happen by chance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Chances {
    /// A transaction of the application is rolled back.
    pub rollbacks: u8,
    /// It is rolled back to a savepoint, and writes again.
    pub savepoints: u8,
    /// A mail is deferred.
    pub deferrals: u8,
    /// A collector dies, with or without the pipe it writes to.
    pub crashes: u8,
    /// A dead collector is started again.
    pub restarts: u8,
}

/// A state of the gate.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub(crate) rows: Vec<Row>,
    /// One per row: its lock allows no second one.
    pub(crate) open: Vec<Option<Transaction>>,
    pub(crate) collectors: Vec<Collector>,
    pub(crate) left: Chances,
}

impl State {
    /// Whether somebody other than this collector holds the gate exclusively.
    pub(crate) fn somebody_sleeps(&self, besides: Option<usize>) -> bool {
        self.collectors.iter().enumerate().any(|(n, c)| c.armed && Some(n) != besides)
    }

    pub(crate) fn somebody_passed(&self) -> bool {
        self.open.iter().flatten().any(|transaction| transaction.shares_gate)
    }

    pub(crate) fn is_claimed(&self, row: usize) -> bool {
        self.collectors.iter().any(|c| c.at == At::Claiming(row))
    }

    pub(crate) fn lives(&self, collector: usize) -> bool {
        self.collectors[collector].at != At::Down
    }

    pub(crate) fn is_abandoned(&self, row: usize) -> bool {
        self.open[row].is_none()
            && matches!(self.rows[row], Row::Held { by, written: false } if !self.lives(by) || !self.is_writing(by, row))
    }

    fn is_writing(&self, collector: usize, row: usize) -> bool {
        self.collectors[collector].at == At::Writing(row)
    }
}
