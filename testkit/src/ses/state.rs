//! What the double's server and its handle share.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::call::{AcceptedMail, Call};
use super::reply::Reply;
use super::setup::Setup;
use super::templates::Templates;

pub(super) type Script = Box<dyn FnMut(&Call) -> Reply + Send>;

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Apart from the state, so that a script may ask the handle.
    script: Mutex<Option<Script>>,
    pub(super) gate: watch::Sender<Gate>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ordered: VecDeque<Reply>,
    pub(super) calls: Vec<Call>,
    pub(super) mails: Vec<AcceptedMail>,
    pub(super) account: Account,
    pub(super) account_calls: usize,
    pub(super) templates: Templates,
    pub(super) setup: Setup,
    message_ids: u64,
    /// How often the calls were cleared: what is under way from before belongs nowhere.
    generation: u64,
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) held: bool,
    pub(super) releases: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) status: u16,
    pub(super) error: Option<String>,
    pub(super) body: Value,
}

impl Account {
    pub(super) fn quota(max_send_rate: f64, max_24_hour_send: i64) -> Account {
        let quota = json!({
            "Max24HourSend": max_24_hour_send,
            "MaxSendRate": max_send_rate,
            "SentLast24Hours": 0,
        });
        let body = json!({
            "SendQuota": quota,
            "SendingEnabled": true,
            "ProductionAccessEnabled": true,
            "EnforcementStatus": "HEALTHY",
        });
        Account { status: 200, error: None, body }
    }
}

impl Default for Account {
    fn default() -> Account {
        Account::quota(14.0, 50_000)
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Option<Script>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes those who wait for it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// The state when `met` holds, or when the time is up.
    pub(super) fn wait(
        &self,
        timeout: Duration,
        met: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !met(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The reply to `call`: what is ordered goes first, then the script, then success.
    pub(super) fn reply_to(&self, call: &Call) -> Reply {
        let ordered = self.lock().ordered.pop_front();
        ordered.or_else(|| self.script().as_mut().map(|script| script(call))).unwrap_or(Reply::Ok)
    }
}

impl State {
    /// Records a call and numbers it.
    pub(super) fn arrived(&mut self, mut call: Call) -> (Ticket, Call) {
        call.number = self.calls.len() + 1;
        self.calls.push(call.clone());
        (Ticket { index: self.calls.len() - 1, generation: self.generation }, call)
    }

    /// Accepts an entry of a call; the message id. A mail that cannot be rendered is accepted, and
    /// never seen again.
    pub(super) fn accept(&mut self, ticket: Ticket, call: &Call, index: usize) -> String {
        self.message_ids += 1;
        let message_id = format!("01000000-{:012x}-000000", self.message_ids);
        let entry = &call.entries[index];
        let data = entry.data.as_deref().unwrap_or(&Value::Null);
        let rendered = self.templates.render(&call.template, data);
        if rendered == Some(None) {
            return message_id;
        }
        self.mails.push(AcceptedMail {
            to: entry.to.clone(),
            template: call.template.clone(),
            data: entry.data.clone().unwrap_or_default(),
            tags: entry.tags.clone(),
            config_set: call.config_set.clone(),
            from: call.from.clone(),
            call: call.number,
            at: Instant::now(),
            message_id: message_id.clone(),
            rendered: rendered.flatten(),
        });
        if let Some(recorded) = self.recorded(ticket) {
            recorded.accepted.push(index);
        }
        message_id
    }

    /// Records that a call is being answered.
    pub(super) fn answered(&mut self, ticket: Ticket, status: u16) {
        if let Some(recorded) = self.recorded(ticket) {
            recorded.answered = Some(status);
        }
    }

    fn recorded(&mut self, ticket: Ticket) -> Option<&mut Call> {
        if ticket.generation != self.generation {
            return None;
        }
        self.calls.get_mut(ticket.index)
    }

    pub(super) fn clear(&mut self) {
        self.generation += 1;
        self.ordered.clear();
        self.calls.clear();
        self.mails.clear();
        self.account_calls = 0;
        self.templates.calls.clear();
    }
}

/// Where a call is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    index: usize,
    generation: u64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
