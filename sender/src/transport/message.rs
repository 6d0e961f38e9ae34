//! A letter as the bytes of a message: RFC 5322, MIME, 7 bits.

use std::fmt::Write as _;

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use mailroom::Token;
use render::Letter;
use sha2::{Digest, Sha256};

use super::Mail;
use super::address::recipient;

/// Whom our mail is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `From`.
    pub from: Mailbox,
    /// `Reply-To`.
    pub reply_to: Option<Mailbox>,
    /// Where bounces go: one `local@domain`.
    pub envelope_sender: String,
}

/// Reads an address, or a name and an address in angle brackets. Its domain becomes ASCII.
///
/// # Errors
/// What is wrong with it, and the remedy.
pub fn mailbox(text: &str) -> Result<Mailbox, String> {
    let (name, address) = match text.rsplit_once('<') {
        Some((name, address)) => (name.trim(), address.strip_suffix('>').unwrap_or_default()),
        None => ("", text.trim()),
    };
    let wrong = |why: &str| format!("{text:?} is not an address, or Name <address>: {why}");
    let address = recipient(address).map_err(wrong)?;
    let address: Address = address.parse().map_err(|_| wrong("address: not well-formed"))?;
    if name.contains(char::is_control) {
        return Err(wrong("the name has control characters"));
    }
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address))
}

/// A message and its envelope.
pub struct Message {
    /// `MAIL FROM`, without brackets.
    pub from: String,
    /// `RCPT TO`, likewise.
    pub to: String,
    /// What identifies it, without brackets and domain.
    pub id: String,
    /// Headers and body, with CRLF; plain ASCII.
    pub bytes: String,
}

impl Message {
    /// The message of `mail`.
    ///
    /// # Errors
    /// Why there can be none, without addresses.
    pub fn new(origin: &Origin, mail: &Mail, letter: &Letter) -> Result<Self, String> {
        let to = recipient(&mail.email)?;
        let id = id(mail)?;
        let bytes = String::from_utf8(mime(origin, &id, &to, letter)?)
            .ok()
            .filter(|bytes| bytes.is_ascii())
            .ok_or("message: not all of it is ASCII")?;
        Ok(Self { from: origin.envelope_sender.clone(), to, id, bytes })
    }

    /// As DATA wants it: dots at the start of a line doubled, and one alone at the end (RFC 5321,
    /// 4.5.2).
    pub fn dotted(&self) -> String {
        let mut out = String::with_capacity(self.bytes.len() + 64);
        for line in self.bytes.split_inclusive("\r\n") {
            if line.starts_with('.') {
                out.push('.');
            }
            out.push_str(line);
        }
        if !out.ends_with("\r\n") {
            out.push_str("\r\n");
        }
        out.push_str(".\r\n");
        out
    }
}

fn mime(origin: &Origin, id: &str, to: &str, letter: &Letter) -> Result<Vec<u8>, String> {
    let address: Address =
        to.parse().map_err(|_| "address: not a plain local@domain".to_owned())?;
    let mut builder = lettre::Message::builder()
        .from(origin.from.clone())
        .to(Mailbox::new(None, address))
        .subject(letter.subject.as_str())
        .date_now()
        .message_id(Some(format!("<{id}@{}>", origin.from.email.domain())))
        // No vacation answers to what a machine has sent (RFC 3834).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    if let Some(reply_to) = &origin.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    let part = |kind, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
    let message = builder
        .multipart(
            MultiPart::alternative()
                .singlepart(part(ContentType::TEXT_PLAIN, &letter.text))
                .singlepart(part(ContentType::TEXT_HTML, &letter.html)),
        )
        .map_err(|error| format!("message: {error}"))?;
    Ok(message.formatted())
}

/// The same for every attempt to send a token, so that a receiver can drop the second one; it says
/// nothing of the token.
fn id(mail: &Mail) -> Result<String, String> {
    let token = Token::decode(&mail.token).map_err(|_| "the token is not one".to_owned())?;
    let digest = Sha256::digest(token.secret().as_bytes());
    let mut id = String::new();
    for byte in digest.iter().take(16) {
        // Writing to a string cannot fail.
        _ = write!(id, "{byte:02x}");
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &str) -> String {
        let [from, to, id] = [(); 3].map(|()| String::new());
        Message { from, to, id, bytes: bytes.to_owned() }.dotted()
    }

    #[test]
    fn a_dot_at_the_start_of_a_line_never_ends_a_message() {
        assert_eq!(message(".a\r\n.\r\nb.\r\n"), "..a\r\n..\r\nb.\r\n.\r\n");
        assert_eq!(message("a"), "a\r\n.\r\n");
    }

    #[test]
    fn a_mailbox_is_an_address_with_or_without_a_name() {
        for (text, expected) in [
            ("noreply@localhost", "noreply@localhost"),
            ("Post <noreply@b\u{fc}cher.example>", "Post <noreply@xn--bcher-kva.example>"),
            ("\"Post, Inc.\" <a@b.example>", "\"Post, Inc.\" <a@b.example>"),
        ] {
            assert_eq!(mailbox(text).unwrap().to_string(), expected);
        }
        for text in ["", "a", "a@b, c@d", "A <a@b", "A\r\nBcc: c@d <a@b.example>"] {
            assert!(mailbox(text).is_err(), "{text:?}");
        }
    }
}
