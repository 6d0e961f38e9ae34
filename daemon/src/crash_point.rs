//! Named points where a test can make the process die or stall, so that what a crash between two
//! lines leaves behind is seen and not argued. Only debug builds have them; in a release they are
//! nothing at all.
//!
//! `MAILROOM_CRASH_POINT=begun:die` kills the process, as `kill -9` does, the first time it comes by
//! `begun`; `begun:stall:3` stops it, as SIGSTOP does, the third time. A list of both halves' points
//! is in `docs/ARCHITECTURE.md`, a row each with what is left and who mends it.

/// Marks a point. The name says what has just happened.
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::crash_point::reached($name);
    };
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Wish {
        pub(super) name: String,
        pub(super) signal: Signal,
        pub(super) nth: u32,
    }

    static WISH: OnceLock<Option<Wish>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);

    /// Whether this point is the one a test has chosen.
    pub fn is_chosen(name: &str) -> bool {
        let wish = WISH.get_or_init(|| {
            std::env::var("MAILROOM_CRASH_POINT").ok().and_then(|text| parse(&text))
        });
        wish.as_ref().is_some_and(|wish| wish.name == name)
    }

    /// Called by [`crash_point!`](crate::crash_point!).
    pub fn reached(name: &'static str) {
        if !is_chosen(name) {
            return;
        }
        let Some(Some(wish)) = WISH.get() else { return };
        if PASSED.fetch_add(1, Ordering::Relaxed) + 1 == wish.nth {
            tracing::info!(name, "crash_point");
            _ = kill_process(getpid(), wish.signal);
        }
    }

    pub(super) fn parse(text: &str) -> Option<Wish> {
        let mut parts = text.split(':');
        let name = parts.next()?.to_owned();
        let signal = match parts.next()? {
            "die" => Signal::KILL,
            "stall" => Signal::STOP,
            _ => return None,
        };
        let nth = parts.next().map_or(Some(1), |nth| nth.parse().ok())?;
        Some(Wish { name, signal, nth })
    }
}

#[cfg(debug_assertions)]
pub use armed::{is_chosen, reached};

#[cfg(all(test, debug_assertions))]
mod tests {
    use rustix::process::Signal;

    use super::armed::{Wish, parse};

    #[test]
    fn a_wish_names_a_point_what_to_do_and_when() {
        let wish = |name: &str, signal, nth| Some(Wish { name: name.to_owned(), signal, nth });
        assert_eq!(parse("begun:die"), wish("begun", Signal::KILL, 1));
        assert_eq!(parse("begun:stall:3"), wish("begun", Signal::STOP, 3));
        for nonsense in ["", "begun", "begun:explode", "begun:die:soon"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
