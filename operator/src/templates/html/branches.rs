//! The documents that a template can become: one for each way its conditions can go. Every line of a
//! document stands where it stands in the source, so that what a parser says can be found there.

use std::collections::{BTreeMap, BTreeSet};

use handlebars::template::{HelperTemplate, Parameter, Template, TemplateElement};

use crate::templates::samples::HTML_SUFFIX;

/// Up to so many conditions every combination is looked at; beyond, each is once the only one that
/// holds, and once the only one that does not.
const COMBINED_MAX: usize = 6;

/// Inline partials in inline partials.
const DEEP_MAX: usize = 8;

/// All documents of a template, or none if it is not Handlebars.
pub(super) fn documents(source: &str) -> BTreeSet<String> {
    let Ok(template) = Template::compile(source) else { return BTreeSet::new() };
    let mut partials = BTreeMap::new();
    let mut conditions = BTreeSet::new();
    look(&template, &mut conditions, &mut partials);
    let conditions: Vec<&str> = conditions.into_iter().collect();
    let ways: Vec<Vec<bool>> = if conditions.len() <= COMBINED_MAX {
        (0..1_usize << conditions.len())
            .map(|bits| (0..conditions.len()).map(|place| bits >> place & 1 == 1).collect())
            .collect()
    } else {
        let all = [true, false].into_iter();
        all.flat_map(|most| {
            let ways = (0..=conditions.len()).map(move |odd| (most, odd));
            ways.map(|(most, odd)| {
                (0..conditions.len()).map(|place| most ^ (place == odd)).collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
        })
        .collect()
    };
    let document = |way: Vec<bool>| {
        let holds = conditions.iter().copied().zip(way).collect();
        let mut document = Document { text: String::new(), line: 1, holds, partials: &partials };
        document.add(&template, 0);
        document.text
    };
    ways.into_iter().map(document).collect()
}

fn look<'a>(
    template: &'a Template,
    conditions: &mut BTreeSet<&'a str>,
    partials: &mut BTreeMap<&'a str, &'a Template>,
) {
    for element in &template.elements {
        match element {
            TemplateElement::HelperBlock(block) => {
                conditions.insert(condition(block));
                for body in [&block.template, &block.inverse].into_iter().flatten() {
                    look(body, conditions, partials);
                }
            }
            TemplateElement::DecoratorBlock(block) => {
                if let (Some(Parameter::Literal(name)), Some(body)) =
                    (block.params.first(), &block.template)
                {
                    partials.insert(name.as_str().unwrap_or_default(), body);
                    look(body, conditions, partials);
                }
            }
            _ => {}
        }
    }
}

/// Both forms of a text are one condition.
fn condition(block: &HelperTemplate) -> &str {
    let name = block.params.first().and_then(Parameter::as_name).unwrap_or_default();
    name.strip_suffix(HTML_SUFFIX).unwrap_or(name)
}

struct Document<'a> {
    text: String,
    /// Where the text ends.
    line: usize,
    holds: BTreeMap<&'a str, bool>,
    partials: &'a BTreeMap<&'a str, &'a Template>,
}

impl<'a> Document<'a> {
    fn add(&mut self, template: &'a Template, deep: usize) {
        for (index, element) in template.elements.iter().enumerate() {
            let line = template.mapping.get(index).map(|at| at.0);
            match element {
                TemplateElement::RawString(text) => {
                    // The parser's line is that of the first character that is not a space.
                    let spaces = &text[..text.len() - text.trim_start().len()];
                    let before = spaces.matches('\n').count();
                    self.push(text, line.map(|line| line.saturating_sub(before)), deep);
                }
                TemplateElement::Expression(expression)
                | TemplateElement::HtmlExpression(expression) => {
                    let name = expression.name.as_name().unwrap_or_default();
                    // Outside quotes the space is the end of what it stands in.
                    self.push(&format!("{{{{{name} }}}}"), line, deep);
                }
                TemplateElement::HelperBlock(block) => {
                    let holds = self.holds.get(condition(block)).copied().unwrap_or(true);
                    let negated = block.name.as_name() == Some("unless");
                    let body = if holds != negated { &block.template } else { &block.inverse };
                    if let Some(body) = body {
                        self.add(body, deep);
                    }
                }
                TemplateElement::PartialExpression(call) | TemplateElement::PartialBlock(call) => {
                    let name = call.name.as_name().unwrap_or_default();
                    let body = self.partials.get(name.trim_matches(['"', '\'']));
                    if let Some(body) = body.filter(|_| deep < DEEP_MAX) {
                        self.push("", line, deep);
                        self.add(body, deep + 1);
                    }
                }
                // Decorators and comments leave nothing.
                _ => {}
            }
        }
    }

    /// Adds text that stands in this line. A partial stands in the line of its use.
    fn push(&mut self, text: &str, line: Option<usize>, deep: usize) {
        if deep > 0 {
            self.text.push_str(&text.replace('\n', " "));
            return;
        }
        while self.line < line.unwrap_or(0) {
            self.text.push('\n');
            self.line += 1;
        }
        self.text.push_str(text);
        self.line += text.matches('\n').count();
    }
}
