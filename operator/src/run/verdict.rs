//! What follows from the way the halves ended. Pure.

use daemon::exit::Exit;
use rustix::process::{Signal, WaitStatus};

/// How a half ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// `None` while it lives.
    pub(super) fn of(status: WaitStatus) -> Option<Self> {
        let code = status.exit_status().map(Ended::Code);
        code.or_else(|| status.terminating_signal().map(Ended::Signal))
    }

    /// What it meant to say. One that was killed, or says what none of ours says, may do better next
    /// time; but if it was `told` to stop, and that killed it, it had not come so far as to hear it.
    pub(super) fn exit(self, told: bool) -> Exit {
        let known = [Exit::Done, Exit::Input, Exit::Unavailable, Exit::Config];
        match self {
            Ended::Code(code) => known.into_iter().find(|exit| i32::from(exit.code()) == code),
            Ended::Signal(signal) => {
                (told && signal == Signal::TERM.as_raw()).then_some(Exit::Done)
            }
        }
        .unwrap_or(Exit::Unavailable)
    }
}

/// The worse of two: the one that mends itself less.
pub(super) fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit| match exit {
        Exit::Done => 0,
        Exit::Unavailable => 1,
        Exit::Input => 2,
        Exit::Config => 3,
    };
    std::cmp::max_by_key(one, other, |exit| rank(*exit))
}

/// What the end of a pair means that nobody asked for: the mail goes on, so one that ended well, since
/// somebody stopped a half alone, is no less missing.
pub(super) fn unasked(exit: Exit) -> Exit {
    match exit {
        Exit::Done | Exit::Unavailable => Exit::Unavailable,
        Exit::Input | Exit::Config => exit,
    }
}

/// Whether a pair that ended so, unasked, is started again.
pub(super) fn again(exit: Exit) -> bool {
    unasked(exit) == Exit::Unavailable
}

#[cfg(test)]
mod tests {
    use super::Ended::{self, Code};
    use super::{Exit, again, unasked, worse};

    const KILLED: Ended = Ended::Signal(9);
    const TERMINATED: Ended = Ended::Signal(15);

    #[test]
    fn the_worse_end_decides() {
        let cases = [
            (Code(0), Code(0), Exit::Done),
            // Somebody stopped the sender; the collector noticed.
            (Code(75), Code(0), Exit::Unavailable),
            (KILLED, Code(0), Exit::Unavailable),
            (Code(75), KILLED, Exit::Unavailable),
            (Code(75), Code(78), Exit::Config),
            (Code(78), Code(0), Exit::Config),
            (Code(0), Code(65), Exit::Input),
            (KILLED, Code(65), Exit::Input),
            // A panic of a debug build, say.
            (Code(101), Code(0), Exit::Unavailable),
        ];
        for (collector, sender, exit) in cases {
            for told in [false, true] {
                let exits = [collector.exit(told), sender.exit(told)];
                assert_eq!(worse(exits[0], exits[1]), exit, "{collector:?} {sender:?}");
                assert_eq!(worse(exits[1], exits[0]), exit, "{collector:?} {sender:?}");
            }
        }
    }

    #[test]
    fn to_be_stopped_before_one_has_begun_is_no_failure() {
        assert_eq!(TERMINATED.exit(true), Exit::Done);
        assert_eq!(TERMINATED.exit(false), Exit::Unavailable);
    }

    #[test]
    fn what_no_person_must_mend_is_started_again_unless_somebody_asked() {
        let all = [Exit::Done, Exit::Input, Exit::Unavailable, Exit::Config];
        assert_eq!(all.map(again), [true, false, true, false]);
        let ends = [Exit::Unavailable, Exit::Input, Exit::Unavailable, Exit::Config];
        assert_eq!(all.map(unasked), ends);
    }
}
