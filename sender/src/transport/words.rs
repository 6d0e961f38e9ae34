//! A provider's words, made fit to be stored and logged.

/// Longest reason, in characters.
const WORDS_CHARS_MAX: usize = 500;

/// Longest message id, in characters.
const ID_CHARS_MAX: usize = 200;

/// A run of a token's characters that is so long may be one: 43 of them hold the secret.
const TOKEN_CHARS_MIN: usize = 40;

/// What stands in the place of a token.
const TOKEN: &str = "<token>";

/// What stands in the place of an address.
const ADDRESS: &str = "<address>";

/// The words without addresses, tokens and control characters, at most 500 characters, all ASCII: a
/// database in another encoding can store them, whatever the provider said.
pub fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(2 * WORDS_CHARS_MAX));
    let mut rest = text.chars().map(|c| if c.is_control() { ' ' } else { c }).peekable();
    while let Some(c) = rest.next() {
        let domain_follows = rest.peek().is_some_and(|&c| is_domain(c) || c == '[');
        if c != '@' || !domain_follows || !take_local_part(&mut out) {
            out.push(c);
            continue;
        }
        if rest.next_if_eq(&'[').is_some() {
            while rest.next_if(|&c| c != ']').is_some() {}
            rest.next();
        }
        let mut last = None;
        while let Some(c) = rest.next_if(|&c| is_domain(c)) {
            last = Some(c);
        }
        out.push_str(ADDRESS);
        // A full stop after an address ends the sentence.
        out.extend(last.filter(|&c| c == '.'));
    }
    // Only now: what is in place of a character may look like the end of an address.
    let plain: String = out.chars().map(plain).collect();
    without_tokens(&plain).chars().take(WORDS_CHARS_MAX).collect()
}

/// Without what may be a token, or most of one: a spam filter quotes the link.
fn without_tokens(text: &str) -> String {
    let in_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !in_token(c)) {
        let run = piece.trim_end_matches(|c| !in_token(c));
        if run.len() >= TOKEN_CHARS_MIN {
            out.push_str(TOKEN);
            out.push_str(piece.get(run.len()..).unwrap_or_default());
        } else {
            out.push_str(piece);
        }
    }
    out
}

/// A provider's message id as it came, but for control characters; at most 200 characters.
pub fn message_id(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).map(plain).take(ID_CHARS_MAX).collect()
}

fn plain(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' => '\'',
        c if c.is_ascii() => c,
        _ => '?',
    }
}

/// Takes the local part off the end of `out`; false if there is none.
fn take_local_part(out: &mut String) -> bool {
    let start = match out.strip_suffix('"') {
        Some(quoted) => quoted.rfind('"').unwrap_or(quoted.len()),
        None => out.rfind(is_delimiter).map_or(0, |at| at + delimiter_len(out, at)),
    };
    let found = start < out.len();
    out.truncate(start);
    found
}

fn delimiter_len(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '\\')
}

fn is_domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_taken_out() {
        for (text, expected) in [
            ("", ""),
            ("Maximum sending rate exceeded.", "Maximum sending rate exceeded."),
            ("for ann@example.com.", "for <address>."),
            ("<ann@example.com>", "<<address>>"),
            ("to:ann@example.com,bob@example.org", "to:<address>,<address>"),
            ("o'brien+x=y{z}@sub.example.com bounced", "<address> bounced"),
            ("\"ann b\"@example.com bounced", "<address> bounced"),
            ("zoë@bücher.example: no", "<address>: no"),
            ("ann@[192.0.2.1] bounced", "<address> bounced"),
            ("mail @home and @ and a@ b", "mail @home and @ and a@ b"),
            ("a@b@c", "<address>@c"),
            ("one\r\ntwo\0three", "one  two three"),
            ("That isn\u{2019}t allowed, señor", "That isn't allowed, se?or"),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn words_are_bounded_in_characters() {
        assert_eq!(words(&"é".repeat(600)).chars().count(), 500);
        assert_eq!(words(&"é".repeat(500)).chars().count(), 500);
    }

    #[test]
    fn an_id_stays_as_it_is() {
        assert_eq!(
            message_id("0100-1@eu-west-1.amazonses.com\n"),
            "0100-1@eu-west-1.amazonses.com"
        );
        assert_eq!(message_id(&"x".repeat(300)).len(), 200);
    }

    proptest! {
        #[test]
        fn no_address_survives(before in ".{0,40}", after in ".{0,40}") {
            let words = words(&format!("{before} ann.lee@mail.example {after}"));
            prop_assert!(!words.contains("ann.lee"));
            prop_assert!(!words.chars().any(char::is_control));
        }
    }
}
