//! The provider's part in it: every way SES answers badly, in turn and at random.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use testkit::ses::{Call, EntryFailure};
use testkit::{Reply, Ses};

/// Calls that one fault meets, at most.
const CALLS_MAX: usize = 3;

/// A way to answer badly.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    name: &'static str,
    reply: fn(&Call, &mut Rng) -> Reply,
    /// Mails are accepted, and the answer does not say so.
    unanswered: bool,
}

const fn told(name: &'static str, reply: fn(&Call, &mut Rng) -> Reply) -> Trouble {
    Trouble { name, reply, unanswered: false }
}

const fn untold(name: &'static str, reply: fn(&Call, &mut Rng) -> Reply) -> Trouble {
    Trouble { name, reply, unanswered: true }
}

const TROUBLES: [Trouble; 16] = [
    told("SES: some TRANSIENT_FAILURE", |call, rng| some(call, rng, "TRANSIENT_FAILURE")),
    told("SES: some ACCOUNT_THROTTLED", |call, rng| some(call, rng, "ACCOUNT_THROTTLED")),
    told("SES: some MESSAGE_REJECTED", |call, rng| some(call, rng, "MESSAGE_REJECTED")),
    told("SES: some FAILED", |call, rng| some(call, rng, "FAILED")),
    told("SES: 500", |_, _| Reply::error(500, "InternalServiceErrorException", "soak")),
    told("SES: 429", |_, _| Reply::error(429, "TooManyRequestsException", "Too many requests")),
    told("SES: 400 MessageRejected", |_, _| Reply::error(400, "MessageRejected", "soak")),
    told("SES: cut after read", |_, _| Reply::CutAfterRead { accept: false }),
    told("SES: hangs", |_, _| Reply::Hang { accept: false }),
    told("SES: slow", |_, rng| Reply::Delay(Duration::from_millis(rng.u64(500..8_000)))),
    told("SES: nonsense", |_, _| Reply::Nonsense { accept: false }),
    told("SES: half an answer", |_, _| Reply::Partial { accept: false }),
    untold("SES: accepts, cut after read", |_, _| Reply::CutAfterRead { accept: true }),
    untold("SES: accepts, hangs", |_, _| Reply::Hang { accept: true }),
    untold("SES: accepts, nonsense", |_, _| Reply::Nonsense { accept: true }),
    untold("SES: accepts, half an answer", |_, _| Reply::Partial { accept: true }),
];

const CUT_UNREAD: &str = "SES: cut before read";

/// The script of the double.
#[derive(Debug)]
pub(super) struct Provider {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    coming: VecDeque<Trouble>,
    met: BTreeMap<&'static str, usize>,
    unanswered: HashSet<usize>,
}

impl Provider {
    /// From now on decides over every call.
    pub(super) fn direct(ses: &Ses, rng: Rng) -> Provider {
        let state = State {
            rng,
            coming: VecDeque::new(),
            met: BTreeMap::new(),
            unanswered: HashSet::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let script = state.clone();
        ses.script(move |call| lock(&script).reply(call));
        Provider { state }
    }

    /// Has the next calls answered badly, each in a way of its own.
    pub(super) fn trouble(&self, ses: &Ses) {
        let mut state = lock(&self.state);
        let calls = state.rng.usize(1..=CALLS_MAX);
        for _ in 0..calls {
            match state.rng.usize(0..=TROUBLES.len()).checked_sub(1) {
                Some(which) => state.coming.push_back(TROUBLES[which]),
                None => {
                    ses.reply(Reply::CutBeforeRead);
                    *state.met.entry(CUT_UNREAD).or_default() += 1;
                }
            }
        }
    }

    /// Is good again, to those who wait, too.
    pub(super) fn calm(&self, ses: &Ses) {
        lock(&self.state).coming.clear();
        ses.release();
    }

    /// How many calls met which trouble.
    pub(super) fn met(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.state).met.clone()
    }

    /// The numbers of the calls whose acceptance the answer did not tell.
    pub(super) fn unanswered(&self) -> HashSet<usize> {
        lock(&self.state).unanswered.clone()
    }
}

impl State {
    fn reply(&mut self, call: &Call) -> Reply {
        let Some(trouble) = self.coming.pop_front() else {
            // On a good day it takes its time, too: something for the other faults to meet.
            let most = if self.rng.u8(..8) == 0 { 4_000 } else { 150 };
            return Reply::Delay(Duration::from_millis(self.rng.u64(1..most)));
        };
        *self.met.entry(trouble.name).or_default() += 1;
        if trouble.unanswered {
            self.unanswered.insert(call.number);
        }
        (trouble.reply)(call, &mut self.rng)
    }
}

/// Refuses about half of the entries, at least one.
fn some(call: &Call, rng: &mut Rng, status: &str) -> Reply {
    let mut which: Vec<usize> = (0..call.entries.len()).filter(|_| rng.bool()).collect();
    if which.is_empty() {
        which.push(0);
    }
    Reply::Entries(which.into_iter().map(|at| EntryFailure::at(at, status, "soak")).collect())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
