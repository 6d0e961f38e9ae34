//! What is in a document, token by token: every tag with its attributes, CSS, and where variables
//! stand that must not. What a comment shows to Outlook alone is looked at as well.

use std::cell::{Cell, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// How deep comments are looked into: the one in another never ends.
const DEEP_MAX: usize = 3;

/// What was seen, each with its line.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Opened elements.
    pub(super) elements: Vec<(usize, String)>,
    /// Line, element, attribute, value.
    pub(super) attributes: Vec<(usize, String, String, String)>,
    /// CSS, of elements and attributes.
    pub(super) css: Vec<(usize, String)>,
    /// Where a variable stands that must not.
    pub(super) misplaced: Vec<(usize, &'static str)>,
}

/// What is in `document`, in which a variable is `{{name }}`: only quotes keep that together.
pub(super) fn content(document: &str) -> Content {
    let mut content = Content::default();
    read(document, 0, 0, &mut content);
    content
}

/// Adds what is in `text`, which begins so many lines after the first.
fn read(text: &str, lines: usize, deep: usize, content: &mut Content) {
    let tokenizer = Tokenizer::new(Tokens::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(text));
    // It pauses for scripts alone, and is never told of one.
    _ = tokenizer.feed(&input);
    tokenizer.end();
    let Tokens { content: seen, comments, .. } = tokenizer.sink;
    let seen = seen.into_inner();
    let at = |line: usize| line + lines;
    content.elements.extend(seen.elements.into_iter().map(|(line, name)| (at(line), name)));
    let attributes = seen.attributes.into_iter();
    content.attributes.extend(attributes.map(|(line, tag, name, to)| (at(line), tag, name, to)));
    content.css.extend(seen.css.into_iter().map(|(line, css)| (at(line), css)));
    content.misplaced.extend(seen.misplaced.into_iter().map(|(line, place)| (at(line), place)));
    for (line, comment) in comments.into_inner() {
        // `[if mso]>…<![endif]`
        let is_conditional =
            comment.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("[if"));
        if let Some((_, shown)) = comment.split_once("]>")
            && is_conditional
            && deep < DEEP_MAX
        {
            let below = shown.matches('\n').count();
            read(shown, at(line).saturating_sub(below + 1), deep + 1, content);
        }
    }
}

#[derive(Default)]
struct Tokens {
    content: RefCell<Content>,
    comments: RefCell<Vec<(usize, String)>>,
    /// Whether what comes is CSS.
    is_css: Cell<bool>,
}

/// Whether there is one, or a part of one.
fn has_variable(text: &str) -> bool {
    text.contains("{{") || text.contains("}}")
}

impl Tokens {
    fn tag(&self, tag: &Tag, line: usize) -> TokenSinkResult<()> {
        let mut content = self.content.borrow_mut();
        let name = tag.name.to_string();
        let mut names = tag.attrs.iter().map(|attribute| &*attribute.name.local);
        if has_variable(&name) || names.any(has_variable) {
            content.misplaced.push((line, "in a tag"));
            return TokenSinkResult::Continue;
        }
        self.is_css.set(false);
        if tag.kind == TagKind::EndTag {
            return TokenSinkResult::Continue;
        }
        for attribute in &tag.attrs {
            let (attribute, value) = (attribute.name.local.to_string(), &*attribute.value);
            if attribute == "style" {
                if has_variable(value) {
                    content.misplaced.push((line, "in style="));
                }
                content.css.push((line, value.to_owned()));
            }
            let value = value.replace(" }}", "}}");
            content.attributes.push((line, name.clone(), attribute, value));
        }
        let next = match name.as_str() {
            "style" => {
                self.is_css.set(true);
                TokenSinkResult::RawData(RawKind::Rawtext)
            }
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        };
        content.elements.push((line, name));
        next
    }
}

impl TokenSink for Tokens {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        let line = usize::try_from(line).unwrap_or(usize::MAX).max(1);
        let misplaced = |place| self.content.borrow_mut().misplaced.push((line, place));
        match token {
            Token::TagToken(tag) => return self.tag(&tag, line),
            Token::CommentToken(text) => {
                if has_variable(&text) {
                    misplaced("in a comment");
                }
                self.comments.borrow_mut().push((line, text.to_string()));
            }
            Token::CharacterTokens(text) if self.is_css.get() => {
                if text.contains("{{") {
                    misplaced("in <style>");
                }
                self.content.borrow_mut().css.push((line, text.to_string()));
            }
            Token::DoctypeToken(doctype) => {
                let parts = [doctype.name, doctype.public_id, doctype.system_id];
                if parts.iter().flatten().any(|part| has_variable(part)) {
                    misplaced("in a tag");
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}
