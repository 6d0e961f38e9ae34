//! Why a line is refused. Says where and what, never a field's contents: it may be logged.

use super::{FIELDS_PER_ROW, FieldError, LINE_BYTES_MAX, ROWS_PER_LINE_MAX};

/// A line that is not ours. None of its rows can be trusted, so none is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// More than [`LINE_BYTES_MAX`] bytes.
    #[error("line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// More than one line, or a line feed within a quoted field.
    #[error("line feed inside the line")]
    LineFeed,
    /// No text at all.
    #[error("line is not UTF-8")]
    NotUtf8,
    /// Nothing before the line's end.
    #[error("line has no rows")]
    Empty,
    /// A quoted field that the line's end cuts off.
    #[error("unterminated quote")]
    UnterminatedQuote,
    /// `"a"b`: a quoted field that goes on after its quote.
    #[error("text after a closing quote")]
    TextAfterQuote,
    /// Some row has fields missing, or too many.
    #[error("{0} fields, not a multiple of {FIELDS_PER_ROW}")]
    FieldCount(usize),
    /// More than [`ROWS_PER_LINE_MAX`] rows.
    #[error("more than {ROWS_PER_LINE_MAX} rows")]
    TooManyRows,
    /// The first row that is wrong, and how.
    #[error("row {row}: {error}")]
    Row {
        /// Which row of the line, counted from 1.
        row: usize,
        /// What is wrong with it.
        error: RowError,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// Zero, too large, or no plain decimal number (`01`, `+1`).
    #[error("action is not a number from 1 to 32767")]
    Action,
    /// The email address or the login.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Not what [`Token::decode`](crate::Token::decode) takes.
    #[error("token is not 86 characters of valid base64url")]
    Token,
    /// Neither empty nor five digits.
    #[error("code is not five digits")]
    Code,
}
