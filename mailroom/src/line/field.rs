//! What an email address or a login must be to travel in a line.

use std::fmt;

use super::FIELD_CHARS_MAX;

/// A field whose text comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `accounts.email`
    Email,
    /// `accounts.login`
    Login,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "email",
            Self::Login => "login",
        })
    }
}

/// Why a field cannot travel. Names the field, never its contents: it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Nobody to send to. A login may be empty.
    #[error("{0} is empty")]
    Empty(Field),
    /// A C0 or C1 control character, DEL, U+2028 or U+2029: it would end a line, here, in a header
    /// or in a log.
    #[error("{0} has control characters")]
    ControlCharacters(Field),
    /// More than [`FIELD_CHARS_MAX`] characters.
    #[error("{0} has more than {FIELD_CHARS_MAX} characters")]
    TooLong(Field),
}

/// Whether `value` may travel as `field`. The collector asks before it writes a row, and keeps the
/// answer as the reason of the failed delivery; [`Row::new`](super::Row::new) and
/// [`parse`](super::parse()) ask too.
///
/// # Errors
/// The first of: empty (an email address only), too long, control characters.
pub fn check_field(field: Field, value: &str) -> Result<(), FieldError> {
    if value.is_empty() && field == Field::Email {
        return Err(FieldError::Empty(field));
    }
    // A character has at least one byte.
    if value.len() > FIELD_CHARS_MAX && value.chars().nth(FIELD_CHARS_MAX).is_some() {
        return Err(FieldError::TooLong(field));
    }
    let broken = if value.is_ascii() {
        value.bytes().any(|byte| byte.is_ascii_control())
    } else {
        value.chars().any(breaks_lines)
    };
    if broken {
        return Err(FieldError::ControlCharacters(field));
    }
    Ok(())
}

fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_wherever_they_stand() {
        for c in ('\0'..=' ').chain('\u{7e}'..='\u{a0}').chain('\u{2027}'..='\u{202a}') {
            let refused =
                matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
            for value in [format!("{c}ab"), format!("a{c}b"), format!("ab{c}"), format!("é{c}")] {
                assert_eq!(check_field(Field::Login, &value).is_err(), refused, "{c:?}");
            }
        }
    }

    #[test]
    fn length_counts_characters() {
        for c in ["a", "é", "字", "🦀"] {
            assert_eq!(check_field(Field::Email, &c.repeat(254)), Ok(()));
            let longer = c.repeat(255);
            let error = FieldError::TooLong(Field::Email);
            assert_eq!(check_field(Field::Email, &longer), Err(error));
        }
    }

    #[test]
    fn only_a_login_may_be_empty() {
        assert_eq!(check_field(Field::Login, ""), Ok(()));
        assert_eq!(check_field(Field::Email, ""), Err(FieldError::Empty(Field::Email)));
    }

    #[test]
    fn reasons_read_as_sentences_and_echo_nothing() {
        let login = check_field(Field::Login, "private\n").unwrap_err();
        assert_eq!(login.to_string(), "login has control characters");
        let long = check_field(Field::Email, &"private".repeat(50)).unwrap_err();
        assert_eq!(long.to_string(), "email has more than 254 characters");
        assert_eq!(FieldError::Empty(Field::Email).to_string(), "email is empty");
    }
}
