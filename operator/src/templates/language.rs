//! The language: what of Handlebars SES understands, and which variables may stand where. Pure.

mod scope;
mod uses;
mod walker;

use handlebars::Template;

pub use self::uses::uses;
use self::walker::Walker;
use super::Part;
use super::samples::Samples;

/// Words that are taken: a variable of this name would be called as a helper.
pub const HELPERS: [&str; 17] = [
    "eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not", "len", "log", "raw", "if", "unless",
    "each", "with", "lookup",
];

/// A line, from 1, and what is wrong there.
pub type Found = (usize, String);

/// Everything that is wrong with a part of a template.
pub fn check(part: Part, source: &str, samples: &Samples) -> Vec<Found> {
    let commentless = without_comments(source);
    let mut found = inverted_sections(&commentless);
    match Template::compile(source) {
        Ok(template) => {
            found.extend(Walker::new(part, &commentless, samples).walk(&template));
        }
        // What Mustache calls a section is the likely cause, and already said.
        Err(_) if !found.is_empty() => {}
        Err(error) => {
            let line = error.pos().map_or(1, |(line, _)| line);
            let reason = error.reason().to_string().replace('\n', " ");
            found.push((line, format!("not Handlebars: {reason}")));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Blanks where comments are; lines and columns stay.
fn without_comments(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("{{!") {
        let opened = start + "{{!".len();
        let ends: &[&str] =
            if rest[opened..].starts_with("--") { &["--}}", "--~}}"] } else { &["}}"] };
        let end = ends
            .iter()
            .filter_map(|end| rest[opened..].find(end).map(|at| opened + at + end.len()))
            .min()
            .unwrap_or(rest.len());
        text.push_str(&rest[..start]);
        text.extend(rest[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &rest[end..];
    }
    text + rest
}

/// `{{^x}}`, which Handlebars takes for an `else` where it does not take it for a mistake.
fn inverted_sections(source: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(source.lines()) {
        for after in text.split("{{^").skip(1).chain(text.split("{{~^").skip(1)) {
            let name = after.split(['}', '~', ' ']).next().unwrap_or_default();
            if !name.is_empty() {
                let remedy = format!("write {{{{#unless {name}}}}}…{{{{/unless}}}}");
                found.push((line, format!("{{{{^{name}}}}} is Mustache: {remedy}")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::templates::html;
    use crate::templates::samples::Mail;

    /// What templates are made of, and some of what they are not.
    const PIECES: [&str; 30] = [
        "{{",
        "}}",
        "{{#if x}}",
        "{{else}}",
        "{{else if y}}",
        "{{^}}",
        "{{^x}}",
        "{{/if}}",
        "{{#each x}}",
        "{{/each}}",
        "{{#with x as |a b|}}",
        "{{/with}}",
        "{{../x}}",
        "{{@index}}",
        "{{{x}}}",
        "{{~x~}}",
        "{{#*inline \"p\"}}",
        "{{/inline}}",
        "{{> p}}",
        "{{x.[a b]}}",
        "(",
        "\n",
        "<p>",
        "</div>",
        "<a href=\"",
        "<!--[if mso]>",
        "<![endif]-->",
        "<style>",
        "url(",
        "é ",
    ];

    /// Templates that are Handlebars, with variables that may or may not be there.
    fn template() -> impl Strategy<Value = String> {
        let names =
            ["login", "code", "team", "team.name", "names", "size", "name", "this", "../login"];
        let name = move || prop::sample::select(names.to_vec());
        let used = name().prop_map(|name| format!("{{{{{name}}}}}"));
        prop_oneof![used, Just("a\n".to_owned())].prop_recursive(4, 24, 3, move |inner| {
            let block = prop::sample::select(vec!["if", "unless", "each", "with"]);
            let body = || prop::collection::vec(inner.clone(), 0..3).prop_map(|all| all.concat());
            (block, name(), body(), prop::option::of(body())).prop_map(|(block, name, a, b)| {
                let otherwise = b.map(|b| format!("{{{{else}}}}{b}")).unwrap_or_default();
                format!("{{{{#{block} {name}}}}}{a}{otherwise}{{{{/{block}}}}}")
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_accepted_can_be_rendered_with_and_without_what_is_optional(source in template()) {
            let data = json!({ "team": { "name": "Ops" }, "names": ["a"], "size": 3 });
            let samples = Samples::of("welcome", data.as_object().cloned().unwrap());
            prop_assume!(check(Part::Text, &source, &samples).is_empty());
            let template = render::Template::new("a", "a", &source).unwrap();
            let hollow = json!({ "team": {}, "names": [], "size": 0 });
            let hollow = Samples::of("welcome", hollow.as_object().cloned().unwrap());
            for (mail, samples) in [(Mail::Full, &samples), (Mail::Bare, &samples), (Mail::Full, &hollow)] {
                let rendered = template.render(&samples.variables(mail, "en", "https://a.example"));
                prop_assert!(rendered.is_ok(), "{mail:?}: {rendered:?}");
            }
        }

        #[test]
        fn whatever_a_template_holds_the_lint_says_something_and_lines_exist(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
        ) {
            let source = pieces.concat();
            let data = json!({ "x": [{ "a": "b" }], "y": 1 });
            let samples = Samples::of("welcome", data.as_object().cloned().unwrap());
            let found = [check(Part::Html, &source, &samples), html::check(&source)].concat();
            let lines = source.matches('\n').count() + 1;
            prop_assert!(found.iter().all(|(line, _)| (1..=lines).contains(line)), "{found:?}");
        }
    }
}
