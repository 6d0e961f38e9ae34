//! What each step of the gate does.

use super::state::{At, Change, Row, Stage, State, Transaction};
use super::{Action, Gate};

impl Gate {
    pub(crate) fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Insert(row) => self.ask(state, row, Change::Insert),
            Action::Savepoint(row) => {
                state.left.savepoints -= 1;
                if let Some(open) = &mut state.open[row] {
                    open.stage = Stage::Undone;
                    open.shares_gate = false;
                    // A notification of a subtransaction that is rolled back is dropped, too.
                    open.notifies &= !self.guards.asks_anew;
                }
            }
            Action::InsertAgain(row) if self.guards.asks_anew => {
                self.ask(state, row, Change::Insert);
            }
            Action::InsertAgain(row) => {
                if let Some(open) = &mut state.open[row] {
                    open.stage = Stage::Open;
                }
            }
            Action::Rollback(row) => {
                state.left.rollbacks -= 1;
                state.open[row] = None;
                state.rows[row] = Row::Done;
            }
            Action::CommitShows(row) => commit_shows(state, row),
            Action::CommitEnds(row) => self.commit_ends(state, row),
            Action::SettleSent(row) => state.rows[row] = Row::Done,
            Action::SettleAgain(row) => {
                state.left.deferrals -= 1;
                self.ask(state, row, Change::Again);
            }
            Action::FallsDue(row) => {
                state.rows[row] = Row::DUE;
                for collector in &mut state.collectors {
                    if matches!(collector.at, At::Asleep { ahead } if ahead & (1 << row) != 0) {
                        collector.at = At::Looking;
                    }
                }
            }
            Action::Crash { collector, with_pipe } => crash(state, collector, with_pipe),
            Action::Restart(me) => {
                state.left.restarts -= u8::from(!self.supervised);
                let collector = &mut state.collectors[me];
                collector.at = At::Draining;
                collector.sweep = true;
            }
            _ => self.collect(state, action),
        }
    }

    /// `mailroom_wake`, or nothing where the guard is off.
    fn ask(&self, state: &mut State, row: usize, change: Change) {
        let (asks, me) = match change {
            Change::Insert => (self.guards.insert_asks, None),
            Change::Again => (self.guards.again_asks, None),
            // Its own exclusive lock does not keep a session from the shared one.
            Change::Release(me) => (self.guards.release_asks, Some(me)),
        };
        let sleeps = state.somebody_sleeps(me);
        state.open[row] = Some(Transaction {
            change,
            shares_gate: asks && !sleeps,
            notifies: asks && sleeps,
            stage: Stage::Open,
        });
    }

    fn commit_ends(&self, state: &mut State, row: usize) {
        let Some(open) = state.open[row].take() else { return };
        for collector in &mut state.collectors {
            collector.news |= open.notifies && collector.at != At::Down;
        }
        if let Change::Release(me) = open.change
            && state.collectors[me].at == At::Sweeping
            && !state.open.iter().flatten().any(|open| open.change == Change::Release(me))
        {
            // What it has released, it hands over at once.
            state.collectors[me].at = At::Draining;
            state.collectors[me].sweep = state.rows.iter().any(|row| row.is_held());
        }
    }

    fn collect(&self, state: &mut State, action: Action) {
        match action {
            Action::Claim(me, Some(row)) => state.collectors[me].at = At::Claiming(row),
            // A short claim. Whoever is armed stays armed, and looks.
            Action::Claim(me, None) | Action::Poll(me) => {
                let collector = &mut state.collectors[me];
                collector.news = false;
                collector.at = if collector.armed { At::Looking } else { At::Arming };
            }
            Action::ClaimCommits(me) => {
                if let At::Claiming(row) = state.collectors[me].at {
                    state.rows[row] = Row::Held { by: me, written: false };
                    state.collectors[me].at = At::Writing(row);
                    state.collectors[me].sweep = self.sweeps();
                }
            }
            Action::Write(me) => {
                if let At::Writing(row) = state.collectors[me].at {
                    state.rows[row] = Row::Held { by: me, written: true };
                    state.collectors[me].at = At::Draining;
                }
            }
            Action::Snapshot(me) => {
                let (due, ahead) = self.see(state);
                state.collectors[me].at = At::Looked { due, ahead };
            }
            Action::Arm(me) => {
                let free = !state.somebody_sleeps(Some(me));
                let silent = state.somebody_passed() && self.guards.silence_blocks;
                state.collectors[me].armed = free && !silent;
                match state.collectors[me].at {
                    At::Looked { due, ahead } => self.decide(state, me, due, ahead),
                    _ => state.collectors[me].at = At::Looking,
                }
            }
            Action::Look(me) => {
                let (due, ahead) = self.see(state);
                self.decide(state, me, due, ahead);
            }
            Action::Wake(me) => {
                let collector = &mut state.collectors[me];
                collector.news = false;
                // Whoever sleeps unarmed, without that guard, asks as if it had just started.
                collector.at = if collector.armed { At::Looking } else { At::Arming };
            }
            Action::Disarm(me) => {
                let collector = &mut state.collectors[me];
                collector.armed = false;
                if collector.at == At::Looking {
                    collector.at = At::Polling;
                }
            }
            Action::HealthCheck(me) => {
                let collector = &mut state.collectors[me];
                collector.sweep = self.sweeps();
                collector.at = if collector.armed { At::Looking } else { At::Arming };
            }
            Action::Sweep(me) => {
                let abandoned: Vec<usize> =
                    (0..state.rows.len()).filter(|&row| state.is_abandoned(row)).collect();
                state.collectors[me].sweep = state.rows.iter().any(|row| row.is_held());
                for &row in &abandoned {
                    self.ask(state, row, Change::Release(me));
                    state.collectors[me].at = At::Sweeping;
                }
            }
            _ => {}
        }
    }

    /// Whether a row is due, and which ones lie ahead.
    fn see(&self, state: &State) -> (bool, u8) {
        let counts = |row: &usize| self.guards.look_ignores_locks || !state.is_claimed(*row);
        let due = (0..state.rows.len()).filter(counts).any(|row| state.rows[row] == Row::DUE);
        let ahead = (0..state.rows.len())
            .filter(|&row| state.rows[row] == Row::Pending { due: false })
            .fold(0, |set, row| set | 1 << row);
        (due, ahead)
    }

    fn decide(&self, state: &mut State, me: usize, due: bool, ahead: u8) {
        let outstanding = due || ahead != 0 || state.rows.iter().any(|row| row.is_held());
        let ahead = if self.guards.alarm { ahead } else { 0 };
        let collector = &mut state.collectors[me];
        collector.sweep |= self.guards.look_starts_sweeps && outstanding && self.sweeps();
        collector.at = if due {
            At::Draining
        } else if collector.armed || !self.guards.polls {
            At::Asleep { ahead }
        } else {
            At::Polling
        };
    }
}

fn commit_shows(state: &mut State, row: usize) {
    let Some(open) = &mut state.open[row] else { return };
    open.stage = Stage::Visible;
    state.rows[row] = match open.change {
        Change::Insert | Change::Release(_) => Row::DUE,
        Change::Again => Row::Pending { due: false },
    };
}

/// Its session ends: the gate is free, and what it had not committed did not happen.
fn crash(state: &mut State, me: usize, with_pipe: bool) {
    state.left.crashes -= 1;
    let collector = &mut state.collectors[me];
    collector.at = At::Down;
    collector.armed = false;
    collector.news = false;
    collector.sweep = false;
    for open in &mut state.open {
        if open.is_some_and(|o| o.change == Change::Release(me) && o.stage != Stage::Visible) {
            *open = None;
        }
    }
    for row in &mut state.rows {
        if let Row::Held { by, written } = row
            && *by == me
            && with_pipe
        {
            *written = false;
        }
    }
}
