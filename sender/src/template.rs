//! Which stored template belongs to an action, and the data a mail fills it with.
//!
//! The provider renders once and escapes nothing, and a variable it misses makes it answer
//! "success" and send nothing. So the login is escaped here, and data that a template cannot do
//! without is checked here, before the call.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mailroom::ActionNumber;
use render::Locale;
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
    /// By the action's label, which is what the database calls it.
    labels: BTreeMap<String, String>,
}

impl Default for Templates {
    fn default() -> Self {
        let names = [
            (ActionNumber::ACTIVATION.get(), "activationv1".to_owned()),
            (ActionNumber::PASSWORD_RECOVERY.get(), "passwordrecoveryv1".to_owned()),
        ];
        Self { names: names.into(), labels: BTreeMap::new() }
    }
}

impl std::fmt::Display for Templates {
    /// As the setting would say it, every action named.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = self.names.iter().map(|(number, name)| format!("{number}={name}"));
        let labels = self.labels.iter().map(|(label, name)| format!("{label}={name}"));
        let parts: Vec<_> = numbers.chain(labels).collect();
        f.write_str(&parts.join(","))
    }
}

impl Templates {
    /// Reads `1=welcome,email_change=emailchangev1`: an action's number, or its label in the database.
    /// Each part replaces or extends the defaults. An empty setting means the defaults.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(setting: &str) -> Result<Self, String> {
        let mut templates = Self::default();
        if setting.trim().is_empty() {
            return Ok(templates);
        }
        let mut seen = Vec::new();
        for part in setting.split(',') {
            let part = part.trim();
            let Some((action, name)) = part.split_once('=') else {
                return Err(format!("{part:?} is not of the form action=template"));
            };
            let (action, name) = (action.trim(), name.trim());
            if seen.contains(&action) {
                return Err(format!("action {action} is named twice"));
            }
            if !is_name(name) {
                return Err(format!("{name:?} in {part:?} is not a template's name"));
            }
            seen.push(action);
            let numeric = action.bytes().all(|byte| byte.is_ascii_digit());
            match action.parse().ok().and_then(ActionNumber::new) {
                Some(number) => {
                    templates.names.insert(number.get(), name.to_owned());
                }
                None if !numeric && is_label(action) => {
                    templates.labels.insert(action.to_owned(), name.to_owned());
                }
                None => {
                    return Err(format!(
                        "{action:?} in {part:?} is neither an action's number nor its label"
                    ));
                }
            }
        }
        Ok(templates)
    }

    /// The template of an action: as set, else, for an action whose label is known, as the original
    /// would have called it: `email_change` is `emailchangev1`.
    pub fn name(&self, action: ActionNumber, label: Option<&str>) -> Option<Cow<'_, str>> {
        let set = label.and_then(|label| self.labels.get(label));
        let set = set.or_else(|| self.names.get(&action.get()));
        set.map(|name| Cow::from(name.as_str())).or_else(|| label.and_then(by_label))
    }

    /// [`name`](Self::name) for who knows only the label: numbers count for the two actions that
    /// always have theirs.
    pub fn name_of(&self, label: &str) -> Option<Cow<'_, str>> {
        let number = match label {
            "activation" => Some(ActionNumber::ACTIVATION),
            "password_recovery" => Some(ActionNumber::PASSWORD_RECOVERY),
            _ => None,
        };
        match number {
            Some(number) => self.name(number, Some(label)),
            None => self.labels.get(label).map(|name| name.into()).or_else(|| by_label(label)),
        }
    }

    /// The numbers that have a name, 1 and 2 always.
    pub fn numbers(&self) -> impl Iterator<Item = ActionNumber> {
        self.names.keys().filter_map(|number| ActionNumber::new(*number))
    }

    /// The labels that the setting names.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.keys().map(String::as_str)
    }
}

fn by_label(label: &str) -> Option<Cow<'static, str>> {
    let name = format!("{}v1", label.replace('_', ""));
    is_name(&name).then_some(Cow::Owned(name))
}

fn is_label(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The stored template for a language: the default one has the name itself.
pub fn localised(name: &str, locale: &Locale, default: Option<&Locale>) -> String {
    if default == Some(locale) { name.to_owned() } else { format!("{name}_{locale}") }
}

/// Whether SES could know something by this name.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_CHARS_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// What a template can use. The order of the fields is the order in the JSON.
#[derive(Serialize)]
struct Data<'a> {
    login: Cow<'a, str>,
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
            locale: None,
            expires_at: None,
            data: None,
        }
    }

    #[test]
    fn a_setting_overrides_and_extends_the_defaults() {
        let templates =
            Templates::parse(" 1=welcome, 3 = emailchangev2, invitation=invite ").unwrap();
        for (number, label, name) in [
            (1, None, Some("welcome")),
            (1, Some("activation"), Some("welcome")),
            (2, None, Some("passwordrecoveryv1")),
            (3, None, Some("emailchangev2")),
            (4, None, None),
            (4, Some("magic_link"), Some("magiclinkv1")),
            (5, Some("invitation"), Some("invite")),
        ] {
            assert_eq!(
                templates.name(action(number), label).as_deref(),
                name,
                "{number} {label:?}"
            );
        }
        assert_eq!(templates.name_of("activation").as_deref(), Some("welcome"));
        assert_eq!(templates.name_of("invitation").as_deref(), Some("invite"));
        let (de, en): (Locale, Locale) = ("de".parse().unwrap(), "en".parse().unwrap());
        assert_eq!(localised("welcome", &de, Some(&en)), "welcome_de");
        assert_eq!(localised("welcome", &en, Some(&en)), "welcome");
        assert_eq!(Templates::parse("").unwrap(), Templates::default());
    }

    #[test]
    fn a_bad_part_is_named() {
        for (setting, error) in [
            ("welcome", r#""welcome" is not of the form action=template"#),
            ("1=a,", r#""" is not of the form action=template"#),
            ("ö=a", r#""ö" in "ö=a" is neither an action's number nor its label"#),
            ("0=a", r#""0" in "0=a" is neither an action's number nor its label"#),
            ("70000=a", r#""70000" in "70000=a" is neither an action's number nor its label"#),
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
