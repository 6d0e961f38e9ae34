//! The gate: writers that notify only if a collector sleeps, and collectors that sleep.

mod act;
mod state;

use stateright::{Model, Property};

pub use state::{Chances, State};

use crate::{Kind, Recoverable};
use state::{At, Change, Collector, Row, Stage};

/// When a collector looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// The real protocol: the gate first, and then a look that is a statement of its own.
    ArmThenLook,
    /// The other way round.
    LookThenArm,
    /// One statement does both: what it sees, it saw when it began.
    OneStatement,
}

/// What the code has so that no wake-up is lost.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// `collector/src/queue.rs`: `arm_and_look`.
    pub order: Order,
    /// `arm.sql`: the exclusive lock is refused while a writer that passed silently is open.
    pub silence_blocks: bool,
    /// `look.sql` counts rows that another claim has locked.
    pub look_ignores_locks: bool,
    /// `mailroom_wake` in the trigger.
    pub insert_asks: bool,
    /// `mailroom_wake` in `settle_rest.sql`.
    pub again_asks: bool,
    /// `mailroom_wake` in `sweep.sql`.
    pub release_asks: bool,
    /// `mailroom_wake` never remembers an answer.
    pub asks_anew: bool,
    /// `batcher.rs`: not armed, it polls.
    pub polls: bool,
    /// `batcher.rs`: a look says when the next row falls due.
    pub alarm: bool,
    /// `work.rs`: who may have missed what others take schedules a sweep, though it holds nothing.
    pub look_starts_sweeps: bool,
}

impl Guards {
    /// The protocol as it is.
    pub const REAL: Self = Self {
        order: Order::ArmThenLook,
        silence_blocks: true,
        look_ignores_locks: true,
        insert_asks: true,
        again_asks: true,
        release_asks: true,
        asks_anew: true,
        polls: true,
        alarm: true,
        look_starts_sweeps: true,
    };
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Rows, each written by a transaction of its own.
    pub rows: usize,
    /// Collectors.
    pub collectors: usize,
    /// What may happen by chance.
    pub chances: Chances,
    /// Whether somebody restarts what has died, so that we may wait for it.
    pub supervised: bool,
    /// Whether we may wait for the health check of a collector that sleeps.
    pub health_check: bool,
    /// What stands in the way of trouble.
    pub guards: Guards,
}

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// The application inserts a row; the trigger asks the gate.
    Insert(usize),
    /// Back to a savepoint before the insert.
    Savepoint(usize),
    /// The insert once more.
    InsertAgain(usize),
    /// Nothing has happened.
    Rollback(usize),
    /// The row can be seen.
    CommitShows(usize),
    /// Its locks are free, and listeners are told.
    CommitEnds(usize),
    /// A sender has sent a mail and recorded it.
    SettleSent(usize),
    /// A sender settles a mail as due again later.
    SettleAgain(usize),
    /// Time passes.
    FallsDue(usize),
    /// A collector claims this row, if there is one.
    Claim(usize, Option<usize>),
    /// Its claim commits.
    ClaimCommits(usize),
    /// Its line is written.
    Write(usize),
    /// It takes its snapshot before it arms.
    Snapshot(usize),
    /// It tries for the gate.
    Arm(usize),
    /// It looks.
    Look(usize),
    /// It has been notified.
    Wake(usize),
    /// It asks again, having failed to arm.
    Poll(usize),
    /// It gives the gate back, to spare the writers.
    Disarm(usize),
    /// It sweeps.
    Sweep(usize),
    /// 270 s have passed: it looks, and sweeps.
    HealthCheck(usize),
    /// It dies, alone or with its pipe.
    Crash {
        /// Which one.
        collector: usize,
        /// What is in its pipe is lost.
        with_pipe: bool,
    },
    /// It is started again.
    Restart(usize),
}

impl Model for Gate {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let sweep = self.sweeps();
        let collector = Collector { at: At::Draining, armed: false, news: false, sweep };
        vec![State {
            rows: vec![Row::Unborn; self.rows],
            open: vec![None; self.rows],
            collectors: vec![collector; self.collectors],
            left: self.chances,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for row in 0..state.rows.len() {
            row_steps(state, row, actions);
        }
        for me in 0..state.collectors.len() {
            self.collector_steps(state, me, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOBODY_OVERSLEEPS, |model, state: &State| {
                !state.sleeps_on_a_due_row(model)
            }),
            Property::always("at most one collector is armed", |_, state: &State| {
                state.collectors.iter().filter(|c| c.armed).count() <= 1
            }),
        ]
    }
}

/// No collector sleeps on a due row without a notification on its way to it.
pub const NOBODY_OVERSLEEPS: &str = "nobody sleeps on a due row without a notification on its way";

impl State {
    /// A row is due, nobody claims it, everybody who lives sleeps, and no notification is coming.
    fn sleeps_on_a_due_row(&self, model: &Gate) -> bool {
        let due = (0..self.rows.len()).any(|row| self.rows[row] == Row::DUE);
        let coming = self.open.iter().flatten().any(|transaction| {
            transaction.notifies || matches!(transaction.change, Change::Release(_))
        });
        let mut living = self.collectors.iter().filter(|c| c.at != At::Down).peekable();
        let restarts = model.supervised && self.collectors.iter().any(|c| c.at == At::Down);
        due && !coming
            && !restarts
            && living.peek().is_some()
            && living.all(|c| matches!(c.at, At::Asleep { .. }) && !c.news)
    }
}

impl Recoverable for Gate {
    fn kind(&self, action: &Action) -> Kind {
        match action {
            Action::Insert(_)
            | Action::Savepoint(_)
            | Action::Rollback(_)
            | Action::SettleAgain(_)
            | Action::Crash { .. } => Kind::Chance,
            Action::Restart(_) if !self.supervised => Kind::Chance,
            _ => Kind::Progress,
        }
    }

    /// Or nobody is left who could do anything.
    fn is_settled(&self, state: &State) -> bool {
        state.rows.iter().all(|row| matches!(row, Row::Unborn | Row::Done))
            && state.open.iter().all(Option::is_none)
            || (!self.supervised && state.collectors.iter().all(|c| c.at == At::Down))
    }
}

fn row_steps(state: &State, row: usize, actions: &mut Vec<Action>) {
    let left = &state.left;
    match (state.rows[row], state.open[row]) {
        (_, Some(transaction)) => match transaction.stage {
            Stage::Open => {
                actions.push(Action::CommitShows(row));
                if transaction.change == Change::Insert {
                    if left.rollbacks > 0 {
                        actions.push(Action::Rollback(row));
                    }
                    if left.savepoints > 0 {
                        actions.push(Action::Savepoint(row));
                    }
                }
            }
            Stage::Undone => actions.push(Action::InsertAgain(row)),
            Stage::Visible => actions.push(Action::CommitEnds(row)),
        },
        (Row::Unborn, None) => actions.push(Action::Insert(row)),
        (Row::Pending { due: false }, None) => actions.push(Action::FallsDue(row)),
        (Row::Held { written: true, .. }, None) => {
            actions.push(Action::SettleSent(row));
            if left.deferrals > 0 {
                actions.push(Action::SettleAgain(row));
            }
        }
        _ => {}
    }
}

impl Gate {
    /// Where nobody dies, nothing is ever swept.
    pub(crate) fn sweeps(&self) -> bool {
        self.chances.crashes > 0
    }

    fn collector_steps(&self, state: &State, me: usize, actions: &mut Vec<Action>) {
        let collector = state.collectors[me];
        match collector.at {
            At::Down => {
                if self.supervised || state.left.restarts > 0 {
                    actions.push(Action::Restart(me));
                }
                return;
            }
            At::Draining => {
                let claimable =
                    |row: &usize| state.rows[*row] == Row::DUE && !state.is_claimed(*row);
                let mut found = (0..state.rows.len()).filter(claimable).peekable();
                if found.peek().is_none() {
                    actions.push(Action::Claim(me, None));
                }
                actions.extend(found.map(|row| Action::Claim(me, Some(row))));
            }
            At::Claiming(_) => actions.push(Action::ClaimCommits(me)),
            At::Writing(_) => {
                actions.push(Action::Write(me));
                // The reader is slow.
                if collector.armed {
                    actions.push(Action::Disarm(me));
                }
            }
            At::Arming if self.guards.order != Order::ArmThenLook && !collector.armed => {
                actions.push(Action::Snapshot(me));
            }
            At::Arming | At::Looked { .. } => actions.push(Action::Arm(me)),
            At::Looking => {
                actions.push(Action::Look(me));
                if collector.armed {
                    actions.push(Action::Disarm(me));
                }
            }
            At::Asleep { .. } if collector.news => actions.push(Action::Wake(me)),
            At::Asleep { .. } | At::Sweeping => {}
            At::Polling => actions.push(Action::Poll(me)),
        }
        if self.health_check
            && !collector.sweep
            && matches!(collector.at, At::Asleep { .. } | At::Polling)
        {
            actions.push(Action::HealthCheck(me));
        }
        let waits = matches!(collector.at, At::Asleep { .. } | At::Polling | At::Draining);
        let finds = (0..state.rows.len()).any(|row| state.is_abandoned(row));
        let stops = !state.rows.iter().any(|row| row.is_held());
        if collector.sweep && waits && (finds || stops) {
            actions.push(Action::Sweep(me));
        }
        if state.left.crashes > 0 {
            actions.push(Action::Crash { collector: me, with_pipe: false });
            actions.push(Action::Crash { collector: me, with_pipe: true });
        }
    }
}
