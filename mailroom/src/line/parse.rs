//! Reading a line.

use csv::{ReaderBuilder, StringRecord, Terminator};

use super::{
    FIELDS_PER_ROW, Field, LINE_BYTES_MAX, LineError, ROWS_PER_LINE_MAX, Row, RowError, check_field,
};
use crate::{ActionNumber, Token};

/// Reads one line, with or without its `\n` or `\r\n`, into its rows: at least one.
///
/// Tokens are decoded, not verified: the sender has no key.
///
/// # Errors
/// [`LineError`] if any part of the line is not as [`write`](super::write()) makes it. Two things are
/// read though never written: quotes around a field that needs none, and a bare quote within an
/// unquoted field.
pub fn parse(line: &[u8]) -> Result<Vec<Row>, LineError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.len() >= LINE_BYTES_MAX {
        return Err(LineError::TooLong);
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.contains(&b'\n') {
        return Err(LineError::LineFeed);
    }
    let line = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    if line.is_empty() {
        return Err(LineError::Empty);
    }
    if line.starts_with('\u{feff}') {
        // csv would skip a byte order mark.
        return Err(LineError::Row { row: 1, error: RowError::Action });
    }
    match count_fields(line)? {
        fields if fields % FIELDS_PER_ROW != 0 => Err(LineError::FieldCount(fields)),
        fields if fields / FIELDS_PER_ROW > ROWS_PER_LINE_MAX => Err(LineError::TooManyRows),
        fields => read_rows(&split(line, fields)?),
    }
}

/// Counts the fields, and refuses quoting that csv would make sense of in its own way.
fn count_fields(line: &str) -> Result<usize, LineError> {
    enum At {
        FieldStart,
        Unquoted,
        Quoted,
        QuoteInQuoted,
    }
    let mut fields = 1;
    let mut at = At::FieldStart;
    for byte in line.bytes() {
        at = match (at, byte) {
            (At::FieldStart | At::QuoteInQuoted, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::QuoteInQuoted,
            (At::Quoted, _) => At::Quoted,
            (_, b',') => {
                fields += 1;
                At::FieldStart
            }
            (At::QuoteInQuoted, _) => return Err(LineError::TextAfterQuote),
            (At::FieldStart | At::Unquoted, _) => At::Unquoted,
        };
    }
    if matches!(at, At::Quoted) { Err(LineError::UnterminatedQuote) } else { Ok(fields) }
}

fn split(line: &str, count: usize) -> Result<StringRecord, LineError> {
    let mut reader =
        ReaderBuilder::new().terminator(Terminator::Any(b'\n')).from_reader(line.as_bytes());
    // Told what they are, it does not keep the first record as headers, twice.
    reader.set_headers(StringRecord::new());
    let mut fields = StringRecord::with_capacity(line.len(), count);
    reader.read_record(&mut fields).map_err(|_| LineError::NotUtf8)?;
    Ok(fields)
}

fn read_rows(fields: &StringRecord) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::with_capacity(fields.len() / FIELDS_PER_ROW);
    let mut fields = fields.iter();
    while let Some(action) = fields.next() {
        let mut next = || fields.next().unwrap_or_default();
        let (email, login, token, code) = (next(), next(), next(), next());
        let row = read_row(action, email, login, token, code)
            .map_err(|error| LineError::Row { row: rows.len() + 1, error })?;
        rows.push(row);
    }
    Ok(rows)
}

fn read_row(
    action: &str,
    email: &str,
    login: &str,
    token: &str,
    code: &str,
) -> Result<Row, RowError> {
    let action = read_action(action).ok_or(RowError::Action)?;
    check_field(Field::Email, email)?;
    check_field(Field::Login, login)?;
    let token = Token::decode(token).map_err(|_| RowError::Token)?;
    let code = match code {
        "" => None,
        code => Some(code.parse().map_err(|_| RowError::Code)?),
    };
    Ok(Row { action, email: email.to_owned(), login: login.to_owned(), token, code })
}

/// Plain decimal: what `u16` would read besides, `+1` and `01`, is no number of ours.
fn read_action(digits: &str) -> Option<ActionNumber> {
    if digits.starts_with(['+', '0']) {
        return None;
    }
    ActionNumber::new(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str =
        "EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZaCAuJvbeTjsK4wavjBwSAeoQ";

    fn reason(line: impl AsRef<[u8]>) -> String {
        parse(line.as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn the_end_of_the_line_is_optional() {
        let line = format!("1,a@b.c,ada,{TOKEN},06435");
        let rows = parse(line.as_bytes()).unwrap();
        assert_eq!(rows.len(), 1);
        for end in ["\n", "\r\n", "\r"] {
            assert_eq!(parse(format!("{line}{end}").as_bytes()).unwrap(), rows, "{end:?}");
        }
    }

    #[test]
    fn a_bound_is_refused_one_past_it() {
        let row = format!("1,a@b.c,ada,{TOKEN},06435");
        let full = vec![row.as_str(); ROWS_PER_LINE_MAX].join(",");
        assert_eq!(parse(full.as_bytes()).unwrap().len(), ROWS_PER_LINE_MAX);
        assert_eq!(reason(format!("{full},{row}")), "more than 1000 rows");

        let longest = "x".repeat(LINE_BYTES_MAX - 1);
        assert_eq!(reason(format!("{longest}\n")), "1 fields, not a multiple of 5");
        assert_eq!(reason(format!("{longest}x\n")), "line is longer than 262144 bytes");
        assert_eq!(reason(format!("{longest}x")), "line is longer than 262144 bytes");
    }

    #[test]
    fn the_row_is_named() {
        let good = format!("1,a@b.c,ada,{TOKEN},06435");
        let bad = format!("1,a@b.c,ada,{TOKEN}=,06435");
        let expected = "row 3: token is not 86 characters of valid base64url";
        assert_eq!(reason(format!("{good},{good},{bad},{bad}\n")), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut line = format!("1,a@b.c,ada,{TOKEN},06435\n").into_bytes();
        line.splice(2..3, [0xff]);
        assert_eq!(reason(line), "line is not UTF-8");
    }
}
