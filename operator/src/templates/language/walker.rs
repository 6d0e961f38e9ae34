//! From element to element, with what the blocks around have made sure of.

use std::collections::BTreeMap;

use handlebars::template::{
    BlockParam, DecoratorTemplate, HelperTemplate, Parameter, Template, TemplateElement,
};
use serde_json::Value;

use super::scope::{Scope, Use};
use super::{Found, HELPERS};
use crate::templates::Part;
use crate::templates::samples::{Form, HTML_SUFFIX, Samples};

/// What handlebars-rust understands and SES does not.
const RUST_ONLY: [&str; 12] =
    ["eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not", "len", "log", "raw"];

/// The blocks that both understand.
const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

/// How deep inline partials may use each other.
const PARTIALS_DEEP_MAX: usize = 8;

/// Goes through a template and notes what is wrong.
pub(super) struct Walker<'a> {
    part: Part,
    source: &'a str,
    samples: &'a Samples,
    partials: BTreeMap<&'a str, &'a Template>,
    found: Vec<Found>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(part: Part, source: &'a str, samples: &'a Samples) -> Self {
        Self { part, source, samples, partials: BTreeMap::new(), found: Vec::new() }
    }

    /// Everything that is wrong.
    pub(super) fn walk(mut self, template: &'a Template) -> Vec<Found> {
        self.collect_partials(template);
        self.template(template, &Scope::root(self.samples.all()), 1, 0);
        self.found
    }

    fn say(&mut self, line: usize, message: String) {
        self.found.push((line, message));
    }

    /// The inline partials of this file, wherever they are.
    fn collect_partials(&mut self, template: &'a Template) {
        for element in &template.elements {
            match element {
                TemplateElement::DecoratorBlock(block) => {
                    let name = block.params.first().and_then(literal);
                    if let (Some(name), Some(body)) = (name, &block.template) {
                        self.partials.insert(name, body);
                    }
                }
                TemplateElement::HelperBlock(block) => {
                    for body in [&block.template, &block.inverse].into_iter().flatten() {
                        self.collect_partials(body);
                    }
                }
                _ => {}
            }
        }
    }

    fn template(&mut self, template: &'a Template, scope: &Scope<'a>, line: usize, deep: usize) {
        for (index, element) in template.elements.iter().enumerate() {
            let at = template.mapping.get(index).map(|at| (at.0, at.1));
            let (line, column) = at.unwrap_or((line, 1));
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(expression) => {
                    self.expression(expression, scope, line);
                }
                TemplateElement::HtmlExpression(expression) => {
                    let name = expression.name.as_name().unwrap_or_default();
                    let mark = self.at(line, column);
                    let shown = if mark.trim_start_matches(['{', '~']).starts_with('&') {
                        format!("{{{{&{name}}}}}")
                    } else {
                        format!("{{{{{{{name}}}}}}}")
                    };
                    self.say(line, format!("{shown}: nothing is escaped, write {{{{{name}}}}}"));
                    self.expression(expression, scope, line);
                }
                TemplateElement::HelperBlock(block)
                    if self.at(line, column).starts_with("{{{{") =>
                {
                    let name = block.name.as_name().unwrap_or_default();
                    self.say(line, format!("{{{{{{{{{name}}}}}}}}}: SES knows no raw blocks"));
                }
                TemplateElement::HelperBlock(block) => {
                    let line = if at.is_none() { self.else_line(block, line) } else { line };
                    self.block(block, scope, line, deep);
                }
                TemplateElement::DecoratorExpression(decorator)
                | TemplateElement::DecoratorBlock(decorator) => self.decorator(decorator, line),
                TemplateElement::PartialExpression(call) | TemplateElement::PartialBlock(call) => {
                    self.partial(call, scope, line, deep);
                }
                // The parser may learn something new.
                _ => self.say(line, "not something that SES is known to understand".to_owned()),
            }
        }
    }

    fn expression(&mut self, expression: &'a HelperTemplate, scope: &Scope<'a>, line: usize) {
        let plain = expression.params.is_empty() && expression.hash.is_empty();
        let Some(name) = expression.name.as_name() else {
            self.subexpression(line);
            return;
        };
        if plain && !HELPERS.contains(&name) {
            self.variable(name, scope, line, true);
            if let Use::Variable(variable) = scope.resolve(name)
                && matches!(variable.value(), Some(Value::Array(_) | Value::Object(_)))
            {
                let remedy = "print what is in it";
                self.say(line, format!("{name} is a list or an object: {remedy}"));
            }
            return;
        }
        if BLOCKS.contains(&name) {
            self.say(line, format!("{name} is a block: write {{{{#{name} x}}}}…{{{{/{name}}}}}"));
        } else if name != "lookup" {
            // What a lookup does not find stops the mail when it is rendered.
            self.unknown_helper(name, line);
        }
        self.params(expression, scope, line, true);
    }

    fn block(&mut self, block: &'a HelperTemplate, scope: &Scope<'a>, line: usize, deep: usize) {
        let name = block.name.as_name().unwrap_or_default();
        let (body, otherwise) = (block.template.as_ref(), block.inverse.as_ref());
        let mut inside = scope.clone();
        let mut outside = scope.clone();
        if BLOCKS.contains(&name) {
            if block.params.len() != 1 || !block.hash.is_empty() {
                self.say(line, format!("{{{{#{name}}}}} takes one variable, and nothing else"));
            }
            let needed = matches!(name, "each" | "with") && otherwise.is_none();
            self.params(block, scope, line, needed);
            let path = block.params.first().and_then(Parameter::as_name);
            if let Some(Use::Variable(variable)) = path.map(|path| scope.resolve(path)) {
                match name {
                    "unless" => outside = outside.certain(&variable),
                    "if" => inside = inside.certain(&variable),
                    each_or_with => {
                        let names = block_params(block.block_param.as_ref());
                        let each = each_or_with == "each";
                        let list = matches!(
                            variable.value(),
                            None | Some(Value::Array(_) | Value::Object(_))
                        );
                        if each && !list {
                            let name = path.unwrap_or_default();
                            self.say(
                                line,
                                format!("{name} is not a list: {{{{#each}}}} needs one"),
                            );
                        }
                        inside = inside.certain(&variable).within(&variable, each, &names);
                    }
                }
            }
        } else if block.params.is_empty() && block.hash.is_empty() && !HELPERS.contains(&name) {
            // Said already, if it is of the other kind.
            if !self.source.contains(&format!("^{name}")) {
                let remedy = format!("write {{{{#if {name}}}}}, {{{{#each {name}}}}} or {{{{#with");
                self.say(line, format!("{{{{#{name}}}}} is Mustache: {remedy} {name}}}}}"));
            }
        } else {
            self.unknown_helper(name, line);
            self.params(block, scope, line, true);
        }
        if let Some(body) = body {
            self.template(body, &inside, line, deep);
        }
        if let Some(otherwise) = otherwise {
            self.template(otherwise, &outside, line, deep);
        }
    }

    fn decorator(&mut self, decorator: &'a DecoratorTemplate, line: usize) {
        match (decorator.name.as_name(), &decorator.template, decorator.params.as_slice()) {
            // Its body is looked at where it is used.
            (Some("inline"), Some(_), [name]) if literal(name).is_some() => {}
            (name, ..) => {
                let name = name.unwrap_or_default();
                let only = "the only decorator is {{#*inline \"name\"}}…{{/inline}}";
                self.say(line, format!("{{{{*{name}}}}}: {only}"));
            }
        }
    }

    fn partial(
        &mut self,
        call: &'a DecoratorTemplate,
        scope: &Scope<'a>,
        line: usize,
        deep: usize,
    ) {
        let Some(name) = call.name.as_name() else { return self.subexpression(line) };
        let Some(&body) = self.partials.get(name.trim_matches(['"', '\''])) else {
            let remedy = "SES knows no partial files, only {{#*inline}} ones of the same file";
            return self.say(line, format!("{{{{> {name}}}}}: {remedy}"));
        };
        if deep >= PARTIALS_DEEP_MAX {
            return self.say(line, format!("{{{{> {name}}}}}: partials use each other too deeply"));
        }
        let mut inside = scope.with_names(call.hash.keys().map(String::as_str));
        for param in call.params.iter().chain(call.hash.values()) {
            self.param(param, scope, line, true);
        }
        if let Some(path) = call.params.first().and_then(Parameter::as_name)
            && let Use::Variable(variable) = scope.resolve(path)
        {
            inside = inside.within(&variable, false, &[]);
        }
        self.template(body, &inside, line, deep + 1);
    }

    fn params(&mut self, helper: &'a HelperTemplate, scope: &Scope<'a>, line: usize, needed: bool) {
        for param in helper.params.iter().chain(helper.hash.values()) {
            self.param(param, scope, line, needed);
        }
    }

    fn param(&mut self, param: &'a Parameter, scope: &Scope<'a>, line: usize, needed: bool) {
        match param {
            Parameter::Literal(_) => {}
            Parameter::Name(_) | Parameter::Path(_) => {
                self.variable(param.as_name().unwrap_or_default(), scope, line, needed);
            }
            _ => self.subexpression(line),
        }
    }

    /// A variable where it is used; `needed`: where its absence stops the mail.
    fn variable(&mut self, name: &str, scope: &Scope<'a>, line: usize, needed: bool) {
        let file = self.part.file();
        let variable = match scope.resolve(name) {
            Use::Key if self.part == Part::Html => {
                let said = "is text from outside, and not escaped: it cannot be in";
                return self.say(line, format!("{name} {said} {file}"));
            }
            Use::Local | Use::Key => return,
            Use::Variable(variable) => variable,
            Use::Unknown => {
                let action = self.samples.action();
                let remedy =
                    format!("declare it in {action}/variables.json if its tokens carry it");
                return self.say(line, format!("{name} is not a variable of {action}: {remedy}"));
            }
        };
        let root = variable.root();
        let other = |new: String| match name.strip_prefix(root) {
            Some(rest) => format!("{new}{rest}"),
            None => new,
        };
        match (self.samples.form(root), self.part) {
            (Form::Plain, Part::Html) => {
                let write = other(format!("{root}{HTML_SUFFIX}"));
                self.say(line, format!("{name} is text from outside: in {file} write {write}"));
            }
            (Form::Escaped, Part::Subject | Part::Text) => {
                let write = other(root.trim_end_matches(HTML_SUFFIX).to_owned());
                self.say(line, format!("{name} is escaped for HTML: in {file} write {write}"));
            }
            (Form::Same, _)
            | (Form::Plain, Part::Subject | Part::Text)
            | (Form::Escaped, Part::Html) => {}
        }
        if needed && self.samples.is_optional(root) && !scope.is_certain(&variable) {
            let remedy = format!("put it inside {{{{#if {name}}}}}…{{{{/if}}}}");
            self.say(line, format!("{name} is not always there: {remedy}"));
        }
    }

    fn unknown_helper(&mut self, name: &str, line: usize) {
        if RUST_ONLY.contains(&name) {
            self.say(line, format!("SES does not know the helper {name}"));
        } else {
            self.say(line, format!("there is no helper {name}"));
        }
    }

    fn subexpression(&mut self, line: usize) {
        self.say(line, "SES knows no expressions in parentheses".to_owned());
    }

    /// The source from a place on.
    fn at(&self, line: usize, column: usize) -> &'a str {
        let text = self.source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let start = text.char_indices().nth(column.saturating_sub(1)).map_or(0, |(at, _)| at);
        &text[start..]
    }

    /// The line of an `{{else if x}}` after `line`; the parser does not keep it.
    fn else_line(&self, block: &HelperTemplate, line: usize) -> usize {
        let name = block.params.first().and_then(Parameter::as_name).unwrap_or_default();
        let mut lines = (1..).zip(self.source.lines()).skip(line.saturating_sub(1));
        let is_it = |text: &str| {
            text.split("{{")
                .any(|tag| tag.trim_start_matches('~').starts_with("else ") && tag.contains(name))
        };
        lines.find(|(_, text)| is_it(text)).map_or(line, |(line, _)| line)
    }
}

fn literal(param: &Parameter) -> Option<&str> {
    match param {
        Parameter::Literal(value) => value.as_str(),
        _ => None,
    }
}

fn block_params(param: Option<&BlockParam>) -> Vec<&str> {
    match param {
        None => Vec::new(),
        Some(BlockParam::Single(name)) => name.as_name().into_iter().collect(),
        Some(BlockParam::Pair((name, key))) => {
            [name.as_name(), key.as_name()].into_iter().flatten().collect()
        }
        Some(_) => Vec::new(),
    }
}
