//! Which variables an action's templates have, with a value of each to look at.
//!
//! Some are Mailroom's own and always the same. What a token may carry besides is declared in
//! `<action>/variables.json`, an object of sample values.

use std::path::{Path, PathBuf};

use render::{RESERVED, Variables};
use serde_json::{Map, Value};

use super::Problem;
use super::language::HELPERS;

/// Declares what a token of this action may carry.
pub const FILE: &str = "variables.json";

/// The action whose tokens always have a code.
const WITH_CODE: &str = "password_recovery";

/// What escaping for HTML adds to a name.
pub const HTML_SUFFIX: &str = "_html";

const LOGIN: &str = "Zoë O'Neil & Sons <3";
const SECRET: &str =
    "EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZaCAuJvbeTjsK4wavjBwSAeoQ";
const CODE: &str = "06435";
/// Longest login, in characters (the schema's).
const LOGIN_CHARS_MAX: usize = 254;
/// 2026-11-21T21:30:00Z, a quarter of an hour after [`NOW`].
const EXPIRES_AT: i64 = 1_795_296_600;
const NOW: i64 = EXPIRES_AT - 15 * 60;

/// What a variable may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The same in HTML and text.
    Same,
    /// As it was typed: not for HTML.
    Plain,
    /// Escaped: only for HTML.
    Escaped,
}

/// Sample values of an action's variables.
#[derive(Clone)]
pub struct Samples {
    action: String,
    data: Map<String, Value>,
    all: Value,
}

/// Which variables are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mail {
    /// All.
    Full,
    /// Only those that are always there.
    Bare,
    /// All, and the longest login.
    Long,
}

impl Samples {
    /// What the action's folder declares. What is wrong with it goes to `problems`.
    pub fn read(action: &str, dir: &Path, problems: &mut Vec<Problem>) -> Self {
        let path = dir.join(FILE);
        let data = declared(&path).unwrap_or_else(|(line, message)| {
            problems.push(Problem { path: path.clone(), line, message });
            Map::new()
        });
        for name in data.keys() {
            if let Some(message) = misnamed(name) {
                problems.push(Problem { path: path.clone(), line: 1, message });
            }
        }
        Self::of(action, data)
    }

    /// Of an action whose tokens may carry `data`.
    pub fn of(action: &str, data: Map<String, Value>) -> Self {
        let mut samples = Self { action: action.to_owned(), data, all: Value::Null };
        let all = samples.variables(Mail::Full, "en", "https://example.com");
        samples.all = all.as_value().clone();
        samples
    }

    /// The action's label.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// All variables, by name.
    pub fn all(&self) -> &Value {
        &self.all
    }

    /// What a mail is filled in with.
    pub fn variables(&self, mail: Mail, locale: &str, base_url: &str) -> Variables {
        let code = (mail != Mail::Bare || self.action == WITH_CODE).then_some(CODE);
        let long = "Wolfeschlegelsteinhausenbergerdorff".repeat(8);
        let login = if mail == Mail::Long { &long[..LOGIN_CHARS_MAX] } else { LOGIN };
        let variables = Variables::new(login, SECRET, code);
        let mut variables = variables.with_locale(locale).with_base_url(base_url);
        if mail != Mail::Bare {
            variables = variables.with_expiry(EXPIRES_AT, NOW);
            variables.extend(self.data.clone());
        }
        variables
    }

    /// Whether there may be mail without this variable.
    pub fn is_optional(&self, name: &str) -> bool {
        match name {
            "code" => self.action != WITH_CODE,
            "expires_at" | "expires_minutes" => true,
            name => !RESERVED.contains(&name),
        }
    }

    /// What a variable may be used for, and what is inside of it. What a token carries may be text
    /// whatever its sample is.
    pub fn form(&self, name: &str) -> Form {
        match name {
            "login" => Form::Plain,
            "login_html" => Form::Escaped,
            name if RESERVED.contains(&name) => Form::Same,
            name if name.ends_with(HTML_SUFFIX) => Form::Escaped,
            _ => Form::Plain,
        }
    }
}

fn declared(path: &PathBuf) -> Result<Map<String, Value>, (usize, String)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err((1, error.to_string())),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(data)) => Ok(data),
        Ok(_) => Err((1, "is not an object of sample values".to_owned())),
        Err(error) => Err((error.line().max(1), format!("is not JSON: {error}"))),
    }
}

fn misnamed(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if RESERVED.contains(&name) {
        return Some(format!("{name} is Mailroom's own: what a token carries so is not used"));
    }
    if name.ends_with(HTML_SUFFIX) {
        return Some(format!("{name} is not to be declared: it comes with its plain text"));
    }
    if HELPERS.contains(&name) || name.is_empty() || !name.bytes().all(plain) {
        return Some(format!("{name:?} cannot be a variable's name"));
    }
    None
}
