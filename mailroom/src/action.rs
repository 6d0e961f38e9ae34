//! What a token allows: the number it has on the wire, and what its signature covers.

use std::fmt;

/// An action's number on the wire: 1..=32767, the positive half of PostgreSQL's `smallint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionNumber(u16);

impl ActionNumber {
    /// Activation of a new account.
    pub const ACTIVATION: Self = Self(1);
    /// Recovery of a forgotten password.
    pub const PASSWORD_RECOVERY: Self = Self(2);

    /// `None` outside 1..=32767.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number >= 1 && number <= i16::MAX.cast_unsigned() { Some(Self(number)) } else { None }
    }

    /// The number itself, 1..=32767.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ActionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One kind of mail, as far as the signature is concerned. A row of the table `actions`.
///
/// The path and the choice to sign the code bind a token to its action; the number is not signed.
/// Two actions that share both accept each other's tokens, so give each a path of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    number: ActionNumber,
    path: String,
    signs_code: bool,
}

impl Action {
    /// An action of the deployment's own.
    ///
    /// # Errors
    /// `path` must be 2 to 64 bytes of visible ASCII (0x21..=0x7E) and start with a slash.
    pub fn new(
        number: ActionNumber,
        path: impl Into<String>,
        code_signed: bool,
    ) -> Result<Self, InvalidAction> {
        let path = path.into();
        let well_formed = (2..=64).contains(&path.len())
            && path.starts_with('/')
            && path.bytes().all(|byte| byte.is_ascii_graphic());
        if well_formed {
            Ok(Self { number, path, signs_code: code_signed })
        } else {
            Err(InvalidAction)
        }
    }

    /// Number 1, `/activate`; the code is mailed but not signed.
    #[must_use]
    pub fn activation() -> Self {
        Self {
            number: ActionNumber::ACTIVATION,
            path: String::from("/activate"),
            signs_code: false,
        }
    }

    /// Number 2, `/recover`; the code is signed.
    #[must_use]
    pub fn password_recovery() -> Self {
        Self {
            number: ActionNumber::PASSWORD_RECOVERY,
            path: String::from("/recover"),
            signs_code: true,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(&self) -> ActionNumber {
        self.number
    }

    /// The path the signature begins with, such as `/activate`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the signature covers the code too.
    #[must_use]
    pub fn signs_code(&self) -> bool {
        self.signs_code
    }
}

/// The path is not one an action can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an action's path is 2 to 64 visible ASCII characters and starts with a slash")]
pub struct InvalidAction;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_positive_smallints() {
        assert_eq!(ActionNumber::new(0), None);
        assert_eq!(ActionNumber::new(1), Some(ActionNumber::ACTIVATION));
        assert_eq!(ActionNumber::new(2), Some(ActionNumber::PASSWORD_RECOVERY));
        assert_eq!(ActionNumber::new(32767).map(ActionNumber::get), Some(32767));
        assert_eq!(ActionNumber::new(32768), None);
        assert_eq!(format!("{:>3}", ActionNumber::ACTIVATION), "  1");
    }

    #[test]
    fn paths_are_short_visible_and_rooted() {
        let number = ActionNumber::PASSWORD_RECOVERY;
        let longest = format!("/{}", "x".repeat(63));
        for path in ["/a", "/recover", "//", "/a,\"b", longest.as_str()] {
            let action = Action::new(number, path, true).unwrap();
            assert_eq!((action.number(), action.path(), action.signs_code()), (number, path, true));
        }
        let too_long = format!("{longest}x");
        for path in ["", "/", "a", "a/b", "/a b", "/a\n", "/ä", "/\u{7f}", too_long.as_str()] {
            assert_eq!(Action::new(number, path, true), Err(InvalidAction), "{path:?}");
        }
    }

    #[test]
    fn the_built_in_actions_are_what_new_would_make() {
        let activation = Action::new(ActionNumber::ACTIVATION, "/activate", false);
        assert_eq!(activation, Ok(Action::activation()));
        let recovery = Action::new(ActionNumber::PASSWORD_RECOVERY, "/recover", true);
        assert_eq!(recovery, Ok(Action::password_recovery()));
    }
}
