//! The delivery protocol: claim, the pipe, begin, the call, settle, release, reconnects.

mod action;
mod bounds;
mod collector;
mod database;
mod faults;
mod sender;
mod state;

use stateright::{Model, Property};

pub use action::{Action, Undone};
pub use bounds::{Bounds, Faults, Guards};
pub use state::{Process, State};

use crate::{Kind, Recoverable};
use state::{Collector, CollectorAt, History, Number, Sender, SenderAt, Token, bit};

/// The model; see the crate's documentation.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The world that is explored.
    pub bounds: Bounds,
}

impl Delivery {
    pub(crate) fn pipe_of(&self, process: usize) -> usize {
        if self.bounds.shared_log { 0 } else { process }
    }

    fn pipes(&self) -> usize {
        if self.bounds.shared_log { 1 } else { self.bounds.collectors.max(self.bounds.senders) }
    }

    fn connect(&self, state: &mut State, process: Process) {
        let number = state.open(process);
        let more = if self.bounds.guards.all_formers { bit(number) } else { 0 };
        match process {
            Process::Collector(me) => {
                let collector = &mut state.collectors[me];
                collector.session = number;
                if collector.former == 0 {
                    collector.former = bit(number);
                    collector.at = CollectorAt::Ready;
                } else {
                    collector.former |= more;
                    collector.at = CollectorAt::Connected;
                }
            }
            Process::Sender(me) => {
                let sender = &mut state.senders[me];
                sender.session = number;
                sender.numbers |= bit(number);
                if sender.former == 0 {
                    sender.former = bit(number);
                    sender.at = SenderAt::Ready;
                } else {
                    sender.former |= more;
                    sender.at = SenderAt::Fencing;
                }
            }
        }
    }
}

/// The numbers in a set of them.
fn numbers(set: u16) -> impl Iterator<Item = Number> {
    (1..16).filter(move |&number| set & bit(number) != 0)
}

impl Model for Delivery {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let bounds = &self.bounds;
        let collector = Collector {
            at: CollectorAt::Away,
            session: 0,
            former: 0,
            hand: None,
            reader_gone: false,
        };
        let sender = Sender {
            at: SenderAt::Away,
            session: 0,
            former: 0,
            numbers: 0,
            stopped: false,
            calls: Vec::new(),
        };
        let mut state = State {
            rows: State::new_rows(bounds.tokens),
            tokens: vec![Token { dead: None, address: 0 }; bounds.tokens],
            history: vec![History::default(); bounds.tokens],
            sessions: Vec::new(),
            pipes: vec![Vec::new(); self.pipes()],
            collectors: vec![collector; bounds.collectors],
            senders: vec![sender; bounds.senders],
            left: bounds.faults,
        };
        for me in 0..bounds.collectors {
            self.connect(&mut state, Process::Collector(me));
        }
        for me in (0..bounds.senders).filter(|_| !bounds.senders_start_away) {
            self.connect(&mut state, Process::Sender(me));
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.rows.iter().all(Option::is_none) && state.sessions.iter().all(|s| s.late.is_none())
        {
            // Nothing is outstanding. What still happens can only settle once more.
            for me in 0..state.senders.len() {
                sender::steps(self, state, me, actions);
            }
        } else {
            for me in 0..state.collectors.len() {
                collector::steps(self, state, me, actions);
            }
            for me in 0..state.senders.len() {
                sender::steps(self, state, me, actions);
            }
        }
        faults::database_steps(state, actions);
        faults::steps(self, state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Restart(Process::Collector(me)) => {
                state.collectors[me].at = CollectorAt::Away;
            }
            Action::Restart(Process::Sender(me)) => state.senders[me].at = SenderAt::Away,
            Action::Connect(process) => self.connect(&mut state, process),
            Action::Notice(Process::Collector(me)) => collector::lose(self, &mut state, me),
            Action::Notice(Process::Sender(me)) => sender::lose(&mut state, me),
            _ => {}
        }
        collector::act(self, &mut state, action);
        sender::act(self, &mut state, action);
        faults::act(self, &mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOTHING_IS_LOST, |_, state: &State| {
                state.rows.iter().zip(&state.history).all(|(row, history)| {
                    row.is_some() || history.sent_rows > 0 || history.over.is_some()
                })
            }),
            Property::always(DUPLICATES_ARE_COUNTABLE, |_, state: &State| {
                state.history.iter().all(|h| h.accepted <= 1 + h.excuses)
            }),
            Property::always(A_REPEAT_IS_RECORDED_FIRST, |_, state: &State| {
                (0..state.rows.len())
                    .all(|token| state.ambiguities(token) >= state.history[token].ambiguities_then)
            }),
            Property::always(NOTHING_DEAD_IS_SENT, |_, state: &State| {
                state.history.iter().all(|h| h.wrong.is_none())
            }),
            Property::always(A_SENT_ROW_IS_A_MAIL, |_, state: &State| {
                state.history.iter().all(|h| h.sent_rows <= h.accepted)
            }),
        ]
    }
}

/// A settled row has its reason in the log.
pub const NOTHING_IS_LOST: &str = "nothing is lost";
/// No two accepted sends without a crash, a lost answer or 30 s out of reach between them.
pub const DUPLICATES_ARE_COUNTABLE: &str = "duplicates are countable";
/// What was found to be ambiguous before a mail was sent again is in the log ever after.
pub const A_REPEAT_IS_RECORDED_FIRST: &str = "a repeat is recorded as ambiguous first";
/// Nothing used or expired is begun, nor to an old address, nor what is known to be sent.
pub const NOTHING_DEAD_IS_SENT: &str = "nothing dead is sent";
/// A second `sent` row in the log means a second mail.
pub const A_SENT_ROW_IS_A_MAIL: &str = "a sent row is a mail";

impl Recoverable for Delivery {
    fn kind(&self, action: &Action) -> Kind {
        action.kind()
    }

    fn is_settled(&self, state: &State) -> bool {
        state.rows.iter().all(Option::is_none)
    }
}
