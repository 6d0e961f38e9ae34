//! Which of Mailroom's own variables a template uses.

use std::collections::BTreeSet;

use handlebars::Template;
use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use render::RESERVED;

/// Those of [`RESERVED`] that are in a part of a template; none if it is not Handlebars.
pub fn uses(source: &str) -> BTreeSet<&'static str> {
    let mut used = BTreeSet::new();
    if let Ok(template) = Template::compile(source) {
        look(&template, 0, &mut used);
    }
    used
}

/// `deep` in blocks in which names are those of something else.
fn look(template: &Template, deep: usize, used: &mut BTreeSet<&'static str>) {
    for element in &template.elements {
        match element {
            TemplateElement::Expression(helper) | TemplateElement::HtmlExpression(helper) => {
                note(&helper.name, deep, used);
                params(helper, deep, used);
            }
            TemplateElement::HelperBlock(block) => {
                // What Mustache calls a section.
                note(&block.name, deep, used);
                params(block, deep, used);
                let within = matches!(block.name.as_name(), Some("each" | "with"));
                if let Some(body) = &block.template {
                    look(body, deep + usize::from(within), used);
                }
                if let Some(otherwise) = &block.inverse {
                    look(otherwise, deep, used);
                }
            }
            TemplateElement::DecoratorBlock(block)
            | TemplateElement::PartialExpression(block)
            | TemplateElement::PartialBlock(block) => {
                for param in block.params.iter().chain(block.hash.values()) {
                    note(param, deep, used);
                }
                if let Some(body) = &block.template {
                    look(body, deep, used);
                }
            }
            _ => {}
        }
    }
}

fn params(helper: &HelperTemplate, deep: usize, used: &mut BTreeSet<&'static str>) {
    for param in helper.params.iter().chain(helper.hash.values()) {
        note(param, deep, used);
    }
}

fn note(param: &Parameter, deep: usize, used: &mut BTreeSet<&'static str>) {
    let mut name = param.as_name().unwrap_or_default();
    let mut left = deep;
    if let Some(inner) = name.strip_prefix("@root") {
        (name, left) = (inner.trim_start_matches(['.', '/']), 0);
    }
    while let Some(outer) = name.strip_prefix("../") {
        (name, left) = (outer, left.saturating_sub(1));
    }
    let name = name.trim_start_matches("this.").trim_start_matches("./");
    let known = RESERVED.into_iter().find(|known| *known == name);
    used.extend(known.filter(|_| left == 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_found_wherever_it_stands() {
        let of = |source: &str| uses(source).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(of("{{login}} {{{secret}}} {{! code }} {{team}}"), "login secret");
        assert_eq!(of("{{#if code}}{{else if locale}}{{base_url}}{{/if}}"), "base_url code locale");
        assert_eq!(of("{{#each a}}{{login}}{{../code}}{{@root.secret}}{{/each}}"), "code secret");
        assert_eq!(
            of("{{#login}}x{{/login}}{{#*inline \"p\"}}{{this.code}}{{/inline}}"),
            "code login"
        );
        assert_eq!(of("{{login}}{{#if"), "");
    }
}
