//! What a collector does: `collector/src/run.rs` over `collector/sql/`.

use super::Delivery;
use super::action::Action;
use super::state::{CollectorAt, Late, Process, RowState, State, bit};

/// What this collector can do now.
pub(crate) fn steps(model: &Delivery, state: &State, me: usize, actions: &mut Vec<Action>) {
    let bounds = &model.bounds;
    let collector = &state.collectors[me];
    let process = Process::Collector(me);
    if collector.at == CollectorAt::Down {
        actions.push(Action::Restart(process));
        return;
    }
    if collector.reader_gone {
        actions.push(Action::Quit(me));
        return;
    }
    if collector.session != 0 && !state.is_alive(collector.session) {
        actions.push(Action::Notice(process));
        // A line in hand is written before anybody looks at the connection.
        if collector.hand.is_none() {
            return;
        }
    }
    if collector.hand.is_some() {
        if state.pipes[model.pipe_of(me)].len() < bounds.pipe {
            actions.push(Action::Write(me));
        }
        // Meanwhile the next claim may be made; its answer waits until the line is written.
        if collector.at == CollectorAt::Ready && state.is_alive(collector.session) {
            let claimable = (0..state.rows.len()).filter(|&token| state.is_claimable(token));
            actions.extend(claimable.map(|token| Action::Claim(me, token)));
        }
        return;
    }
    match collector.at {
        CollectorAt::Down => {}
        CollectorAt::Away => actions.push(Action::Connect(process)),
        CollectorAt::Connected if bounds.slow_take_over => actions.push(Action::LockFormer(me)),
        CollectorAt::Connected | CollectorAt::TakingOver => actions.push(Action::TakeOver(me)),
        CollectorAt::TakenOver => actions.push(Action::TakenOver(me)),
        CollectorAt::Claimed(_) => actions.push(Action::ClaimAnswered(me)),
        CollectorAt::Uncommitted(_) => actions.push(Action::ClaimCommits(me)),
        CollectorAt::Sweeping { .. } => actions.push(Action::SweepTakes(me)),
        CollectorAt::Ready => ready(model, state, me, actions),
    }
}

fn ready(model: &Delivery, state: &State, me: usize, actions: &mut Vec<Action>) {
    let (bounds, guards) = (&model.bounds, &model.bounds.guards);
    let gone = state.gone();
    let room = state.pipes[model.pipe_of(me)].len() < bounds.pipe;
    for token in 0..state.rows.len() {
        if state.is_claimable(token) && (guards.claim_commits_first || room) {
            actions.push(Action::Claim(me, token));
        }
        let Some(row) = state.rows[token] else { continue };
        if row.state == RowState::Dispatched
            && !row.locked
            && state.is_alive(row.holder)
            && state.a_sender_lives()
        {
            if state.is_on_its_way(token) {
                if state.left.slow_lines > 0 {
                    actions.push(Action::TakeSlow(token));
                }
            } else if bounds.lost_rule {
                actions.push(Action::TakeLost(token));
            }
        }
    }
    if (0..state.rows.len()).any(|token| state.is_abandoned(guards, token, gone)) {
        actions.push(if bounds.slow_sweep { Action::SweepLooks(me) } else { Action::Sweep(me) });
    }
}

/// Does it.
pub(crate) fn act(model: &Delivery, state: &mut State, action: Action) {
    let guards = &model.bounds.guards;
    match action {
        Action::LockFormer(me) => {
            end_former(model, state, me);
            let former = state.collectors[me].former;
            for row in state.rows.iter_mut().flatten() {
                row.locked |= row.state == RowState::Dispatched && former & bit(row.holder) != 0;
            }
            state.collectors[me].at = CollectorAt::TakingOver;
        }
        Action::TakeOver(me) => {
            end_former(model, state, me);
            let collector = state.collectors[me];
            let former = collector.former & !bit(collector.session);
            state.relabel_collector(guards, former, collector.session);
            state.collectors[me].at = CollectorAt::TakenOver;
        }
        Action::TakenOver(me) => {
            let collector = &mut state.collectors[me];
            collector.former = bit(collector.session);
            collector.at = CollectorAt::Ready;
        }
        Action::Claim(me, token) => claim(model, state, me, token),
        Action::ClaimCommits(me) => {
            let number = state.collectors[me].session;
            if let CollectorAt::Uncommitted(line) = state.collectors[me].at
                && let Some(row) = &mut state.rows[line.token]
            {
                row.locked = false;
                row.state = RowState::Dispatched;
                row.holder = number;
                row.answered = true;
            }
            state.collectors[me].at = CollectorAt::Ready;
        }
        Action::ClaimAnswered(me) => {
            let collector = &mut state.collectors[me];
            if let CollectorAt::Claimed(line) = collector.at {
                collector.at = CollectorAt::Ready;
                collector.hand = Some(line);
                let number = collector.session;
                if let Some(row) = &mut state.rows[line.token]
                    && row.is_held_by(RowState::Dispatched, number)
                    && !guards.claimed_at_with_line
                {
                    row.answered = true;
                }
            }
        }
        Action::Write(me) => {
            if let Some(line) = state.collectors[me].hand.take() {
                state.pipes[model.pipe_of(me)].push(line);
                let mine = state.collectors[me].former | bit(state.collectors[me].session);
                if let Some(row) = &mut state.rows[line.token]
                    && row.state == RowState::Dispatched
                    && mine & bit(row.holder) != 0
                {
                    row.answered = true;
                }
            }
        }
        Action::Sweep(_) => {
            let gone = state.gone();
            for token in 0..state.rows.len() {
                if state.is_abandoned(guards, token, gone) {
                    state.abandon(guards, token);
                }
            }
        }
        Action::SweepLooks(me) => sweep_looks(model, state, me),
        Action::SweepTakes(me) => sweep_takes(model, state, me),
        Action::TakeLost(token) | Action::TakeSlow(token) => {
            if matches!(action, Action::TakeSlow(_)) {
                state.left.slow_lines -= 1;
            }
            state.release(token);
            state.flush();
        }
        // Its session ends with it; a release that fails is left to a sweep.
        Action::Quit(me) => {
            let number = state.collectors[me].session;
            if state.is_alive(number) {
                state.release_own(number);
            }
            die(state, me);
        }
        _ => {}
    }
}

fn claim(model: &Delivery, state: &mut State, me: usize, token: usize) {
    let number = state.collectors[me].session;
    if !model.bounds.guards.claim_commits_first && state.tokens[token].dead.is_none() {
        let line = super::state::Line { token, address: state.tokens[token].address };
        if let Some(row) = &mut state.rows[token] {
            row.locked = true;
        }
        state.pipes[model.pipe_of(me)].push(line);
        state.collectors[me].at = CollectorAt::Uncommitted(line);
    } else if let Some(line) = state.claim(token, number) {
        state.collectors[me].at = CollectorAt::Claimed(line);
    }
}

fn end_former(model: &Delivery, state: &mut State, me: usize) {
    if !model.bounds.guards.fence {
        return;
    }
    let collector = state.collectors[me];
    for number in super::numbers(collector.former & !bit(collector.session)) {
        state.end(number);
    }
}

/// The first half of a sweep: who is gone, or, without the guard, which rows nobody living holds.
fn sweep_looks(model: &Delivery, state: &mut State, me: usize) {
    let guards = &model.bounds.guards;
    let gone = state.gone();
    let rows = (0..state.rows.len())
        .filter(|&token| state.is_abandoned(guards, token, gone))
        .fold(0, |set, token| set | 1 << token);
    let living = (1..).take(state.sessions.len()).fold(0, |set, n| set | bit(n)) & !gone;
    let numbers = if guards.by_the_gone { gone } else { living };
    state.collectors[me].at = CollectorAt::Sweeping { numbers, rows };
}

/// The second half: the rows, as they are by now.
fn sweep_takes(model: &Delivery, state: &mut State, me: usize) {
    let guards = &model.bounds.guards;
    if let CollectorAt::Sweeping { numbers, rows } = state.collectors[me].at {
        for token in 0..state.rows.len() {
            let takes = if guards.by_the_gone {
                state.is_abandoned(guards, token, numbers)
            } else {
                rows & (1 << token) != 0
                    && state.rows[token].is_some_and(|row| {
                        row.state != RowState::Pending && numbers & bit(row.holder) == 0
                    })
            };
            if takes {
                state.abandon(guards, token);
            }
        }
        state.collectors[me].at = CollectorAt::Ready;
    }
}

/// The client's side of a lost connection.
pub(crate) fn lose(model: &Delivery, state: &mut State, me: usize) {
    let collector = &mut state.collectors[me];
    let former = collector.former;
    match collector.at {
        CollectorAt::Uncommitted(line) => {
            if let Some(row) = &mut state.rows[line.token] {
                row.locked = false;
            }
        }
        CollectorAt::TakingOver => {
            for row in state.rows.iter_mut().flatten() {
                if row.state == RowState::Dispatched && former & bit(row.holder) != 0 {
                    row.locked = false;
                }
            }
        }
        _ => {}
    }
    // Rejecting what cannot be written fails, and so the line of the others is not written either.
    if model.bounds.rejects {
        collector.hand = None;
    }
    collector.session = 0;
    collector.at = CollectorAt::Away;
}

/// The process is no more, and its session ends with it.
pub(crate) fn die(state: &mut State, me: usize) {
    let collector = &mut state.collectors[me];
    let (number, at) = (collector.session, collector.at);
    collector.session = 0;
    collector.former = 0;
    collector.hand = None;
    collector.reader_gone = false;
    collector.at = CollectorAt::Down;
    if let CollectorAt::Uncommitted(line) = at
        && let Some(row) = &mut state.rows[line.token]
    {
        row.locked = false;
    }
    if at == CollectorAt::TakingOver {
        for row in state.rows.iter_mut().flatten() {
            row.locked = false;
        }
    }
    state.end(number);
}

/// What a half-open connection's backend may still be given.
pub(crate) fn late(state: &State, me: usize) -> Vec<Late> {
    if state.collectors[me].at != CollectorAt::Ready {
        return Vec::new();
    }
    let claimable = (0..state.rows.len()).filter(|&token| state.is_claimable(token));
    claimable.map(|token| Late::Claim { token }).collect()
}
