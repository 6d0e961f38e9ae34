//! The statements, each as one step: what its file under `sql/` does to the rows it finds.

use super::bounds::{Bounds, Guards};
use super::state::{
    Before, Dead, Line, Number, Outcome, Over, Row, RowState, Settlement, Stage, State, Wrong, bit,
};

impl State {
    /// A commit that is durable makes every earlier one durable.
    pub(crate) fn flush(&mut self) {
        for row in self.rows.iter_mut().flatten() {
            row.before = None;
            row.durable = None;
        }
    }

    fn remember(&mut self, token: usize) {
        if self.left.database_crashes > 0
            && let Some(row) = &mut self.rows[token]
        {
            let Row { state, holder, answered, ambiguities, .. } = *row;
            let before = Before { state, holder, answered, ambiguities };
            row.before = Some(before);
            row.durable.get_or_insert(before);
        }
    }

    /// A row goes back, and nobody waits for that to be durable.
    pub(crate) fn release(&mut self, token: usize) {
        self.remember(token);
        if let Some(row) = &mut self.rows[token] {
            row.release();
        }
    }

    fn remove(&mut self, token: usize) {
        if let Some(row) = self.rows[token].take() {
            self.history[token].ambiguities = row.ambiguities;
        }
    }

    fn finish(&mut self, token: usize, over: Over) {
        self.remove(token);
        self.history[token].over = Some(over);
    }

    /// Whether a claim would take or skip this row.
    pub(crate) fn is_claimable(&self, token: usize) -> bool {
        self.rows[token].is_some_and(|row| row.state == RowState::Pending && row.due && !row.locked)
    }

    /// `claim.sql`, one row. The line to write, unless the row is skipped.
    pub(crate) fn claim(&mut self, token: usize, holder: Number) -> Option<Line> {
        if self.tokens[token].dead.is_some() {
            self.finish(token, Over::Skipped);
            return None;
        }
        self.remember(token);
        if let Some(row) = &mut self.rows[token] {
            row.state = RowState::Dispatched;
            row.holder = holder;
            row.answered = false;
        }
        Some(Line { token, address: self.tokens[token].address })
    }

    /// The part of `begin.sql` that decides: whether there is a row that may be begun or dropped.
    pub(crate) fn is_found(&self, guards: &Guards, token: usize) -> bool {
        self.rows[token].is_some_and(|row| {
            !row.locked
                && match row.state {
                    RowState::Dispatched => true,
                    RowState::Pending => row.due,
                    RowState::Sending => !guards.begin_checks_state,
                }
        })
    }

    /// `begin.sql`, one row that was found. Whether it is ours to send.
    pub(crate) fn begin(&mut self, bounds: &Bounds, line: Line, holder: Number) -> bool {
        let guards = &bounds.guards;
        let token = self.tokens[line.token];
        let Some(row) = self.rows[line.token] else { return false };
        if guards.begin_checks_token && token.dead.is_some() {
            self.finish(line.token, Over::Skipped);
            return false;
        }
        if row.ambiguities >= bounds.ambiguities_max {
            self.finish(line.token, Over::Failed);
            return false;
        }
        if guards.begin_checks_address && token.address != line.address {
            self.release(line.token);
            return false;
        }
        self.remember(line.token);
        if let Some(row) = &mut self.rows[line.token] {
            row.state = RowState::Sending;
            row.holder = holder;
            row.answered = false;
        }
        let history = &mut self.history[line.token];
        if token.dead.is_some() {
            history.wrong = Some(Wrong::DeadLink);
        } else if token.address != line.address {
            history.wrong = Some(Wrong::OldAddress);
        } else if history.known {
            history.wrong = Some(Wrong::KnownToBeSent);
        }
        true
    }

    /// `settle_sent.sql` and `settle_rest.sql`, one row. `numbers` are those of the process.
    pub(crate) fn settle(&mut self, guards: &Guards, settlement: Settlement, numbers: u16) {
        self.flush();
        let Settlement { token, outcome } = settlement;
        let ours = self.rows[token]
            .is_some_and(|row| row.state == RowState::Sending && numbers & bit(row.holder) != 0);
        let anyones = self.rows[token].is_some_and(|row| row.state == RowState::Sending) && !ours;
        match outcome {
            Outcome::Sent(mail) => {
                self.log_sent(guards, token, mail);
                if ours || guards.sent_wins {
                    self.remove(token);
                }
            }
            Outcome::Again | Outcome::Ambiguous(_) | Outcome::Failed
                if !(ours || (anyones && !guards.settle_rest_is_ours)) => {}
            Outcome::Failed => self.finish(token, Over::Failed),
            Outcome::Again | Outcome::Ambiguous(_) => {
                if let Some(row) = &mut self.rows[token] {
                    row.release();
                    row.due = false;
                    row.ambiguities += u8::from(matches!(outcome, Outcome::Ambiguous(_)));
                }
            }
        }
    }

    fn log_sent(&mut self, guards: &Guards, token: usize, mail: u8) {
        let history = &mut self.history[token];
        if !guards.sent_once || history.sent & (1 << mail) == 0 {
            history.sent_rows += 1;
        }
        history.sent |= 1 << mail;
    }

    /// A `settle_sent.sql` that looked at the log before another one committed.
    pub(crate) fn commit_late_sent(&mut self, token: usize, mail: u8) {
        self.flush();
        let history = &mut self.history[token];
        history.sent_rows += 1;
        history.sent |= 1 << mail;
        self.remove(token);
    }

    /// The sender's `relabel.sql`.
    pub(crate) fn relabel_sender(
        &mut self,
        guards: &Guards,
        former: u16,
        new: Number,
        in_call: u8,
    ) {
        self.flush();
        for (token, slot) in self.rows.iter_mut().enumerate() {
            let Some(row) = slot else { continue };
            if row.state != RowState::Sending || row.locked {
                continue;
            }
            let formers = former & bit(row.holder) != 0;
            if in_call & (1 << token) != 0 {
                if formers || !guards.relabel_by_number {
                    row.holder = new;
                }
            } else if formers {
                row.release();
            }
        }
    }

    /// The collector's `relabel.sql`.
    pub(crate) fn relabel_collector(&mut self, guards: &Guards, former: u16, new: Number) {
        for token in 0..self.rows.len() {
            let Some(row) = &mut self.rows[token] else { continue };
            if row.state != RowState::Dispatched || former & bit(row.holder) == 0 {
                continue;
            }
            row.locked = false;
            if !row.answered && guards.unanswered_go_back {
                self.release(token);
                continue;
            }
            self.remember(token);
            if let Some(row) = &mut self.rows[token] {
                row.holder = new;
                row.answered = true;
            }
        }
    }

    /// `release.sql`.
    pub(crate) fn release_own(&mut self, holder: Number) {
        for token in 0..self.rows.len() {
            let mine = self.rows[token]
                .is_some_and(|row| row.is_held_by(RowState::Dispatched, holder) && !row.locked);
            if mine {
                self.release(token);
            }
        }
    }

    /// The numbers whose lock is free.
    pub(crate) fn gone(&self) -> u16 {
        let numbers = (1..).zip(&self.sessions);
        numbers.filter(|(_, session)| !session.alive).fold(0, |set, (number, _)| set | bit(number))
    }

    /// Whether `sweep.sql`, with these numbers gone, releases a row or gives it up.
    pub(crate) fn is_abandoned(&self, guards: &Guards, token: usize, gone: u16) -> bool {
        let Some(row) = self.rows[token] else { return false };
        let its_gone = gone & bit(row.holder) != 0;
        let grace_over = self.session(row.holder).is_some_and(|s| s.grace_over) || !guards.grace;
        let expired = self.tokens[token].dead == Some(Dead::Expired);
        !row.locked
            && match row.state {
                RowState::Pending => false,
                RowState::Dispatched => its_gone || (expired && !self.a_sender_lives()),
                RowState::Sending => its_gone && grace_over,
            }
    }

    /// `sweep.sql`, one row that it takes.
    pub(crate) fn abandon(&mut self, guards: &Guards, token: usize) {
        let Some(row) = self.rows[token] else { return };
        let sending = row.state == RowState::Sending;
        if sending {
            self.excuse_out_of_reach(token, row.holder);
        }
        let expired = self.tokens[token].dead == Some(Dead::Expired);
        if expired && (sending || !self.a_sender_lives()) {
            self.finish(token, Over::Unconfirmed);
            return;
        }
        self.release(token);
        if let Some(row) = &mut self.rows[token] {
            row.ambiguities += u8::from(sending);
        }
        if sending && guards.ambiguous_is_durable {
            self.flush();
        }
    }

    /// The budget of duplicates, (c): a sender that lives has had no database for more than 30 s.
    fn excuse_out_of_reach(&mut self, token: usize, holder: Number) {
        if !self.session(holder).is_some_and(|session| session.grace_over) {
            return;
        }
        for sender in 0..self.senders.len() {
            if self.senders[sender].numbers & bit(holder) != 0 {
                self.excuse_unrecorded(sender, Some(token));
            }
        }
    }

    /// Counts the mails in this sender's hands that were accepted and have no record.
    pub(crate) fn excuse_unrecorded(&mut self, sender: usize, only: Option<usize>) {
        for call in &self.senders[sender].calls {
            let (Stage::InCall(outcome) | Stage::Result(outcome) | Stage::Recorded(outcome)) =
                call.stage
            else {
                continue;
            };
            let token = call.line.token;
            let history = &mut self.history[token];
            if let Outcome::Sent(mail) = outcome
                && history.sent & (1 << mail) == 0
                && only.is_none_or(|only| only == token)
            {
                history.excuses += 1;
            }
        }
    }

    /// A row as new, for a token whose transaction has committed.
    pub(crate) fn new_rows(count: usize) -> Vec<Option<Row>> {
        vec![Some(Row::NEW); count]
    }
}
