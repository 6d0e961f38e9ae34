//! stdout, which is data: results, a line each, or a JSON object a line.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context;
use daemon::exit::{Exit, ExitExt};
use serde::Serialize;

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

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let written = self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush());
        written.context("write to stdout").exit(Exit::Unavailable)
    }
}
