//! The five digits a recipient can type.

use std::{fmt, str::FromStr};

/// Exactly five ASCII digits; leading zeros count. `tokens.code` in the database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; 5]);

impl Code {
    /// The digits, five characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Digits are UTF-8, so the default is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 5] {
        &self.0
    }
}

impl FromStr for Code {
    type Err = InvalidCode;

    fn from_str(digits: &str) -> Result<Self, InvalidCode> {
        let digits: [u8; 5] = digits.as_bytes().try_into().map_err(|_| InvalidCode)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(digits)) } else { Err(InvalidCode) }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// What was given is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code is exactly five digits")]
pub struct InvalidCode;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_digits_are_kept_as_they_are() {
        for digits in ["00000", "06435", "99999"] {
            assert_eq!(digits.parse::<Code>().unwrap().as_str(), digits);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "1234", "123456", "#####", "+1234", "1234 ", "12é4", "١٢", "1234\n"] {
            assert_eq!(bad.parse::<Code>(), Err(InvalidCode), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", "06435".parse::<Code>().unwrap()), "Code(..)");
    }
}
