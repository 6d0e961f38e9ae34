//! Everything that can happen.

use super::state::Process;
use crate::Kind;

/// One step of the world. Numbers are those of processes, calls of a sender, tokens and holders.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the modules that offer them say what they are")]
pub enum Action {
    Restart(Process),
    Connect(Process),
    Notice(Process),

    LockFormer(usize),
    TakeOver(usize),
    TakenOver(usize),
    Claim(usize, usize),
    ClaimCommits(usize),
    ClaimAnswered(usize),
    Write(usize),
    Sweep(usize),
    SweepLooks(usize),
    SweepTakes(usize),
    TakeLost(usize),
    Quit(usize),

    Continue(usize),
    Fence(usize),
    Relabel(usize),
    RelabelAnswered(usize),
    Read(usize),
    Begin(usize, usize),
    BeginTakes(usize, usize),
    BeginAnswered(usize, usize),
    GiveUp(usize, usize),
    HoldBack(usize, usize),
    Call(usize, usize),
    CallAnswered(usize, usize),
    Settle(usize, usize),
    SettleAnswered(usize, usize),

    SessionEnds(u8),
    LateRuns(u8),
    GraceEnds(u8),
    FallsDue(usize),

    Consume(usize),
    Expire(usize),
    Readdress(usize),

    Crash(Process),
    /// The server's side ends; the client has not noticed.
    Cut(Process),
    /// The client's side ends; the server has not noticed, and may have one more statement.
    HalfOpen(Process, Option<usize>),
    DatabaseCrash(Undone),
    Stop(usize),
    Repeat {
        from: usize,
        place: usize,
        to: usize,
    },
    DropLine {
        from: usize,
        place: usize,
    },
    TakeSlow(usize),
    Defer(usize, usize),
    Reject(usize, usize),
    AnswerLost(usize, usize),
}

impl Action {
    /// What kind of step it is.
    pub fn kind(self) -> Kind {
        match self {
            Self::Consume(_)
            | Self::Expire(_)
            | Self::Readdress(_)
            | Self::Crash(_)
            | Self::Cut(_)
            | Self::HalfOpen(..)
            | Self::DatabaseCrash(_)
            | Self::Stop(_)
            | Self::Repeat { .. }
            | Self::DropLine { .. }
            | Self::TakeSlow(_)
            | Self::Defer(..)
            | Self::Reject(..)
            | Self::AnswerLost(..) => Kind::Chance,
            _ => Kind::Progress,
        }
    }
}

/// What a crash of PostgreSQL undoes, of what each row has been through since something was durable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Undone {
    /// Nothing.
    Nothing,
    /// Its last commit.
    Last,
    /// All commits.
    All,
}
