//! Every bad setting, found in one pass. Each method takes what was said, notes a problem if it will
//! not do, and returns something usable so that the next setting can be looked at.

use std::fmt;
use std::ops::RangeInclusive;

use super::secret_file;

/// How much of a bad value is shown.
const SHOWN_CHARS_MAX: usize = 40;

/// What is wrong with the settings, in the order found. `Display` gives one line for each:
/// `MAILROOM_BATCH_LIMIT: "ten" is not a number; give a whole number from 1 to 1000`.
///
/// In all methods `name` is the whole name of the variable, prefix included. A method that checks a
/// value shows it when it is bad, so it is not for secrets; [`required`](Self::required),
/// [`value_or_file`](Self::value_or_file) and [`push`](Self::push) show none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems {
    lines: Vec<String>,
}

impl Problems {
    /// Notes that the setting `name` is wrong. `message` says why and what would do; secrets and
    /// addresses must not be in it. Line breaks are taken out.
    pub fn push(&mut self, name: &str, message: impl fmt::Display) {
        let line = format!("{name}: {message}");
        self.lines.push(line.replace(|c: char| c.is_control(), " "));
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// One line for each problem, in the order found.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Adds what another half of the settings found.
    pub fn extend(&mut self, other: Problems) {
        self.lines.extend(other.lines);
    }

    /// The settings, if nothing was wrong.
    ///
    /// # Errors
    /// All problems noted.
    pub fn finish<T>(self, settings: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(settings) } else { Err(self) }
    }

    /// A setting that has no default.
    pub fn required(&mut self, name: &str, value: Option<String>) -> Option<String> {
        if value.is_none() {
            self.push(name, "is not set, and there is no default");
        }
        value
    }

    /// A whole number within `range`; `unit` (`"ms"`, `"rows"`, `""`) is for the message.
    pub fn number(
        &mut self,
        name: &str,
        value: Option<String>,
        default: u64,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> u64 {
        let Some(value) = value else { return default };
        let fault = match value.parse::<u64>() {
            Ok(number) if range.contains(&number) => return number,
            Ok(_) => "is out of range",
            Err(_) if is_whole(&value) => "is out of range",
            Err(_) if value.parse::<f64>().is_ok_and(f64::is_finite) => "is not a whole number",
            Err(_) => "is not a number",
        };
        let (least, most, unit) = (range.start(), range.end(), Unit(unit));
        let remedy = format!("give a whole number from {least} to {most}{unit}");
        self.push(name, format_args!("{} {fault}; {remedy}", Shown(&value)));
        default
    }

    /// A number within `range`, fractions allowed.
    pub fn float(
        &mut self,
        name: &str,
        value: Option<String>,
        default: f64,
        range: RangeInclusive<f64>,
        unit: &str,
    ) -> f64 {
        let Some(value) = value else { return default };
        let fault = match value.parse::<f64>() {
            Ok(number) if range.contains(&number) => return number,
            Ok(number) if !number.is_nan() => "is out of range",
            _ => "is not a number",
        };
        let (least, most, unit) = (range.start(), range.end(), Unit(unit));
        let remedy = format!("give a number from {least} to {most}{unit}");
        self.push(name, format_args!("{} {fault}; {remedy}", Shown(&value)));
        default
    }

    /// Yes or no: `true`, `1`, `yes` or `false`, `0`, `no`, in any case.
    pub fn flag(&mut self, name: &str, value: Option<String>, default: bool) -> bool {
        let Some(value) = value else { return default };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => true,
            "false" | "0" | "no" => false,
            _ => {
                self.push(name, format_args!("{} is neither true nor false", Shown(&value)));
                default
            }
        }
    }

    /// One of the words in `choices`, in any case, with what each stands for.
    pub fn one_of<T: Copy>(
        &mut self,
        name: &str,
        value: Option<String>,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        let Some(value) = value else { return default };
        if let Some((_, chosen)) =
            choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&value))
        {
            return *chosen;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.push(name, format_args!("{} is not one of {}", Shown(&value), words.join(", ")));
        default
    }

    /// A secret, said either in the variable `name` or in a file that `name` + `_FILE` points to, as
    /// container platforms do. One line break at the end of the file is not part of the secret.
    pub fn value_or_file(
        &mut self,
        name: &str,
        value: Option<String>,
        file: Option<String>,
    ) -> Option<String> {
        match (value, file) {
            (Some(_), Some(_)) => {
                self.push(name, format_args!("{name}_FILE is set as well; set one of the two"));
                None
            }
            (None, Some(path)) => secret_file::read(&path)
                .map_err(|why| self.push(&format!("{name}_FILE"), format_args!("{path}: {why}")))
                .ok(),
            (value, None) => value,
        }
    }

    /// The same for a secret that has no default.
    pub fn required_or_file(
        &mut self,
        name: &str,
        value: Option<String>,
        file: Option<String>,
    ) -> Option<String> {
        let said = value.is_some() || file.is_some();
        let value = self.value_or_file(name, value, file);
        if said { value } else { self.required(name, value) }
    }

    /// Notes an error of the setting `name`, whose words must not show its value if it is secret.
    pub fn check<T, E: fmt::Display>(&mut self, name: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.push(name, error)).ok()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

fn is_whole(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A bad value for people to see: quoted, escaped, cut.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARS_MAX) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
        }
    }
}

struct Unit<'a>(&'a str);

impl fmt::Display for Unit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " {}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn all_bad_settings_are_told_at_once_in_the_order_found() {
        let mut p = Problems::default();
        assert_eq!(p.required("MAILROOM_DATABASE_URL", None), None);
        for bad in ["ten", "0", "1001", "-1", "99999999999999999999999", "1.5", "1e3", "", "10 "] {
            assert_eq!(p.number("MAILROOM_BATCH_LIMIT", some(bad), 10, 1..=1000, ""), 10);
        }
        p.number("MAILROOM_BATCH_TIMEOUT", some("5s"), 5000, 1..=3_600_000, "ms");
        p.float("MAILROOM_RATE", some("NaN"), 1.0, 0.1..=5000.0, "mails/s");
        p.float("MAILROOM_RATE", some("inf"), 1.0, 0.1..=5000.0, "mails/s");
        p.flag("MAILROOM_DEBUG", some("maybe"), false);
        p.one_of("MAILROOM_LOG", some("loud"), 0, &[("error", 1), ("warn", 2)]);
        p.push("MAILROOM_SECRET_KEY", "is not\n64 hex digits");
        assert_eq!(
            p.finish(()).expect_err("all of it is wrong").to_string(),
            r#"MAILROOM_DATABASE_URL: is not set, and there is no default
MAILROOM_BATCH_LIMIT: "ten" is not a number; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "0" is out of range; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "1001" is out of range; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "-1" is out of range; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "99999999999999999999999" is out of range; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "1.5" is not a whole number; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "1e3" is not a whole number; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "" is not a number; give a whole number from 1 to 1000
MAILROOM_BATCH_LIMIT: "10 " is not a number; give a whole number from 1 to 1000
MAILROOM_BATCH_TIMEOUT: "5s" is not a number; give a whole number from 1 to 3600000 ms
MAILROOM_RATE: "NaN" is not a number; give a number from 0.1 to 5000 mails/s
MAILROOM_RATE: "inf" is out of range; give a number from 0.1 to 5000 mails/s
MAILROOM_DEBUG: "maybe" is neither true nor false
MAILROOM_LOG: "loud" is not one of error, warn
MAILROOM_SECRET_KEY: is not 64 hex digits"#
        );
    }

    #[test]
    fn good_values_are_taken_and_missing_ones_have_defaults() {
        let mut p = Problems::default();
        assert_eq!(p.required("N", some("x")), some("x"));
        assert_eq!(p.number("N", some("1000"), 10, 1..=1000, ""), 1000);
        assert_eq!(p.number("N", None, 10, 1..=1000, ""), 10);
        assert_eq!(p.float("N", some("0.5"), 1.0, 0.1..=10.0, ""), 0.5);
        assert!(["true", "1", "yes", "TRUE", "Yes"].iter().all(|v| p.flag("N", some(v), false)));
        assert!(!["false", "0", "no", "No"].iter().any(|v| p.flag("N", some(v), true)));
        assert!(p.flag("N", None, true));
        assert_eq!(p.one_of("N", some("WARN"), 0, &[("error", 1), ("warn", 2)]), 2);
        assert_eq!(p.one_of("N", None, 0, &[("error", 1)]), 0);
        assert_eq!(p.finish("all good"), Ok("all good"));
    }

    #[test]
    fn a_long_or_hostile_value_stays_one_short_line() {
        let mut p = Problems::default();
        p.flag("N", some(&format!("\"\n{}", "é".repeat(5000))), false);
        let text = p.to_string();
        assert!(
            text.starts_with(r#"N: "\"\né"#) && text.ends_with("é\"… is neither true nor false")
        );
        assert!(text.chars().count() < 100 && text.lines().count() == 1);
    }

    #[test]
    fn a_secret_comes_from_the_variable_or_from_a_file_but_not_from_both() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("key").display().to_string();
        std::fs::write(&path, "hush\n").expect("write");
        let mut p = Problems::default();
        assert_eq!(p.value_or_file("K", some("hush"), None), some("hush"));
        assert_eq!(p.value_or_file("K", None, some(&path)), some("hush"));
        assert_eq!(p.value_or_file("K", None, None), None);
        assert!(p.is_empty());
        assert_eq!(p.value_or_file("K", some("hush"), some(&path)), None);
        assert_eq!(p.value_or_file("K", None, some("/nonexistent/key")), None);
        assert_eq!(
            p.to_string(),
            "K: K_FILE is set as well; set one of the two\n\
             K_FILE: /nonexistent/key: No such file or directory (os error 2)"
        );
    }

    proptest! {
        #[test]
        fn never_panics(value in any::<Option<String>>(), file in any::<Option<String>>()) {
            let mut p = Problems::default();
            p.number("N", value.clone(), 1, 1..=9, "ms");
            p.float("N", value.clone(), 1.0, 1.0..=9.0, "");
            p.flag("N", value.clone(), true);
            p.one_of("N", value.clone(), 1, &[("a", 1)]);
            p.value_or_file("N", value, file.map(|f| format!("/nonexistent/{f}")));
            prop_assert!(!p.lines().any(|line| line.contains('\n')));
        }
    }
}
