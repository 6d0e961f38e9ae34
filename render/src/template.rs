//! One template: a subject and two bodies, filled in strictly.

use handlebars::{Handlebars, RenderError, RenderErrorReason, no_escape};

use crate::variables::Variables;

/// What a recipient reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line, without control characters.
    pub subject: String,
    /// The body as HTML.
    pub html: String,
    /// The body as text.
    pub text: String,
}

/// Why a template cannot be used, or a letter not be made of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not Handlebars.
    #[error("{part}: line {line}: {reason}")]
    Syntax {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// From 1.
        line: usize,
        /// In words.
        reason: String,
    },
    /// A variable is used that this mail has not.
    #[error("{part}: the variable {variable:?} is missing")]
    Missing {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// Its name, or path.
        variable: String,
    },
    /// Whatever else stops it.
    #[error("{part}: {reason}")]
    Other {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// In words.
        reason: String,
    },
}

const SUBJECT: &str = "subject";
const HTML: &str = "html";
const TEXT: &str = "text";

/// A template that is well-formed.
#[derive(Debug)]
pub struct Template {
    registry: Handlebars<'static>,
    sources: [String; 3],
}

impl Template {
    /// Reads the three parts. What an editor leaves at the end of a subject is no part of it.
    ///
    /// # Errors
    /// The first part that is not Handlebars, and where.
    pub fn new(subject: &str, html: &str, text: &str) -> Result<Self, Problem> {
        let sources = [subject.trim().to_owned(), html.to_owned(), text.to_owned()];
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(no_escape);
        for (part, source) in [SUBJECT, HTML, TEXT].into_iter().zip(&sources) {
            registry.register_template_string(part, source).map_err(|error| Problem::Syntax {
                part,
                line: error.pos().map_or(1, |(line, _)| line),
                reason: error.reason().to_string(),
            })?;
        }
        Ok(Self { registry, sources })
    }

    /// The sources of subject, HTML and text.
    pub fn sources(&self) -> [&str; 3] {
        let [subject, html, text] = &self.sources;
        [subject, html, text]
    }

    /// Fills it in.
    ///
    /// # Errors
    /// A variable that is missing, or something that cannot be rendered.
    pub fn render(&self, variables: &Variables) -> Result<Letter, Problem> {
        let part = |part| {
            let rendered = self.registry.render(part, variables.as_value());
            rendered.map_err(|error| problem(part, &error))
        };
        Ok(Letter { subject: one_line(&part(SUBJECT)?), html: part(HTML)?, text: part(TEXT)? })
    }
}

/// Longest subject, in characters: whatever a variable holds, the header stays within its bounds.
const SUBJECT_CHARS_MAX: usize = 200;

/// A subject is a header: whatever a variable holds, it stays in its line.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(SUBJECT_CHARS_MAX).collect()
}

fn problem(part: &'static str, error: &RenderError) -> Problem {
    match error.reason() {
        RenderErrorReason::MissingVariable(Some(variable)) => {
            Problem::Missing { part, variable: variable.clone() }
        }
        reason => Problem::Other { part, reason: reason.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(json: &str) -> Variables {
        let mut variables = Variables::new("ann", "s3cret", None);
        variables.extend(serde_json::from_str(json).unwrap());
        variables
    }

    #[test]
    fn what_is_missing_is_named_and_never_a_blank() {
        let template = Template::new("Hi {{login}}", "{{login_html}}", "{{team.name}}").unwrap();
        let problem = template.render(&variables("{}")).unwrap_err();
        assert_eq!(problem.to_string(), "text: the variable \"team.name\" is missing");
        let letter = template.render(&variables(r#"{"team": {"name": "Ops"}}"#)).unwrap();
        assert_eq!(letter.text, "Ops");
        assert_eq!(letter.subject, "Hi ann");
    }

    #[test]
    fn what_is_optional_is_asked_for_first() {
        let template =
            Template::new("s", "h", "a{{#if code}} {{code}}{{else}} none{{/if}}").unwrap();
        assert_eq!(template.render(&variables("{}")).unwrap().text, "a none");
        let variables = Variables::new("ann", "s3cret", Some("06435"));
        assert_eq!(template.render(&variables).unwrap().text, "a 06435");
    }

    #[test]
    fn a_subject_is_one_line_and_nothing_else_is_touched() {
        let template = Template::new(" {{x}}\n", "{{x}}\n", "{{x}}\n").unwrap();
        let mut variables = variables("{}");
        variables.extend([("x".to_owned(), "a\u{2028}b  <c> & d".into())].into_iter().collect());
        let letter = template.render(&variables).unwrap();
        assert_eq!(letter.subject, "a b <c> & d");
        assert_eq!(letter.text, "a\u{2028}b  <c> & d\n");
    }

    #[test]
    fn a_syntax_error_says_where() {
        let error = Template::new("s", "a\nb {{#if x}}", "t").unwrap_err();
        assert!(error.to_string().starts_with("html: line 2: "), "{error}");
    }
}
