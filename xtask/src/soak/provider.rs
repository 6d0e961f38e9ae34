//! The provider's part in it: every way SES answers badly, in turn and at random.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use testkit::ses::{Call, EntryFailure};
use testkit::{Reply, Ses};

use super::stage::pipe_of;

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

const TROUBLES: [Trouble; 17] = [
    told("SES: some TRANSIENT_FAILURE", |call, rng| some(call, rng, "TRANSIENT_FAILURE")),
    told("SES: some ACCOUNT_THROTTLED", |call, rng| some(call, rng, "ACCOUNT_THROTTLED")),
    told("SES: some MESSAGE_REJECTED", |call, rng| some(call, rng, "MESSAGE_REJECTED")),
    told("SES: some FAILED", |call, rng| some(call, rng, "FAILED")),
    told("SES: 500", |_, _| Reply::error(500, "InternalServiceErrorException", "soak")),
    told("SES: 429", |_, _| Reply::error(429, "TooManyRequestsException", "Too many requests")),
    told("SES: 403", |_, _| Reply::error(403, "AccessDeniedException", "soak")),
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

/// Milliseconds that a call takes during which something happens to its sender.
const AMBUSH: std::ops::Range<u64> = 3_000..7_000;

/// The sender that meets it holds everything for a minute.
const DAILY_QUOTA: Trouble = told("SES: daily quota", |_, _| {
    Reply::fail_all("ACCOUNT_DAILY_QUOTA_EXCEEDED", "Daily message quota exceeded")
});

/// The script of the double.
#[derive(Debug)]
pub(super) struct Provider {
    state: Arc<Mutex<State>>,
}

/// A call that takes its time while something happens to its sender.
#[derive(Debug, Clone, Copy)]
enum Ambush {
    None,
    /// The next call of this pipe.
    Laid(usize),
    /// It is under way.
    Sprung(usize),
}

#[derive(Debug)]
struct State {
    rng: Rng,
    coming: VecDeque<Trouble>,
    wave: Option<Instant>,
    ambush: Ambush,
    met: BTreeMap<&'static str, usize>,
    unanswered: HashSet<usize>,
}

impl Provider {
    /// From now on decides over every call.
    pub(super) fn direct(ses: &Ses, rng: Rng) -> Provider {
        let state = State {
            rng,
            coming: VecDeque::new(),
            wave: None,
            ambush: Ambush::None,
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

    /// Throttles all calls until then.
    pub(super) fn throttle(&self, until: Instant) {
        lock(&self.state).wave = Some(until);
    }

    /// Has the next call meet the end of the day's quota.
    pub(super) fn daily_quota(&self) {
        lock(&self.state).coming.push_front(DAILY_QUOTA);
    }

    /// Has the next call of this pipe take its time; [`sprung`](Provider::sprung) tells of it.
    pub(super) fn lie_in_wait(&self, pipe: usize) {
        lock(&self.state).ambush = Ambush::Laid(pipe);
    }

    /// The pipe whose sender is in such a call now; once.
    pub(super) fn sprung(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        let Ambush::Sprung(pipe) = state.ambush else { return None };
        state.ambush = Ambush::None;
        Some(pipe)
    }

    /// Is good again, to those who wait, too.
    pub(super) fn calm(&self, ses: &Ses) {
        let mut state = lock(&self.state);
        state.coming.clear();
        (state.wave, state.ambush) = (None, Ambush::None);
        drop(state);
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
        if let Ambush::Laid(pipe) = self.ambush
            && pipe_of(&call.from) == Some(pipe)
        {
            self.ambush = Ambush::Sprung(pipe);
            return Reply::Delay(Duration::from_millis(self.rng.u64(AMBUSH)));
        }
        if self.wave.is_some_and(|until| Instant::now() < until) {
            return match self.rng.bool() {
                true => Reply::error(429, "TooManyRequestsException", "Too many requests"),
                false => some(call, &mut self.rng, "ACCOUNT_THROTTLED"),
            };
        }
        let Some(trouble) = self.coming.pop_front() else {
            // On a good day it takes its time, too: something for the other faults to meet.
            let most = if self.rng.u8(..16) == 0 { 3_000 } else { 80 };
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
