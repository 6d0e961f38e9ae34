//! What a template can use.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Names that are Mailroom's. What a token carries under one of them is not used.
pub const RESERVED: [&str; 8] = [
    "login",
    "login_html",
    "secret",
    "code",
    "base_url",
    "expires_at",
    "expires_minutes",
    "locale",
];

/// What escaping for HTML adds to the name of a text variable.
const HTML_SUFFIX: &str = "_html";

/// The variables of one mail. Text from outside comes twice: as it is, for subject and text, and
/// escaped, as `<name>_html`. It holds secrets and personal data, so it has no `Debug`.
#[derive(Clone, PartialEq)]
pub struct Variables(Value);

impl Variables {
    /// Of every mail: the account's login, the signed token, and the code if the token has one.
    pub fn new(login: &str, secret: &str, code: Option<&str>) -> Self {
        let mut map = Map::new();
        insert_text(&mut map, "login", &Value::from(login));
        map.insert("secret".to_owned(), secret.into());
        if let Some(code) = code {
            map.insert("code".to_owned(), code.into());
        }
        Self(Value::Object(map))
    }

    /// What links start with: `https://example.com`, without a slash at the end.
    #[must_use]
    pub fn with_base_url(self, url: &str) -> Self {
        self.with("base_url", url.trim_end_matches('/').into())
    }

    /// When the token expires: as RFC 3339 in UTC, and in whole minutes from now, rounded down.
    #[must_use]
    pub fn with_expiry(self, expires_at: i64, now: i64) -> Self {
        let minutes = expires_at.saturating_sub(now).max(0) / 60;
        let known = self.with("expires_minutes", minutes.into());
        match rfc_3339(expires_at) {
            Some(at) => known.with("expires_at", at.into()),
            // Beyond the calendar. It is missing then, and not a blank.
            None => known,
        }
    }

    /// The locale of the template, for `<html lang="…">`.
    #[must_use]
    pub fn with_locale(self, locale: &str) -> Self {
        self.with("locale", locale.into())
    }

    /// What the token carries; names that are taken already are passed over. Control characters
    /// become spaces.
    pub fn extend(&mut self, data: Map<String, Value>) {
        let Value::Object(map) = &mut self.0 else { return };
        for (name, value) in data {
            // Under a name that ends so nothing but what was escaped here may come.
            let free = !name.ends_with(HTML_SUFFIX) && !RESERVED.contains(&name.as_str());
            if free && !map.contains_key(&name) && !is_empty_object(&value) {
                insert_text(map, &name, &value);
            }
        }
    }

    /// As the JSON object that a renderer takes.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        if let Value::Object(map) = &mut self.0 {
            map.insert(name.to_owned(), value);
        }
        self
    }
}

/// Under its name, and escaped under its other name.
fn insert_text(map: &mut Map<String, Value>, name: &str, value: &Value) {
    map.insert(name.to_owned(), mapped(value, &plain));
    map.insert(
        format!("{name}{HTML_SUFFIX}"),
        mapped(value, &|text| html_escape::encode_quoted_attribute(&plain(text)).into_owned()),
    );
}

/// No control characters, and none that turn the direction of the text after them: in a mail they
/// are never what somebody meant well.
fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.replace(|c: char| c.is_control() || turns(c), " ")
}

/// Renderers do not agree whether `{}` counts as there.
fn is_empty_object(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// Every text in it, however deep, as `f` has it.
fn mapped(value: &Value, f: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(f(text)),
        Value::Array(values) => values.iter().map(|value| mapped(value, f)).collect(),
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !is_empty_object(value));
            kept.map(|(name, value)| (name.clone(), mapped(value, f))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Seconds since 1970 as `2026-11-21T21:30:00Z`; `None` beyond the year 9999.
fn rfc_3339(epoch: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(epoch).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn text_comes_as_it_is_and_escaped() {
        let mut variables = Variables::new("<b>\"a\"\n&\u{202E}'b'", "s", None);
        variables.extend(data(json!({ "team": { "names": ["<i>"], "size": 3 } })));
        assert_eq!(
            variables.as_value(),
            &json!({
                "login": "<b>\"a\" & 'b'",
                "login_html": "&lt;b&gt;&quot;a&quot; &amp; &#x27;b&#x27;",
                "secret": "s",
                "team": { "names": ["<i>"], "size": 3 },
                "team_html": { "names": ["&lt;i&gt;"], "size": 3 },
            })
        );
    }

    #[test]
    fn a_token_cannot_say_what_mailroom_says() {
        let mut variables = Variables::new("ann", "s", None).with_base_url("https://a.example/");
        variables.extend(data(json!({
            "login": "bob", "secret": "x", "code": "1", "base_url": "https://b.example",
            "login_html": "<b>", "expires_at": "never", "locale": "x",
        })));
        let expected = json!({
            "login": "ann", "login_html": "ann", "secret": "s", "base_url": "https://a.example",
        });
        assert_eq!(variables.as_value(), &expected);
    }

    #[test]
    fn an_escaped_sibling_cannot_be_forged() {
        let mut alone = Variables::new("ann", "s", None);
        alone.extend(data(json!({"x_html": "<b>"})));
        assert_eq!(alone.as_value().get("x_html"), None);
        for data_ in [json!({"x_html": "<b>", "x": "<i>"}), json!({"x": "<i>", "x_html": "<b>"})] {
            let mut variables = Variables::new("ann", "s", None);
            variables.extend(data(data_));
            assert_eq!(variables.as_value()["x_html"], "&lt;i&gt;");
        }
    }

    #[test]
    fn an_expiry_is_a_time_and_minutes_left() {
        let variables = Variables::new("a", "s", None).with_expiry(951_782_399, 951_781_559);
        assert_eq!(variables.as_value()["expires_at"], "2000-02-28T23:59:59Z");
        assert_eq!(variables.as_value()["expires_minutes"], 14);
        let never = Variables::new("a", "s", None).with_expiry(i64::MAX, 0);
        assert_eq!(never.as_value().get("expires_at"), None, "missing, and not a blank");
        assert_eq!(
            Variables::new("a", "s", None).with_expiry(5, 10).as_value()["expires_minutes"],
            0
        );
    }
}
