//! Writing a line.

use std::fmt::Write as _;

use csv::{QuoteStyle, Terminator, WriterBuilder};

use super::{LINE_BYTES_MAX, ROWS_PER_LINE_MAX, Row};
use crate::Token;

/// What the CSV writer holds back at most, in bytes: its default.
const BUFFER_BYTES_MAX: usize = 8 * 1024;

/// Appends one line with all `rows`, `\n` included; nothing if there are none.
///
/// The rows are as [`Row::new`] makes them, and [`lines`] has seen to it that they fit in a line.
pub fn write(rows: &[Row], out: &mut Vec<u8>) {
    if rows.is_empty() {
        return;
    }
    let bytes = rows.iter().map(Row::wire_bytes).sum();
    out.reserve(bytes);
    let written = write_record(rows, bytes, out);
    debug_assert!(written.is_ok(), "a Vec takes all that is written to it");
}

fn write_record(rows: &[Row], bytes: usize, out: &mut Vec<u8>) -> csv::Result<()> {
    let mut line = WriterBuilder::new()
        // It is zeroed for each line, and most are short.
        .buffer_capacity(bytes.min(BUFFER_BYTES_MAX))
        .terminator(Terminator::Any(b'\n'))
        .quote_style(QuoteStyle::Necessary)
        .from_writer(out);
    let mut action = String::new();
    let mut token = String::with_capacity(Token::CHARS);
    for row in rows {
        action.clear();
        token.clear();
        // A String takes all that is written to it.
        _ = write!(action, "{}", row.action);
        row.token.encode_into(&mut token);
        line.write_field(&action)?;
        line.write_field(&row.email)?;
        line.write_field(&row.login)?;
        line.write_field(&token)?;
        line.write_field(row.code.as_ref().map_or("", |code| code.as_str()))?;
    }
    line.write_record(None::<&[u8]>)?;
    line.flush()?;
    Ok(())
}

/// Cuts `rows` into runs, in order, each of which makes a line of at most [`LINE_BYTES_MAX`] bytes
/// and [`ROWS_PER_LINE_MAX`] rows.
pub fn lines(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fit = |row: &&Row| {
            bytes += row.wire_bytes();
            bytes <= LINE_BYTES_MAX
        };
        let rows = rest.iter().take(ROWS_PER_LINE_MAX).take_while(fit).count();
        // At least one, or a row too long for any line would keep us here for ever.
        let (line, later) = rest.split_at_checked(rows.max(1))?;
        rest = later;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActionNumber;

    const TOKEN: &str =
        "EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZaCAuJvbeTjsK4wavjBwSAeoQ";

    fn row(email: &str, login: &str, code: &str) -> Row {
        let token = Token::decode(TOKEN).unwrap();
        Row::new(ActionNumber::ACTIVATION, email, login, token, code.parse().ok()).unwrap()
    }

    fn written(rows: &[Row]) -> String {
        let mut out = Vec::new();
        write(rows, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ordinary_rows_stand_as_they_are() {
        let rows = [row("a@b.c", "ada", "06435"), row("x@y.z", " #字'; ", "")];
        let line = format!("1,a@b.c,ada,{TOKEN},06435,1,x@y.z, #字'; ,{TOKEN},\n");
        assert_eq!(written(&rows), line);
    }

    #[test]
    fn commas_and_quotes_are_quoted() {
        let rows = [row("\"a,b\"@c.d", "\"", "06435"), row("a@b.c", "a\"b", "06435")];
        let line = format!(
            "1,\"\"\"a,b\"\"@c.d\",\"\"\"\",{TOKEN},06435,1,a@b.c,\"a\"\"b\",{TOKEN},06435\n"
        );
        assert_eq!(written(&rows), line);
    }

    #[test]
    fn write_appends_and_no_rows_are_no_line() {
        let mut out = b"before\n".to_vec();
        write(&[], &mut out);
        assert_eq!(out, b"before\n");
        write(&[row("a@b.c", "", "")], &mut out);
        assert_eq!(out, format!("before\n1,a@b.c,,{TOKEN},\n").into_bytes());
    }

    #[test]
    fn lines_keep_to_both_bounds_and_lose_no_row() {
        let small = vec![row("a@b.c", "ada", "06435"); 2 * ROWS_PER_LINE_MAX + 1];
        let counts: Vec<_> = lines(&small).map(<[Row]>::len).collect();
        assert_eq!(counts, [ROWS_PER_LINE_MAX, ROWS_PER_LINE_MAX, 1]);

        let large = vec![row(&"🦀".repeat(254), &"\"".repeat(254), "06435"); 500];
        let mut rows = 0;
        for line in lines(&large) {
            assert!(written(line).len() <= LINE_BYTES_MAX);
            rows += line.len();
        }
        assert_eq!(rows, large.len());
        assert_eq!(lines(&[]).count(), 0);
    }

    #[test]
    fn a_row_of_our_making_that_fits_nowhere_still_moves_on() {
        let mut giant = row("a@b.c", "", "");
        giant.login = "x".repeat(LINE_BYTES_MAX);
        let counts: Vec<_> = lines(&[giant.clone(), giant]).map(<[Row]>::len).collect();
        assert_eq!(counts, [1, 1]);
    }
}
