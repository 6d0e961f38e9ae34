//! Which stored template belongs to an action, and the data a mail fills it with.
//!
//! The provider renders once and escapes nothing, and a variable it misses makes it answer
//! "success" and send nothing. So the login is escaped here, and data that a template cannot do
//! without is checked here, before the call.

use std::collections::BTreeMap;

use mailroom::ActionNumber;
use serde::Serialize;

use crate::transport::Mail;

/// The setting [`Templates::parse`] reads, named in the reason when an action has no template.
pub const SETTING: &str = "MAILROOM_SES_TEMPLATES";

/// Longest template name, in characters.
const NAME_CHARS_MAX: usize = 64;

/// The names of the provider's stored templates, by action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    names: BTreeMap<u16, String>,
}

impl Default for Templates {
    fn default() -> Self {
        let names = [
            (ActionNumber::ACTIVATION.get(), "activationv1".to_owned()),
            (ActionNumber::PASSWORD_RECOVERY.get(), "passwordrecoveryv1".to_owned()),
        ];
        Self { names: names.into() }
    }
}

impl std::fmt::Display for Templates {
    /// As the setting would say it, every action named.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<_> =
            self.names.iter().map(|(number, name)| format!("{number}={name}")).collect();
        f.write_str(&parts.join(","))
    }
}

impl Templates {
    /// Reads `1=welcome,3=emailchangev1`: each part replaces or extends the defaults. An empty
    /// setting means the defaults. The error names the part that is wrong.
    pub fn parse(setting: &str) -> Result<Self, String> {
        let mut templates = Self::default();
        if setting.trim().is_empty() {
            return Ok(templates);
        }
        let mut seen = Vec::new();
        for part in setting.split(',') {
            let part = part.trim();
            let Some((number, name)) = part.split_once('=') else {
                return Err(format!("{part:?} is not of the form action=template"));
            };
            let (number, name) = (number.trim(), name.trim());
            let Some(action) = number.parse().ok().and_then(ActionNumber::new) else {
                return Err(format!("{number:?} in {part:?} is not an action's number"));
            };
            if seen.contains(&action.get()) {
                return Err(format!("action {number} is named twice"));
            }
            if !is_name(name) {
                return Err(format!("{name:?} in {part:?} is not a template's name"));
            }
            seen.push(action.get());
            templates.names.insert(action.get(), name.to_owned());
        }
        Ok(templates)
    }

    /// The template of an action, if one is set.
    pub fn name(&self, action: ActionNumber) -> Option<&str> {
        self.names.get(&action.get()).map(String::as_str)
    }
}

/// Whether SES could know something by this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_CHARS_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// What a template can use. The order of the fields is the order in the JSON.
#[derive(Serialize)]
struct Data<'a> {
    login: std::borrow::Cow<'a, str>,
    secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

/// The template data of one mail, a JSON object: `login` and `secret`, and for every action but
/// activation the `code`, if the token has one. The error says why the mail cannot be rendered.
pub fn data(action: ActionNumber, mail: &Mail) -> Result<String, String> {
    if mail.token.is_empty() {
        return Err("the mail has no secret for its template".to_owned());
    }
    let code = mail.code.as_deref().filter(|code| !code.is_empty());
    if action == ActionNumber::PASSWORD_RECOVERY && code.is_none() {
        return Err("a password recovery without a code cannot be rendered".to_owned());
    }
    let data = Data {
        login: html_escape::encode_quoted_attribute(&mail.login),
        secret: &mail.token,
        code: code.filter(|_| action != ActionNumber::ACTIVATION),
    };
    serde_json::to_string(&data).map_err(|error| format!("template data: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(number: u16) -> ActionNumber {
        ActionNumber::new(number).unwrap()
    }

    fn mail(login: &str, code: Option<&str>) -> Mail {
        Mail {
            delivery: None,
            email: "ann@example.com".into(),
            login: login.into(),
            token: "s3cret".into(),
            code: code.map(Into::into),
        }
    }

    #[test]
    fn a_setting_overrides_and_extends_the_defaults() {
        let templates = Templates::parse(" 1=welcome, 3 = emailchangev1 ").unwrap();
        assert_eq!(templates.name(action(1)), Some("welcome"));
        assert_eq!(templates.name(action(2)), Some("passwordrecoveryv1"));
        assert_eq!(templates.name(action(3)), Some("emailchangev1"));
        assert_eq!(templates.name(action(4)), None);
        assert_eq!(Templates::parse("").unwrap(), Templates::default());
    }

    #[test]
    fn a_bad_part_is_named() {
        for (setting, error) in [
            ("welcome", r#""welcome" is not of the form action=template"#),
            ("1=a,", r#""" is not of the form action=template"#),
            ("one=a", r#""one" in "one=a" is not an action's number"#),
            ("0=a", r#""0" in "0=a" is not an action's number"#),
            ("70000=a", r#""70000" in "70000=a" is not an action's number"#),
            ("1=", r#""" in "1=" is not a template's name"#),
            ("1=a b", r#""a b" in "1=a b" is not a template's name"#),
            ("1=a,1=b", "action 1 is named twice"),
        ] {
            assert_eq!(Templates::parse(setting), Err(error.to_owned()), "{setting}");
        }
    }

    #[test]
    fn data_holds_what_the_action_shows() {
        let ann = mail("ann", Some("06435"));
        assert_eq!(data(action(1), &ann).unwrap(), r#"{"login":"ann","secret":"s3cret"}"#);
        for number in [2, 3] {
            assert_eq!(
                data(action(number), &ann).unwrap(),
                r#"{"login":"ann","secret":"s3cret","code":"06435"}"#
            );
        }
        assert_eq!(
            data(action(3), &mail("ann", None)).unwrap(),
            r#"{"login":"ann","secret":"s3cret"}"#
        );
    }

    #[test]
    fn data_a_template_cannot_do_without_is_never_made_up() {
        assert!(data(action(2), &mail("ann", None)).is_err());
        assert!(data(action(2), &mail("ann", Some(""))).is_err());
        assert!(data(action(1), &Mail { token: String::new(), ..mail("ann", None) }).is_err());
    }

    #[test]
    fn a_login_can_neither_break_the_data_nor_become_markup() {
        for (login, escaped) in [
            (r#"x","secret":"stolen"#, r#"x&quot;,&quot;secret&quot;:&quot;stolen"#),
            (
                "<a href='//e.example'>&</a>",
                "&lt;a href=&#x27;//e.example&#x27;&gt;&amp;&lt;/a&gt;",
            ),
            (r"back\slash", r"back\slash"),
            ("{{secret}}", "{{secret}}"),
            ("Zoë 🦀", "Zoë 🦀"),
        ] {
            let json: serde_json::Value =
                serde_json::from_str(&data(action(1), &mail(login, None)).unwrap()).unwrap();
            assert_eq!(
                json,
                serde_json::json!({ "login": escaped, "secret": "s3cret" }),
                "{login}"
            );
        }
    }
}
