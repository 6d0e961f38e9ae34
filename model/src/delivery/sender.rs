//! What a sender does: `sender/src/courier.rs` and `ledger.rs` over `sender/sql/`.

use super::Delivery;
use super::action::Action;
use super::state::{Call, Late, Outcome, Process, Sender, SenderAt, Stage, State, bit};

/// What this sender can do now.
pub(crate) fn steps(model: &Delivery, state: &State, me: usize, actions: &mut Vec<Action>) {
    let sender = &state.senders[me];
    let process = Process::Sender(me);
    if sender.stopped {
        actions.push(Action::Continue(me));
        return;
    }
    if sender.at == SenderAt::Down {
        actions.push(Action::Restart(process));
        return;
    }
    let connected = sender.session != 0 && state.is_alive(sender.session);
    if sender.session != 0 && !connected {
        actions.push(Action::Notice(process));
    }
    match sender.at {
        SenderAt::Away => actions.push(Action::Connect(process)),
        SenderAt::Fencing if connected => actions.push(Action::Fence(me)),
        SenderAt::Settling if connected && may_relabel(model, state, me) => {
            actions.push(Action::Relabel(me));
        }
        SenderAt::Relabelled if connected => actions.push(Action::RelabelAnswered(me)),
        SenderAt::Ready
            if sender.calls.len() < model.bounds.concurrency
                && !state.pipes[model.pipe_of(me)].is_empty() =>
        {
            actions.push(Action::Read(me));
        }
        _ => {}
    }
    for place in 0..sender.calls.len() {
        call_steps(model, state, me, place, connected, actions);
    }
}

fn may_relabel(model: &Delivery, state: &State, me: usize) -> bool {
    !model.bounds.guards.settle_first
        || !state.senders[me]
            .calls
            .iter()
            .any(|call| matches!(call.stage, Stage::Result(_) | Stage::Recorded(_)))
}

fn call_steps(
    model: &Delivery,
    state: &State,
    me: usize,
    place: usize,
    connected: bool,
    actions: &mut Vec<Action>,
) {
    let guards = &model.bounds.guards;
    let sender = &state.senders[me];
    let call = sender.calls[place];
    let ready = connected && sender.at == SenderAt::Ready;
    let recording = connected && matches!(sender.at, SenderAt::Settling | SenderAt::Ready);
    let locked = state.rows[call.line.token].is_some_and(|row| row.locked);
    match call.stage {
        Stage::Line if ready && !(guards.begin_waits && locked) => {
            actions.push(Action::Begin(me, place));
        }
        Stage::Seen if ready => actions.push(Action::BeginTakes(me, place)),
        Stage::Begun { .. } if connected && is_next_answer(sender, place) => {
            actions.push(Action::BeginAnswered(me, place));
        }
        Stage::Granted { session, fresh } => {
            if session != sender.session && guards.session_lives {
                actions.push(Action::GiveUp(me, place));
            } else if !fresh && guards.freshness {
                actions.push(Action::HoldBack(me, place));
            } else {
                actions.push(Action::Call(me, place));
                if state.left.deferrals > 0 {
                    actions.push(Action::Defer(me, place));
                }
                if state.left.rejections > 0 {
                    actions.push(Action::Reject(me, place));
                }
            }
        }
        Stage::InCall(_) => {
            actions.push(Action::CallAnswered(me, place));
            if state.left.lost_answers > 0 {
                actions.push(Action::AnswerLost(me, place));
            }
        }
        Stage::Result(_) if recording => actions.push(Action::Settle(me, place)),
        Stage::Recorded(_) if connected && is_next_answer(sender, place) => {
            actions.push(Action::SettleAnswered(me, place));
        }
        _ => {}
    }
}

/// One connection answers in the order it was asked: [`ask`] keeps the calls in that order.
fn is_next_answer(sender: &Sender, place: usize) -> bool {
    let waits = |call: &Call| matches!(call.stage, Stage::Begun { .. } | Stage::Recorded(_));
    !sender.calls[..place].iter().any(waits)
}

/// A statement of this call has run, after those of all others.
fn ask(sender: &mut Sender, place: usize, stage: Stage) {
    let call = sender.calls.remove(place);
    sender.calls.push(Call { stage, ..call });
}

/// Does it.
pub(crate) fn act(model: &Delivery, state: &mut State, action: Action) {
    let guards = &model.bounds.guards;
    match action {
        Action::Continue(me) => state.senders[me].stopped = false,
        Action::Fence(me) => {
            if guards.fence {
                let sender = &state.senders[me];
                for number in super::numbers(sender.former & !bit(sender.session)) {
                    state.end(number);
                }
            }
            state.senders[me].at = SenderAt::Settling;
        }
        Action::Relabel(me) => {
            let sender = &state.senders[me];
            let (number, former) = (sender.session, sender.former & !bit(sender.session));
            let in_call = in_call(model, state, me);
            state.relabel_sender(guards, former, number, in_call);
            state.senders[me].at = SenderAt::Relabelled;
        }
        Action::RelabelAnswered(me) => {
            let sender = &mut state.senders[me];
            sender.former = bit(sender.session);
            sender.at = SenderAt::Ready;
        }
        Action::Read(me) => {
            let line = state.pipes[model.pipe_of(me)].remove(0);
            state.senders[me].calls.push(Call { line, stage: Stage::Line });
        }
        Action::Begin(me, place) => begin(model, state, me, place),
        Action::BeginTakes(me, place) => {
            let call = state.senders[me].calls[place];
            let number = state.senders[me].session;
            let granted = state.begin(&model.bounds, call.line, number);
            ask(&mut state.senders[me], place, Stage::Begun { granted });
        }
        Action::BeginAnswered(me, place) => {
            let token = state.senders[me].calls[place].line.token;
            let in_call = in_call(model, state, me) & (1 << token) != 0;
            let sender = &mut state.senders[me];
            match sender.calls[place].stage {
                Stage::Begun { granted: true } if !(in_call && guards.in_call_not_begun) => {
                    let session = sender.session;
                    sender.calls[place].stage = Stage::Granted { session, fresh: true };
                }
                _ => _ = sender.calls.remove(place),
            }
        }
        // Its rows go back when the next session takes over.
        Action::GiveUp(me, place) => _ = state.senders[me].calls.remove(place),
        Action::HoldBack(me, place) => {
            state.senders[me].calls[place].stage = Stage::Result(Outcome::Again);
        }
        Action::Call(me, place) => {
            let token = state.senders[me].calls[place].line.token;
            let mail = state.history[token].accepted;
            let ambiguities = state.ambiguities(token);
            let history = &mut state.history[token];
            history.accepted += 1;
            history.ambiguities_then = history.ambiguities_then.max(ambiguities);
            state.senders[me].calls[place].stage = Stage::InCall(Outcome::Sent(mail));
        }
        Action::Defer(me, place) => {
            state.left.deferrals -= 1;
            state.senders[me].calls[place].stage = Stage::InCall(Outcome::Again);
        }
        Action::Reject(me, place) => {
            state.left.rejections -= 1;
            state.senders[me].calls[place].stage = Stage::InCall(Outcome::Failed);
        }
        Action::CallAnswered(me, place) => {
            if let Stage::InCall(outcome) = state.senders[me].calls[place].stage {
                state.senders[me].calls[place].stage = Stage::Result(outcome);
            }
        }
        Action::AnswerLost(me, place) => {
            state.left.lost_answers -= 1;
            let call = &mut state.senders[me].calls[place];
            if let Stage::InCall(outcome) = call.stage {
                let accepted = outcome.accepted();
                call.stage = Stage::Result(Outcome::Ambiguous(accepted));
                state.history[call.line.token].excuses += u8::from(accepted.is_some());
            }
        }
        Action::Settle(me, place) => {
            let (call, numbers) = (state.senders[me].calls[place], state.senders[me].numbers);
            if let Stage::Result(outcome) = call.stage {
                state.settle(guards, call.settlement(outcome), numbers);
                ask(&mut state.senders[me], place, Stage::Recorded(outcome));
            }
        }
        Action::SettleAnswered(me, place) => {
            let call = state.senders[me].calls.remove(place);
            if let Stage::Recorded(Outcome::Sent(_)) = call.stage {
                state.history[call.line.token].known = true;
            }
        }
        _ => {}
    }
}

fn begin(model: &Delivery, state: &mut State, me: usize, place: usize) {
    let call = state.senders[me].calls[place];
    let number = state.senders[me].session;
    let found = state.is_found(&model.bounds.guards, call.line.token);
    let stage = if !found {
        Stage::Begun { granted: false }
    } else if model.bounds.guards.begin_locks {
        let granted = state.begin(&model.bounds, call.line, number);
        Stage::Begun { granted }
    } else {
        Stage::Seen
    };
    ask(&mut state.senders[me], place, stage);
}

/// The tokens that the ledger holds to be in a call, as bits.
fn in_call(model: &Delivery, state: &State, me: usize) -> u8 {
    let until_recorded = model.bounds.guards.in_call_until_recorded;
    let counts = |call: &&Call| match call.stage {
        Stage::InCall(_) => true,
        Stage::Result(_) | Stage::Recorded(_) => until_recorded,
        _ => false,
    };
    state.senders[me].calls.iter().filter(counts).fold(0, |set, call| set | 1 << call.line.token)
}

/// The client's side of a lost connection.
pub(crate) fn lose(state: &mut State, me: usize) {
    let sender = &mut state.senders[me];
    sender.session = 0;
    sender.at = SenderAt::Away;
    for call in &mut sender.calls {
        call.stage = match call.stage {
            Stage::Seen | Stage::Begun { .. } => Stage::Line,
            Stage::Recorded(outcome) => Stage::Result(outcome),
            stage => stage,
        };
    }
}

/// The process is no more, and its session ends with it.
pub(crate) fn die(model: &Delivery, state: &mut State, me: usize) {
    // The budget of duplicates, (a).
    state.excuse_unrecorded(me, None);
    let number = state.senders[me].session;
    state.end(number);
    let sender = &mut state.senders[me];
    sender.at = SenderAt::Down;
    sender.session = 0;
    sender.former = 0;
    sender.numbers = 0;
    sender.calls.clear();
    if !model.bounds.shared_log {
        state.pipes[model.pipe_of(me)].clear();
        if let Some(collector) = state.collectors.get_mut(me) {
            collector.reader_gone = collector.at != super::state::CollectorAt::Down;
        }
    }
}

/// What a half-open connection's backend may still be given.
pub(crate) fn late(model: &Delivery, state: &State, me: usize) -> Vec<Late> {
    let sender = &state.senders[me];
    let mut all = Vec::new();
    for call in &sender.calls {
        match (sender.at, call.stage) {
            (SenderAt::Ready, Stage::Line) => all.push(Late::Begin { line: call.line }),
            (SenderAt::Ready | SenderAt::Settling, Stage::Result(outcome)) => {
                let (settlement, numbers) = (call.settlement(outcome), sender.numbers);
                all.push(Late::Settle { settlement, numbers, running: false });
            }
            _ => {}
        }
    }
    if sender.at == SenderAt::Settling && may_relabel(model, state, me) {
        let former = sender.former & !bit(sender.session);
        all.push(Late::Relabel { former, in_call: in_call(model, state, me) });
    }
    all
}
