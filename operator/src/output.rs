//! stdout, which is data: results, a line each, or a JSON object a line.

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

    /// One line.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn line(&mut self, text: impl Display) -> anyhow::Result<()> {
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
        table.add_rows(rows.iter().map(Row::cells));
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
