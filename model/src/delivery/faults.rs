//! What goes wrong, what time does, and what a half-open connection's backend still does.

use super::Delivery;
use super::action::{Action, Undone};
use super::collector;
use super::sender;
use super::state::{
    CollectorAt, Dead, Late, Number, Outcome, Process, RowState, SenderAt, Stage, State, bit,
};

/// What can happen to the database and in time.
pub(crate) fn database_steps(state: &State, actions: &mut Vec<Action>) {
    for (number, session) in (1..).zip(&state.sessions) {
        if session.alive && !session.client {
            actions.push(Action::SessionEnds(number));
            if session.late.is_some() {
                actions.push(Action::LateRuns(number));
            }
        }
        if !session.alive && !session.grace_over && grace_may_end(state, number) {
            actions.push(Action::GraceEnds(number));
        }
    }
    for (token, row) in state.rows.iter().enumerate() {
        if row.is_some_and(|row| row.state == RowState::Pending && !row.due) {
            actions.push(Action::FallsDue(token));
        }
    }
}

/// Whether 30 s can pass since a sweep found this number's lock free, while a row still carries it.
///
/// Not while its sender is in that row's call: a call has ended 30 s after begin was asked. Nor
/// while the sender has its result and a connection: recording it takes milliseconds.
fn grace_may_end(state: &State, number: Number) -> bool {
    let carries = |token: usize| {
        state.rows[token].is_some_and(|row| row.is_held_by(RowState::Sending, number))
    };
    (0..state.rows.len()).any(carries)
        && state.senders.iter().filter(|s| s.numbers & bit(number) != 0 && !s.stopped).all(|s| {
            s.calls.iter().filter(|call| carries(call.line.token)).all(|call| match call.stage {
                Stage::InCall(_) => false,
                Stage::Result(_) | Stage::Recorded(_) => {
                    s.session == 0 || !state.is_alive(s.session)
                }
                _ => true,
            })
        })
}

/// What may go wrong.
pub(crate) fn steps(model: &Delivery, state: &State, actions: &mut Vec<Action>) {
    let left = &state.left;
    for (me, collector) in state.collectors.iter().enumerate() {
        let process = Process::Collector(me);
        if left.collector_crashes > 0 && collector.at != CollectorAt::Down {
            actions.push(Action::Crash(process));
        }
        if left.collector_losses > 0 && state.is_alive(collector.session) {
            actions.push(Action::Cut(process));
            actions.push(Action::HalfOpen(process, None));
            let late = collector::late(state, me);
            actions.extend((0..late.len()).map(|n| Action::HalfOpen(process, Some(n))));
        }
    }
    for (me, sender) in state.senders.iter().enumerate() {
        let process = Process::Sender(me);
        if left.sender_crashes > 0 && sender.at != SenderAt::Down {
            actions.push(Action::Crash(process));
        }
        if left.stops > 0 && !sender.stopped && sender.at != SenderAt::Down {
            actions.push(Action::Stop(me));
        }
        if left.sender_losses > 0 && state.is_alive(sender.session) {
            actions.push(Action::Cut(process));
            if !sender.stopped {
                actions.push(Action::HalfOpen(process, None));
                let late = sender::late(model, state, me);
                actions.extend((0..late.len()).map(|n| Action::HalfOpen(process, Some(n))));
            }
        }
    }
    if left.database_crashes > 0 {
        actions.push(Action::DatabaseCrash(Undone::Nothing));
        if state.rows.iter().flatten().any(|row| row.before.is_some()) {
            actions.push(Action::DatabaseCrash(Undone::Last));
        }
        if state.rows.iter().flatten().any(|row| row.before != row.durable) {
            actions.push(Action::DatabaseCrash(Undone::All));
        }
    }
    for (from, pipe) in state.pipes.iter().enumerate() {
        for place in 0..pipe.len() {
            if left.drops > 0 {
                actions.push(Action::DropLine { from, place });
            }
            if left.repeats > 0 {
                let room = |to: &usize| state.pipes[*to].len() < model.bounds.pipe;
                let to = (0..state.pipes.len()).filter(room);
                actions.extend(to.map(|to| Action::Repeat { from, place, to }));
            }
        }
    }
    for (token, known) in state.tokens.iter().enumerate() {
        if known.dead.is_none() && left.consumed > 0 {
            actions.push(Action::Consume(token));
        }
        if known.dead.is_none() && left.expired > 0 {
            actions.push(Action::Expire(token));
        }
        if left.readdressed > 0 {
            actions.push(Action::Readdress(token));
        }
    }
}

/// Does it.
pub(crate) fn act(model: &Delivery, state: &mut State, action: Action) {
    match action {
        Action::SessionEnds(number) => state.end(number),
        Action::LateRuns(number) => late_runs(model, state, number),
        Action::GraceEnds(number) => {
            if let Some(session) = state.session_mut(number) {
                session.grace_over = true;
            }
            for sender in &mut state.senders {
                go_stale(sender.numbers & bit(number) != 0, &mut sender.calls);
            }
        }
        Action::FallsDue(token) => {
            if let Some(row) = &mut state.rows[token] {
                row.due = true;
            }
        }
        Action::Consume(token) => {
            state.left.consumed -= 1;
            state.tokens[token].dead = Some(Dead::Consumed);
        }
        Action::Expire(token) => {
            state.left.expired -= 1;
            state.tokens[token].dead = Some(Dead::Expired);
        }
        Action::Readdress(token) => {
            state.left.readdressed -= 1;
            state.tokens[token].address += 1;
        }
        Action::Crash(Process::Collector(me)) => {
            state.left.collector_crashes -= 1;
            collector::die(state, me);
        }
        Action::Crash(Process::Sender(me)) => {
            state.left.sender_crashes -= 1;
            sender::die(model, state, me);
            state.senders[me].stopped = false;
        }
        Action::Cut(process) => {
            let number = spend_loss(state, process);
            state.end(number);
        }
        Action::HalfOpen(process, nth) => half_open(model, state, process, nth),
        Action::DatabaseCrash(undone) => database_crash(model, state, undone),
        Action::Stop(me) => {
            state.left.stops -= 1;
            state.senders[me].stopped = true;
            go_stale(true, &mut state.senders[me].calls);
        }
        Action::Repeat { from, place, to } => {
            state.left.repeats -= 1;
            let line = state.pipes[from][place];
            state.pipes[to].push(line);
        }
        Action::DropLine { from, place } => {
            state.left.drops -= 1;
            state.pipes[from].remove(place);
        }
        _ => {}
    }
}

/// More than 10 s have passed.
fn go_stale(applies: bool, calls: &mut [super::state::Call]) {
    for call in calls.iter_mut().filter(|_| applies) {
        if let Stage::Granted { session, .. } = call.stage {
            call.stage = Stage::Granted { session, fresh: false };
        }
    }
}

fn spend_loss(state: &mut State, process: Process) -> Number {
    match process {
        Process::Collector(me) => {
            state.left.collector_losses -= 1;
            state.collectors[me].session
        }
        Process::Sender(me) => {
            state.left.sender_losses -= 1;
            state.senders[me].session
        }
    }
}

fn half_open(model: &Delivery, state: &mut State, process: Process, nth: Option<usize>) {
    let late = match (process, nth) {
        (_, None) => None,
        (Process::Collector(me), Some(nth)) => collector::late(state, me).get(nth).copied(),
        (Process::Sender(me), Some(nth)) => sender::late(model, state, me).get(nth).copied(),
    };
    let number = spend_loss(state, process);
    if let Some(session) = state.session_mut(number) {
        session.client = false;
        session.late = late;
    }
    match process {
        Process::Collector(me) => collector::lose(model, state, me),
        Process::Sender(me) => sender::lose(state, me),
    }
}

fn late_runs(model: &Delivery, state: &mut State, number: Number) {
    let Some(session) = state.session_mut(number) else { return };
    let Some(late) = session.late.take() else { return };
    match late {
        Late::Claim { token } => {
            if state.is_claimable(token) {
                state.claim(token, number);
            }
        }
        Late::Begin { line } => {
            if state.is_found(&model.bounds.guards, line.token) {
                state.begin(&model.bounds, line, number);
            }
        }
        // It has looked at the log; when it commits, it does not look again.
        Late::Settle { settlement, numbers, running } => match settlement.outcome {
            Outcome::Sent(mail) if running => state.commit_late_sent(settlement.token, mail),
            Outcome::Sent(mail) if state.history[settlement.token].sent & (1 << mail) == 0 => {
                if let Some(session) = state.session_mut(number) {
                    session.late = Some(Late::Settle { settlement, numbers, running: true });
                }
            }
            _ => state.settle(&model.bounds.guards, settlement, numbers),
        },
        Late::Relabel { former, in_call } => {
            state.relabel_sender(&model.bounds.guards, former, number, in_call);
        }
    }
}

fn database_crash(model: &Delivery, state: &mut State, undone: Undone) {
    state.left.database_crashes -= 1;
    for (row, history) in state.rows.iter_mut().zip(&mut state.history) {
        let Some(row) = row else { continue };
        row.locked = false;
        let (last, all) = (row.before.take(), row.durable.take());
        let before = match undone {
            Undone::Nothing => None,
            Undone::Last => last,
            Undone::All => all,
        };
        if let Some(before) = before {
            // The budget of duplicates, (a): the begin of a mail that may yet be accepted is gone.
            let begun = row.state == RowState::Sending;
            history.excuses += u8::from(begun && model.bounds.undone_begin_excuses);
            row.state = before.state;
            row.holder = before.holder;
            row.answered = before.answered;
            row.ambiguities = before.ambiguities;
        }
    }
    for number in 1..=state.sessions.len() {
        state.end(number as Number);
    }
}
