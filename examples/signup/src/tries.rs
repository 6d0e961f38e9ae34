//! Counts wrong codes, because five digits are soon guessed by somebody who has a link and no code.
//!
//! In memory, so for one process; an application that runs several keeps the count where they all see
//! it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mailroom::Secret;

/// Wrong codes that a link forgives.
pub const TRIES_MAX: u8 = 5;
/// Links remembered. Whoever makes up a link adds one, so there must be an end to it: when it is
/// reached all is forgotten, which gives five more tries for ten thousand requests.
const LINKS_MAX: usize = 10_000;

/// How often the code of each link was wrong.
#[derive(Debug, Default)]
pub struct Tries {
    wrong: Mutex<HashMap<Secret, u8>>,
}

impl Tries {
    /// Counts a try before it is made, so that many at once are no more than many in turn. Whether it
    /// may be made.
    pub fn allow(&self, link: &Secret) -> bool {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= LINKS_MAX && !wrong.contains_key(link) {
            wrong.clear();
        }
        let tries = wrong.entry(*link).or_default();
        *tries = tries.saturating_add(1);
        *tries <= TRIES_MAX
    }

    /// It was right.
    pub fn forget(&self, link: &Secret) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).remove(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_forgives_five_wrong_codes_and_others_have_their_own() {
        let tries = Tries::default();
        let (one, two) = (Secret::from([1; 32]), Secret::from([2; 32]));
        for _ in 0..TRIES_MAX {
            assert!(tries.allow(&one));
        }
        assert!(!tries.allow(&one));
        assert!(tries.allow(&two));
        tries.forget(&one);
        assert!(tries.allow(&one));
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let tries = Tries::default();
        for n in 0..=LINKS_MAX {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            assert!(tries.allow(&Secret::from(bytes)));
        }
        assert_eq!(tries.wrong.lock().unwrap().len(), 1);
    }
}
