//! The wire line: a batch of rows, as the collector writes it and the sender reads it.
//!
//! `action,email,login,token,code` for each row, joined by commas, one `\n` at the end. A field with
//! a comma or a quote is quoted by the CSV rules (RFC 4180); all others stand as they are.
//!
//! ```
//! use mailroom::line::{self, Row};
//! use mailroom::{Action, Secret, SecretKey, sign};
//!
//! let key: SecretKey = "deadbeef".repeat(8).parse()?;
//! let action = Action::activation();
//! let token = sign(&key, &action, &Secret::from([0x11; 32]), None)?;
//! let rows = vec![Row::new(action.number(), "ada@example.com", "Ada, Countess", token, None)?];
//!
//! let mut out = Vec::new();
//! for rows in line::lines(&rows) {
//!     line::write(rows, &mut out);
//! }
//! assert!(out.starts_with(br#"1,ada@example.com,"Ada, Countess",ERER"#));
//! assert_eq!(line::parse(&out)?, rows);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod field;
mod parse;
mod row;
mod write;

pub use error::{LineError, RowError};
pub use field::{Field, FieldError, check_field};
pub use parse::parse;
pub use row::Row;
pub use write::{lines, write};

/// The longest line, with its `\n`. [`lines`] keeps below it, [`parse`] refuses more.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

/// The most rows a line may hold. [`lines`] keeps to it, [`parse`] refuses more.
pub const ROWS_PER_LINE_MAX: usize = 1000;

/// The longest email address or login: the database's `varchar(254)`.
pub const FIELD_CHARS_MAX: usize = 254;

/// The same in bytes, if every character takes four.
pub const FIELD_BYTES_MAX: usize = FIELD_CHARS_MAX * 4;

/// Fields of a row: action, email, login, token, code.
const FIELDS_PER_ROW: usize = 5;
