//! One event as one line, whatever its values hold.

use std::fmt::{self, Write};

use tracing::Level;
use tracing::field::{Field, Visit};

use super::Format;

/// A longer value is cut; an ellipsis says so.
const VALUE_BYTES_MAX: usize = 2048;

/// The tracing field that carries the name of the event.
const NAME: &str = "message";

/// A line in the making; as a visitor it collects the fields of an event.
pub(super) struct Line {
    format: Format,
    head: String,
    event: String,
    fields: String,
}

impl Line {
    pub(super) fn new(format: Format, ts: &str, level: &Level, prog: &str) -> Self {
        let head = match format {
            Format::Text => format!("{ts} {level} {prog} event="),
            Format::Json => {
                format!(r#"{{"ts":"{ts}","level":"{level}","prog":"{prog}","event":"#)
            }
        };
        Self { format, head, event: String::new(), fields: String::new() }
    }

    /// The whole line, line break included.
    pub(super) fn finish(mut self) -> String {
        let mut event = String::new();
        self.write_text(&mut event, &self.event);
        self.head.push_str(&event);
        self.head.push_str(&self.fields);
        self.head.push_str(if self.format == Format::Json { "}\n" } else { "\n" });
        self.head
    }

    fn key(&mut self, field: &Field) {
        match self.format {
            Format::Text => {
                self.fields.push(' ');
                self.fields.push_str(field.name());
                self.fields.push('=');
            }
            Format::Json => {
                self.fields.push(',');
                quote(&mut self.fields, field.name());
                self.fields.push(':');
            }
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        if field.name() == NAME {
            value.clone_into(&mut self.event);
        } else {
            self.key(field);
            let mut fields = std::mem::take(&mut self.fields);
            self.write_text(&mut fields, value);
            self.fields = fields;
        }
    }

    /// Numbers and truth values, which read the same in both formats.
    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field);
        // Writing to a String does not fail.
        _ = write!(self.fields, "{value}");
    }

    fn write_text(&self, out: &mut String, value: &str) {
        let plain = self.format == Format::Text
            && !value.is_empty()
            && value.len() <= VALUE_BYTES_MAX
            && !value.contains(needs_quotes);
        if plain { out.push_str(value) } else { quote(out, value) }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, value)
        } else {
            self.text(field, &value.to_string())
        }
    }
}

fn needs_quotes(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '=' | '\\') || needs_escape(c)
}

/// Control characters, and those that make a viewer start a line or turn the text around.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// As a JSON string, in quotes, cut to [`VALUE_BYTES_MAX`].
fn quote(out: &mut String, value: &str) {
    let cut = value.floor_char_boundary(VALUE_BYTES_MAX);
    out.push('"');
    for c in value[..cut].chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if needs_escape(c) => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push_str(if cut < value.len() { "…\"" } else { "\"" });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(value: &str) -> String {
        let mut out = String::new();
        quote(&mut out, value);
        out
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let out = quoted(&"é".repeat(5000));
        assert!(out.len() <= VALUE_BYTES_MAX + 5 && out.ends_with("é…\""));
    }

    proptest! {
        #[test]
        fn quoting_is_json_on_one_line_and_loses_nothing(value in any::<String>()) {
            let out = quoted(&value);
            prop_assert!(!out.contains(needs_escape));
            prop_assert_eq!(serde_json::from_str::<String>(&out).expect("JSON"), value);
        }
    }
}
