//! What a name means where it stands: inside `each` and `with`, names are those of what they hold.

use serde_json::Value;

use crate::templates::samples::HTML_SUFFIX;

/// In place of an index, in the path of what stands inside `each`.
const ANY: &str = "*";

/// What a name means.
#[derive(Clone)]
pub(super) enum Use<'a> {
    /// `@index` and the like, and what a partial was given.
    Local,
    /// The name of something in what a token carries.
    Key,
    /// A variable, or something in it.
    Variable(Variable<'a>),
    /// Nothing.
    Unknown,
}

/// A variable, or something in it.
#[derive(Clone)]
pub(super) struct Variable<'a> {
    path: Vec<String>,
    /// Its sample; `None` where the sample is an empty list.
    value: Option<&'a Value>,
}

impl<'a> Variable<'a> {
    /// The name of the variable itself.
    pub(super) fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// What the sample has there.
    pub(super) fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// Both forms of a text are there or not there together.
    fn key(&self) -> Vec<&str> {
        let mut key: Vec<&str> = self.path.iter().map(String::as_str).collect();
        if let Some(root) = key.first_mut() {
            *root = root.strip_suffix(HTML_SUFFIX).unwrap_or(root);
        }
        key
    }
}

/// Where we are.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    /// The innermost last; the first is the mail.
    frames: Vec<Frame<'a>>,
    /// What an `if` around has made sure of.
    certain: Vec<Variable<'a>>,
}

#[derive(Clone)]
struct Frame<'a> {
    this: Variable<'a>,
    /// Names given by `as |x|` or to a partial, and what they mean.
    names: Vec<(String, Use<'a>)>,
}

impl<'a> Scope<'a> {
    pub(super) fn root(all: &'a Value) -> Self {
        let this = Variable { path: Vec::new(), value: Some(all) };
        Self { frames: vec![Frame { this, names: Vec::new() }], certain: Vec::new() }
    }

    /// Inside a block that is there only if `variable` is.
    pub(super) fn certain(mut self, variable: &Variable<'a>) -> Self {
        self.certain.push(variable.clone());
        self
    }

    /// Inside `with`, or `each`, or a partial: names are those of `variable`, or of what it holds.
    pub(super) fn within(mut self, variable: &Variable<'a>, each: bool, names: &[&str]) -> Self {
        let mut this = variable.clone();
        if each {
            this.path.push(ANY.to_owned());
            // What is known of one item is not known of another.
            self.certain.retain(|known| !known.key().starts_with(&this.key()));
            this.value = match this.value {
                Some(Value::Array(values)) => values.first(),
                Some(Value::Object(map)) => map.values().next(),
                _ => None,
            };
        }
        let mut given = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let means = if place == 0 { Use::Variable(this.clone()) } else { Use::Key };
            given.push(((*name).to_owned(), means));
        }
        self.certain.push(this.clone());
        self.frames.push(Frame { this, names: given });
        self
    }

    /// Inside a partial that was given these.
    pub(super) fn with_names<'n>(&self, names: impl Iterator<Item = &'n str>) -> Self {
        let mut scope = self.clone();
        if let Some(frame) = scope.frames.last_mut() {
            frame.names.extend(names.map(|name| (name.to_owned(), Use::Local)));
        }
        scope
    }

    /// Whether an `if` around makes sure of it, or of something in it. That something is there says
    /// nothing about what is in it.
    pub(super) fn is_certain(&self, variable: &Variable<'_>) -> bool {
        self.certain.iter().any(|known| known.key().starts_with(&variable.key()))
    }

    /// What `name` means: a path as it is written, `../team.name` say.
    pub(super) fn resolve(&self, name: &str) -> Use<'a> {
        let mut rest = name;
        let mut frames = self.frames.as_slice();
        if let Some(inner) = rest.strip_prefix("@root") {
            frames = &frames[..1];
            rest = inner.trim_start_matches(['.', '/']);
        } else if rest.starts_with('@') {
            return local(rest);
        }
        while let Some(inner) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("..")) {
            let [outer @ .., _] = frames else { return Use::Unknown };
            if outer.is_empty() {
                return Use::Unknown;
            }
            frames = outer;
            rest = inner;
        }
        if rest.starts_with('@') {
            return local(rest);
        }
        let Some(frame) = frames.last() else { return Use::Unknown };
        let mut steps =
            rest.split(['.', '/']).filter(|step| !matches!(*step, "" | "this")).peekable();
        let mut variable = frame.this.clone();
        if let Some(first) = steps.peek()
            && let Some((_, given)) =
                frames.iter().rev().flat_map(|frame| &frame.names).find(|(name, _)| name == first)
        {
            let Use::Variable(given) = given else { return given.clone() };
            variable = given.clone();
            steps.next();
        }
        for step in steps {
            let step = step.trim_matches(['[', ']']);
            variable.path.push(step.to_owned());
            variable.value = match variable.value {
                None => None,
                Some(Value::Object(map)) if map.contains_key(step) => map.get(step),
                Some(Value::Array(values)) => match step.parse::<usize>() {
                    Ok(index) => values.get(index).or(values.first()),
                    Err(_) => return Use::Unknown,
                },
                Some(_) => return Use::Unknown,
            };
        }
        if variable.path.is_empty() { Use::Unknown } else { Use::Variable(variable) }
    }
}

/// What `@index` and the like mean, and `@../index`.
fn local(name: &str) -> Use<'static> {
    let name = name.rsplit(['@', '/', '.']).next().unwrap_or_default();
    if matches!(name, "index" | "first" | "last") { Use::Local } else { Use::Key }
}
