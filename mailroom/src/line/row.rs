//! One mail to send, as it travels.

use std::fmt;

use super::{Field, FieldError, check_field};
use crate::{ActionNumber, Code, Token};

/// A row of a line: which mail, to whom, with which token. `Debug` shows the action alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Which mail.
    pub action: ActionNumber,
    /// Where it goes: 1 to 254 characters, no control characters.
    pub email: String,
    /// Whom it greets: up to 254 characters, no control characters.
    pub login: String,
    /// What it carries.
    pub token: Token,
    /// The code, printed for every action that has one; an empty field if it has none.
    pub code: Option<Code>,
}

impl Row {
    /// A row that [`write`](super::write()) may write.
    ///
    /// # Errors
    /// [`FieldError`] if [`check_field`] refuses the email address or the login.
    pub fn new(
        action: ActionNumber,
        email: impl Into<String>,
        login: impl Into<String>,
        token: Token,
        code: Option<Code>,
    ) -> Result<Self, FieldError> {
        let row = Self { action, email: email.into(), login: login.into(), token, code };
        check_field(Field::Email, &row.email)?;
        check_field(Field::Login, &row.login)?;
        Ok(row)
    }

    /// Bytes the row takes in a line, with the comma or `\n` after it: a line is as long as the sum
    /// of its rows.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        let action = match self.action.get() {
            ..10 => 1,
            10..100 => 2,
            100..1_000 => 3,
            1_000..10_000 => 4,
            10_000.. => 5,
        };
        let code = self.code.map_or(0, |code| code.as_bytes().len());
        let separators = super::FIELDS_PER_ROW;
        action
            + text_bytes(&self.email)
            + text_bytes(&self.login)
            + Token::CHARS
            + code
            + separators
    }
}

/// Bytes of a text field once it is quoted, where it must be.
fn text_bytes(text: &str) -> usize {
    if text.contains([',', '"', '\r', '\n']) {
        text.len() + text.matches('"').count() + 2
    } else {
        text.len()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("action", &self.action.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(email: &str, login: &str) -> Result<Row, FieldError> {
        let token = Token::decode(&"A".repeat(86)).unwrap();
        Row::new(ActionNumber::ACTIVATION, email, login, token, "06435".parse().ok())
    }

    #[test]
    fn a_row_checks_its_text() {
        assert!(row("ada@example.com", "").is_ok());
        assert_eq!(row("", "ada"), Err(FieldError::Empty(Field::Email)));
        assert_eq!(row("a\r@b", "ada"), Err(FieldError::ControlCharacters(Field::Email)));
        assert_eq!(row("a@b", "a\nb"), Err(FieldError::ControlCharacters(Field::Login)));
    }

    #[test]
    fn debug_shows_no_person() {
        let row = row("ada@example.com", "ada").unwrap();
        assert_eq!(format!("{row:?}"), "Row { action: 1, .. }");
    }
}
