//! stdout, which is data: results, a line each, or a JSON object a line.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context;
use daemon::exit::{Exit, ExitExt};
use serde::Serialize;

/// A row of a table.
pub trait Row: Serialize {
    /// What stands above the columns.
    const HEADINGS: &'static [&'static str];
    /// What stands in them, in the same order.
    fn cells(&self) -> Vec<String>;
}

/// Text of a stranger, in a sentence or a cell: what would move the cursor, begin a line or turn the
/// direction of what follows is shown by its number. JSON has it as it is.
pub fn printable(text: &str) -> Cow<'_, str> {
    shown(text, is_dangerous)
}

fn shown(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return Cow::Borrowed(text);
    }
    let show = |c: char| if hidden(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(show).collect())
}

/// Control characters, other ends of a line, marks that turn or join the text around them.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Where results go. Every line is written at once, so that what was said has happened.
pub struct Output<'a>(Box<dyn Write + 'a>);

impl Output<'_> {
    /// The process's own.
    pub fn stdout() -> Output<'static> {
        Output(Box::new(io::stdout()))
    }

    /// Somewhere else.
    pub fn to<'a>(writer: impl Write + 'a) -> Output<'a> {
        Output(Box::new(writer))
    }

    /// One line, or some. Nothing in it reaches beyond its place; that no stranger's text begins a line
    /// is [`printable`]'s to see to.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn line(&mut self, text: impl Display) -> anyhow::Result<()> {
        let text = text.to_string();
        let text = shown(&text, |c| is_dangerous(c) && !matches!(c, '\n' | '\t'));
        self.write(&format!("{text}\n"))
    }

    /// Text that has its line breaks already.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn text(&mut self, text: &str) -> anyhow::Result<()> {
        self.write(text)
    }

    /// One object, on a line.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.write(&(serde_json::to_string(value)? + "\n"))
    }

    /// Rows of one kind: a table for people, or a JSON object a line.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn rows<R: Row>(&mut self, rows: &[R], json: bool) -> anyhow::Result<()> {
        if json {
            return rows.iter().try_for_each(|row| self.json(row));
        }
        if rows.is_empty() {
            return self.line("none");
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING).set_header(R::HEADINGS);
        let cell = |cell: String| printable(&cell).into_owned();
        table.add_rows(rows.iter().map(|row| row.cells().into_iter().map(cell)));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().try_for_each(|line| self.line(line.trim_end()))
    }

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let written = self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush());
        written.context("write to stdout").exit(Exit::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_stays_and_what_is_not_is_shown_by_its_number() {
        assert!(matches!(printable("Zoë, O'Brien <z@例え.jp>"), Cow::Borrowed(_)));
        for (text, shown) in [
            ("a\nb\r\t", r"a\nb\r\t"),
            ("\x1b[2J\u{9b}", r"\u{1b}[2J\u{9b}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}", r"\u{202a}\u{202e}\u{2066}\u{2069}"),
            ("\u{200e}\u{200f}\u{2028}", r"\u{200e}\u{200f}\u{2028}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_line_keeps_its_breaks_and_nothing_else_that_moves() {
        let mut said = Vec::new();
        Output::to(&mut said).line("a\nb\x1b[1A\u{202e}").unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "a\nb\\u{1b}[1A\\u{202e}\n");
    }
}
