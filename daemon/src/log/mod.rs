//! The log: one line an event, on stderr.
//!
//! `2026-11-21T17:57:56.123Z INFO collector event=batch_emitted rows=10 lines=1`
//!
//! The message of a tracing call is the event's name, its fields are the rest:
//! `tracing::info!(rows, lines, "batch_emitted")`. Event names are an interface. Only events of our
//! own crates are shown; those of others when debugging, and then only warnings and errors. Spans are
//! not used. A log that cannot be written stops nothing.

mod line;
mod time;

use std::fmt;
use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::settings::Problems;
use line::Line;

pub use tracing::Level;

/// The crates whose events are ours: the first part of an event's target.
const OURS: [&str; 5] = ["collector", "daemon", "mailroom", "operator", "sender"];

/// How a line is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `ts level prog event=name key=value`
    #[default]
    Text,
    /// `{"ts":…,"level":…,"prog":…,"event":…,"key":value}`
    Json,
}

/// What is logged and how: `MAILROOM_LOG` and `MAILROOM_LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important level shown.
    pub level: Level,
    /// How a line is written.
    pub format: Format,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: Level::INFO, format: Format::Text }
    }
}

impl LogSettings {
    /// From what was said in `MAILROOM_LOG` (error, warn, info or debug; default info) and
    /// `MAILROOM_LOG_FORMAT` (text or json; default text).
    pub fn from_said(
        problems: &mut Problems,
        level: Option<String>,
        format: Option<String>,
    ) -> Self {
        let levels = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
        ];
        let formats = [("text", Format::Text), ("json", Format::Json)];
        let default = Self::default();
        Self {
            level: problems.one_of("MAILROOM_LOG", level, default.level, &levels),
            format: problems.one_of("MAILROOM_LOG_FORMAT", format, default.format, &formats),
        }
    }

    /// As settings, a line each.
    pub fn describe(&self) -> String {
        let format = match self.format {
            Format::Text => "text",
            Format::Json => "json",
        };
        let level = self.level.as_str().to_ascii_lowercase();
        format!("MAILROOM_LOG={level}\nMAILROOM_LOG_FORMAT={format}")
    }
}

/// Starts logging for the whole process, as `prog`. A panic is logged as one line as well
/// (`event=panicked`). A second call changes nothing.
pub fn init(prog: &'static str, level: Level, format: Format) {
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines { prog, format })
        .with_writer(io::stderr)
        .with_ansi(false)
        .log_internal_errors(false);
    let shown = FilterFn::new(move |event| is_shown(event, level))
        .with_max_level_hint(LevelFilter::from_level(level));
    let subscriber = tracing_subscriber::registry().with(lines).with(shown);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let at = panic.location().map(ToString::to_string).unwrap_or_default();
            let reason = panic.payload_as_str().unwrap_or_default();
            tracing::error!(reason, at, "panicked");
        }));
    }
}

/// A duration for the log, in whole milliseconds: a number, which a u128 is not in JSON.
pub fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Says something on stderr before there is a log, each line as `prog: line`: what is wrong with the
/// settings, say. Never fails.
pub fn complain(prog: &str, text: impl fmt::Display) {
    let mut all = String::new();
    for line in text.to_string().lines() {
        all.push_str(prog);
        all.push_str(": ");
        all.push_str(line);
        all.push('\n');
    }
    // There is nowhere left to report to.
    _ = io::stderr().write_all(all.as_bytes());
}

fn is_shown(event: &Metadata<'_>, level: Level) -> bool {
    let home = event.target().split("::").next().unwrap_or_default();
    let enough = if OURS.contains(&home) { level } else { level.min(Level::WARN) };
    let ours_or_debugging = OURS.contains(&home) || level >= Level::DEBUG;
    event.is_event() && ours_or_debugging && *event.level() <= enough
}

/// Writes an event as one line.
struct Lines {
    prog: &'static str,
    format: Format,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let ts = time::now();
        let mut line = Line::new(self.format, &ts, event.metadata().level(), self.prog);
        event.record(&mut line);
        writer.write_str(&line.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `events`, time stamps cut off.
    fn logged(level: Level, format: Format, events: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let writer = captured.clone();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(Lines { prog: "collector", format })
            .with_writer(move || writer.clone());
        let shown = FilterFn::new(move |event| is_shown(event, level));
        let subscriber = tracing_subscriber::registry().with(lines).with(shown);
        tracing::subscriber::with_default(subscriber, events);
        let bytes = captured.0.lock().expect("lock").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.lines()
            .map(|line| line.replacen(&line[line.find("20").unwrap_or(0)..][..24], "TS", 1))
            .collect()
    }

    #[test]
    fn one_line_an_event_and_the_message_is_its_name() {
        let lines = logged(Level::INFO, Format::Text, || {
            tracing::info!(rows = 10, lines = 1_u64, "batch_emitted");
            let error = anyhow::anyhow!("connection \"refused\"\nDETAIL: x").context("claim");
            tracing::warn!(error = format!("{error:#}"), held = -1, due = true, "claim_failed");
            tracing::error!(why = ?Some("x"), rate = 0.5, empty = "", host = %"db.example", "bad");
            tracing::debug!("not shown");
        });
        assert_eq!(
            lines,
            [
                "TS INFO collector event=batch_emitted rows=10 lines=1",
                r#"TS WARN collector event=claim_failed error="claim: connection \"refused\"\nDETAIL: x" held=-1 due=true"#,
                r#"TS ERROR collector event=bad why="Some(\"x\")" rate=0.5 empty="" host=db.example"#,
            ]
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let lines = logged(Level::INFO, Format::Json, || {
            tracing::info!(
                rows = 10,
                rate = f64::NAN,
                ok = true,
                why = "a\n\u{1b}[31m\u{7f}b",
                "claimed"
            );
        });
        assert_eq!(
            lines,
            [
                r#"{"ts":"TS","level":"INFO","prog":"collector","event":"claimed","rows":10,"rate":"NaN","ok":true,"why":"a\n\u001b[31m\u007fb"}"#
            ]
        );
        let parsed: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(parsed["why"], "a\n\u{1b}[31m\u{7f}b");
    }

    #[test]
    fn others_are_heard_only_when_debugging_and_only_in_trouble() {
        let events = || {
            tracing::error!(target: "aws_smithy_runtime::client", "theirs");
            tracing::info!(target: "rustls", "chatter");
            tracing::info!(target: "sender::transport", "ours");
            tracing::debug!(target: "mailroom", "detail");
            tracing::error!(target: "collectors", "theirs too");
            tracing::info_span!("collector").in_scope(|| ());
        };
        let names = |level| -> Vec<String> {
            let lines = logged(level, Format::Text, events);
            lines.iter().map(|l| l.split("event=").nth(1).expect("event").to_owned()).collect()
        };
        assert_eq!(names(Level::ERROR), [] as [&str; 0]);
        assert_eq!(names(Level::INFO), ["ours"]);
        assert_eq!(names(Level::DEBUG), ["theirs", "ours", "detail", "\"theirs too\""]);
    }

    #[test]
    fn settings_are_checked_like_all_others() {
        let mut problems = Problems::default();
        let said = |text: &str| Some(text.to_owned());
        let settings = LogSettings::from_said(&mut problems, said("debug"), said("JSON"));
        assert_eq!(settings, LogSettings { level: Level::DEBUG, format: Format::Json });
        assert!(problems.is_empty());
        assert_eq!(LogSettings::from_said(&mut problems, None, None), LogSettings::default());
        LogSettings::from_said(&mut problems, said("loud"), said("xml"));
        assert_eq!(
            problems.to_string(),
            "MAILROOM_LOG: \"loud\" is not one of error, warn, info, debug\n\
             MAILROOM_LOG_FORMAT: \"xml\" is not one of text, json"
        );
    }
}
