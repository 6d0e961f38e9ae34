//! What a mail's HTML must be: well-formed whichever way its conditions go, its links absolute, with
//! nothing that runs or is loaded from elsewhere, and variables only where escaping holds. Pure.

mod branches;
mod content;
mod sink;

use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::tokenizer::TokenizerOpts;
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{ParseOpts, parse_document};

use self::branches::documents;
use self::content::{Content, content};
use self::sink::{Errors, Sink};
use super::language::Found;

/// What a link may begin with.
const LINKS: [&str; 4] = ["https://", "http://", "mailto:", BASE_URL];

/// What else is loaded may only come from there.
const BASE_URL: &str = "{{base_url}}";

/// Attributes whose value is loaded without being asked for.
const LOADED: [&str; 9] = [
    "src",
    "srcset",
    "imagesrcset",
    "background",
    "poster",
    "lowsrc",
    "dynsrc",
    "manifest",
    "codebase",
];

/// Those whose value is a list.
const LISTS: [&str; 2] = ["srcset", "imagesrcset"];

/// Attributes whose value is a link.
const LINKED: [&str; 4] = ["href", "xlink:href", "cite", "longdesc"];

/// Elements that run, load or hide something, ask for something, or turn links elsewhere.
const FORBIDDEN: [&str; 17] = [
    "script",
    "iframe",
    "object",
    "embed",
    "base",
    "form",
    "input",
    "svg",
    "math",
    "applet",
    "frame",
    "frameset",
    "noframes",
    "noembed",
    "xmp",
    "plaintext",
    "template",
];

/// Likewise, attributes; and all that begin with `on`.
const FORBIDDEN_ATTRIBUTES: [&str; 4] = ["formaction", "action", "srcdoc", "ping"];

/// CSS that loads something.
const LOADING_CSS: [&str; 3] = ["@import", "url(", "image-set("];

/// Everything that is wrong with a `body.html`. One that is not Handlebars has no HTML to look at.
pub fn check(source: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for document in documents(source) {
        let errors = parse(&document).into_iter();
        found.extend(errors.map(|(line, error)| (line, format!("HTML: {}", readable(&error)))));
        let Content { elements, attributes, css, misplaced } = content(&document);
        for (line, element) in elements {
            if FORBIDDEN.contains(&element.as_str()) {
                found.push((line, not_for_mail(&format!("<{element}>"))));
            }
        }
        for (line, element, name, value) in attributes {
            found.extend(attribute(&element, &name, value.trim()).map(|said| (line, said)));
        }
        found.extend(css.iter().flat_map(|(line, css)| styles(*line, css)));
        for (line, place) in misplaced {
            let only = "in body.html it may only be in text, or in a quoted value";
            found.push((line, format!("a variable {place}: {only}")));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn not_for_mail(what: &str) -> String {
    format!("{what} is not for mail: leave it out")
}

/// What is wrong with an attribute.
fn attribute(element: &str, name: &str, value: &str) -> Option<String> {
    if name.starts_with("on") || FORBIDDEN_ATTRIBUTES.contains(&name) {
        return Some(not_for_mail(name));
    }
    if element == "meta" && name == "http-equiv" && value.eq_ignore_ascii_case("refresh") {
        return Some(not_for_mail(&format!("{name} {value:?}")));
    }
    if LOADED.contains(&name) || (element == "link" && name == "href") {
        let is_from_us = match LISTS.contains(&name) {
            true => value.split(',').all(|url| is_ours(url.trim())),
            false => is_ours(value),
        };
        let remedy = format!("only what begins with {BASE_URL}/ may be");
        return (!is_from_us)
            .then(|| format!("{name} {value:?} is loaded from elsewhere: {remedy}"));
    }
    let is_absolute = LINKS
        .iter()
        .any(|link| if *link == BASE_URL { is_ours(value) } else { value.starts_with(link) });
    (LINKED.contains(&name) && !is_absolute).then(|| {
        let remedy = format!("begin it with {}/", LINKS.join(", "));
        format!("{name} {value:?} is not absolute: {remedy}")
    })
}

/// Whether it begins with [`BASE_URL`], all of it: what follows could make it another host's.
fn is_ours(url: &str) -> bool {
    let rest = url.strip_prefix(BASE_URL);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// What is wrong with a piece of CSS.
fn styles(line: usize, css: &str) -> Vec<Found> {
    let css = css.to_ascii_lowercase();
    let loading = LOADING_CSS.into_iter().filter(|what| css.contains(what));
    let mut found: Vec<Found> = loading
        .map(|what| (line, format!("{what} in CSS loads something from elsewhere")))
        .collect();
    if css.contains('\\') {
        let remedy = "write the character itself";
        found.push((line, format!("a backslash in CSS may hide something: {remedy}")));
    }
    found
}

/// The parser shows tokens and names as it keeps them: people want the tag.
fn readable(error: &str) -> String {
    let between = |start: &str, end: &str| {
        let (_, rest) = error.split_once(start)?;
        rest.split_once(end).map(|(name, _)| name.trim_matches(['\\', '\'', '"']).to_owned())
    };
    let slash = if error.contains("kind: EndTag") { "/" } else { "" };
    if let Some(name) = between("name: Atom(", " type=") {
        format!("<{slash}{name}> does not belong here")
    } else if let Some(name) = between("Unexpected open element while closing Atom(", " type=") {
        format!("</{name}>, but something in it is not closed")
    } else if let Some(name) = between("xhtml}:", " at end of body") {
        format!("<{name}> is not closed")
    } else {
        error.to_owned()
    }
}

fn parse(document: &str) -> Errors {
    let options = ParseOpts {
        tokenizer: TokenizerOpts { exact_errors: true, ..TokenizerOpts::default() },
        tree_builder: TreeBuilderOpts { exact_errors: true, ..TreeBuilderOpts::default() },
    };
    parse_document(Sink::default(), options).one(StrTendril::from(document))
}
