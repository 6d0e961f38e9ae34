//! What a mail's HTML must be: well-formed whichever way its conditions go, its links absolute, and
//! with nothing that is loaded from elsewhere. Pure.

mod branches;
mod sink;

use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::tokenizer::TokenizerOpts;
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{ParseOpts, parse_document};

use self::branches::documents;
use self::sink::{Seen, Sink};
use super::language::Found;

/// What a link may begin with.
const LINKS: [&str; 4] = ["https://", "http://", "mailto:", BASE_URL];

/// What else is loaded may only come from there.
const BASE_URL: &str = "{{base_url}}";

/// Attributes whose value is loaded without being asked for.
const LOADED: [&str; 4] = ["src", "srcset", "background", "poster"];

/// Everything that is wrong with a `body.html`. One that is not Handlebars has no HTML to look at.
pub fn check(source: &str) -> Vec<Found> {
    let mut found = styles(source);
    for document in documents(source) {
        let seen = parse(&document);
        let errors = seen.errors.into_iter();
        found.extend(errors.map(|(line, error)| (line, format!("HTML: {}", readable(&error)))));
        for (line, element, name, value) in seen.attributes {
            let value = value.trim();
            let is_loaded =
                LOADED.contains(&name.as_str()) || (element == "link" && name == "href");
            if is_loaded && !value.starts_with(BASE_URL) {
                let remedy = format!("only what begins with {BASE_URL} may be");
                found.push((line, format!("{name} {value:?} is loaded from elsewhere: {remedy}")));
            }
            if !is_loaded && name == "href" && !LINKS.iter().any(|link| value.starts_with(link)) {
                let remedy = format!("begin it with {}", LINKS.join(", "));
                found.push((line, format!("href {value:?} is not absolute: {remedy}")));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// CSS that loads something, in a `<style>` or in an attribute.
fn styles(source: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(source.lines()) {
        let text = text.to_ascii_lowercase();
        for css in ["@import", "url("] {
            if text.contains(css) {
                found.push((line, format!("{css} in CSS loads something from elsewhere")));
            }
        }
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

fn parse(document: &str) -> Seen {
    let options = ParseOpts {
        tokenizer: TokenizerOpts { exact_errors: true, ..TokenizerOpts::default() },
        tree_builder: TreeBuilderOpts { exact_errors: true, ..TreeBuilderOpts::default() },
    };
    parse_document(Sink::default(), options).one(StrTendril::from(document))
}
