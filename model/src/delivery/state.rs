//! What the model remembers: the database, the processes, what is on its way between them, and the
//! history that the promises are judged by.

use super::bounds::Faults;

/// A holder number; 0 is nobody.
pub(crate) type Number = u8;
/// A mail that the provider accepted, counted per token from 0.
pub(crate) type MailId = u8;

/// One of our processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Process {
    /// A collector.
    Collector(usize),
    /// A sender.
    Sender(usize),
}

/// `deliveries.state`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum RowState {
    Pending,
    Dispatched,
    Sending,
}

/// A row of `deliveries`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Row {
    pub(crate) state: RowState,
    pub(crate) holder: Number,
    /// `due_at <= now()`.
    pub(crate) due: bool,
    /// `dispatched_at` is not later than the `claimed_at` that its collector knows.
    pub(crate) answered: bool,
    /// A transaction that is open has locked it.
    pub(crate) locked: bool,
    pub(crate) ambiguities: u8,
    /// What a crash of the database may bring back: the row before its last commit, and before all
    /// since one was durable.
    pub(crate) before: Option<Before>,
    pub(crate) durable: Option<Before>,
}

/// The part of a [`Row`] that statements change which nobody waits to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Before {
    pub(crate) state: RowState,
    pub(crate) holder: Number,
    pub(crate) answered: bool,
    pub(crate) ambiguities: u8,
}

impl Row {
    pub(crate) const NEW: Self = Self {
        state: RowState::Pending,
        holder: 0,
        due: true,
        answered: false,
        locked: false,
        ambiguities: 0,
        before: None,
        durable: None,
    };

    pub(crate) fn release(&mut self) {
        self.state = RowState::Pending;
        self.holder = 0;
        self.answered = false;
    }

    pub(crate) fn is_held_by(&self, state: RowState, holder: Number) -> bool {
        self.state == state && self.holder == holder
    }
}

/// Why a token is good for nothing any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Dead {
    Consumed,
    Expired,
}

/// A token and its account.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Token {
    pub(crate) dead: Option<Dead>,
    pub(crate) address: u8,
}

/// A row of `holders`, and the backend that holds its lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Session {
    pub(crate) owner: Process,
    /// The backend lives, and so the lock is held.
    pub(crate) alive: bool,
    /// The client still uses it. Alive without a client: a half-open connection.
    pub(crate) client: bool,
    /// Its lock has been found free for 30 s.
    pub(crate) grace_over: bool,
    /// A statement that has reached a half-open connection's backend and has not run yet.
    pub(crate) late: Option<Late>,
}

/// See [`Session::late`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Late {
    Claim {
        token: usize,
    },
    Begin {
        line: Line,
    },
    /// `running`: it has looked at the log, and has not committed.
    Settle {
        settlement: Settlement,
        numbers: u16,
        running: bool,
    },
    Relabel {
        former: u16,
        in_call: u8,
    },
}

/// A line on its way; batches of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Line {
    pub(crate) token: usize,
    pub(crate) address: u8,
}

/// Where a collector is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CollectorAt {
    Down,
    /// It runs, and has no connection.
    Away,
    /// Connected; a former session is to be taken over.
    Connected,
    /// The take-over has locked its rows and not committed.
    TakingOver,
    /// The take-over has committed; its answer is on the way.
    TakenOver,
    Ready,
    /// A claim has committed; its answer is on the way.
    Claimed(Line),
    /// Only without [`claim_commits_first`](super::Guards::claim_commits_first): the line is written
    /// and the claim is not committed.
    Uncommitted(Line),
    /// A sweep has found out who is gone (or, without the guard, who lives) and what to release.
    Sweeping {
        numbers: u16,
        rows: u8,
    },
}

/// A collector.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Collector {
    pub(crate) at: CollectorAt,
    pub(crate) session: Number,
    /// The numbers to take over from, as bits.
    pub(crate) former: u16,
    /// A claim whose answer has come and whose line is not written.
    pub(crate) hand: Option<Line>,
    /// Nobody reads its lines any more.
    pub(crate) reader_gone: bool,
}

/// Where a sender is: its ledger's phase.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum SenderAt {
    Down,
    Away,
    /// Connected; the former session is to be ended.
    Fencing,
    /// Results can be recorded.
    Settling,
    /// The relabelling has committed; its answer is on the way.
    Relabelled,
    Ready,
}

/// A sender.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Sender {
    pub(crate) at: SenderAt,
    pub(crate) session: Number,
    /// The numbers to take over from, as bits.
    pub(crate) former: u16,
    /// Every number this process has had.
    pub(crate) numbers: u16,
    /// SIGSTOP.
    pub(crate) stopped: bool,
    pub(crate) calls: Vec<Call>,
}

/// What a sender does about one mail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Call {
    pub(crate) line: Line,
    pub(crate) stage: Stage,
}

impl Call {
    pub(crate) fn settlement(&self, outcome: Outcome) -> Settlement {
        Settlement { token: self.line.token, outcome }
    }
}

/// What is to be recorded about a [`Call`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Settlement {
    pub(crate) token: usize,
    pub(crate) outcome: Outcome,
}

/// How far a [`Call`] is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    /// Read from the pipe.
    Line,
    /// Only without [`begin_locks`](super::Guards::begin_locks): looked at, not yet taken.
    Seen,
    /// Begin has committed; its answer is on the way.
    Begun { granted: bool },
    /// The answer has come.
    Granted { session: Number, fresh: bool },
    /// The provider has decided; its answer is on the way.
    InCall(Outcome),
    /// The answer has come, or never will.
    Result(Outcome),
    /// Settle has committed; its answer is on the way.
    Recorded(Outcome),
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Outcome {
    Sent(MailId),
    /// Provably not sent.
    Again,
    /// May have been sent: `Some` if it was.
    Ambiguous(Option<MailId>),
    Failed,
}

impl Outcome {
    /// The mail that the provider has accepted, whether the sender knows it or not.
    pub(crate) fn accepted(self) -> Option<MailId> {
        match self {
            Self::Sent(mail) => Some(mail),
            Self::Ambiguous(mail) => mail,
            Self::Again | Self::Failed => None,
        }
    }
}

/// A final outcome in `delivery_log` other than `sent`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Over {
    Skipped,
    Failed,
    Unconfirmed,
}

/// A mail that must never go out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Wrong {
    DeadLink,
    OldAddress,
    KnownToBeSent,
}

/// What the promises to one token are judged by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct History {
    /// Mails that the provider accepted.
    pub(crate) accepted: u8,
    /// How many of them a crash, a lost answer or 30 s out of reach kept from being recorded in time.
    pub(crate) excuses: u8,
    /// Bits of the mails with a `sent` row in the log.
    pub(crate) sent: u8,
    /// `sent` rows in the log.
    pub(crate) sent_rows: u8,
    /// The sender has read that the record is durable.
    pub(crate) known: bool,
    pub(crate) over: Option<Over>,
    /// `ambiguous` rows in the log, when there is no row any more to count them.
    pub(crate) ambiguities: u8,
    /// The most there were when a mail was accepted.
    pub(crate) ambiguities_then: u8,
    /// Begin has granted what it must not.
    pub(crate) wrong: Option<Wrong>,
}

/// A state of the delivery protocol.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub(crate) rows: Vec<Option<Row>>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) history: Vec<History>,
    /// Number n is at n − 1.
    pub(crate) sessions: Vec<Session>,
    pub(crate) pipes: Vec<Vec<Line>>,
    pub(crate) collectors: Vec<Collector>,
    pub(crate) senders: Vec<Sender>,
    pub(crate) left: Faults,
}

impl State {
    /// `ambiguous` rows in the log.
    pub(crate) fn ambiguities(&self, token: usize) -> u8 {
        self.rows[token].map_or(self.history[token].ambiguities, |row| row.ambiguities)
    }

    pub(crate) fn session(&self, number: Number) -> Option<&Session> {
        self.sessions.get(usize::from(number).checked_sub(1)?)
    }

    pub(crate) fn session_mut(&mut self, number: Number) -> Option<&mut Session> {
        self.sessions.get_mut(usize::from(number).checked_sub(1)?)
    }

    pub(crate) fn is_alive(&self, number: Number) -> bool {
        self.session(number).is_some_and(|session| session.alive)
    }

    pub(crate) fn end(&mut self, number: Number) {
        if let Some(session) = self.session_mut(number) {
            session.alive = false;
            session.client = false;
            session.late = None;
        }
    }

    pub(crate) fn open(&mut self, owner: Process) -> Number {
        self.sessions.push(Session {
            owner,
            alive: true,
            client: true,
            grace_over: false,
            late: None,
        });
        self.sessions.len() as Number
    }

    /// Whether a sender's session lives, as a sweep sees it.
    pub(crate) fn a_sender_lives(&self) -> bool {
        self.sessions.iter().any(|s| s.alive && matches!(s.owner, Process::Sender(_)))
    }

    /// Whether the line of a dispatched row can still reach a sender's begin.
    pub(crate) fn is_on_its_way(&self, token: usize) -> bool {
        let carries = |line: &Line| line.token == token;
        self.pipes.iter().flatten().any(carries)
            || self.senders.iter().flat_map(|s| &s.calls).any(|call| {
                carries(&call.line)
                    && matches!(call.stage, Stage::Line | Stage::Seen | Stage::Begun { .. })
            })
            || self.collectors.iter().any(|c| {
                c.hand.as_ref().is_some_and(carries)
                    || matches!(&c.at, CollectorAt::Claimed(line) | CollectorAt::Uncommitted(line) if carries(line))
            })
    }
}

/// The bit of a holder number in a set of them.
pub(crate) fn bit(number: Number) -> u16 {
    1 << number
}
