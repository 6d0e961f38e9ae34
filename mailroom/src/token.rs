//! The token: a secret and its signature, and the 86 characters they are in a link.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::Secret;

/// A secret and the HMAC-SHA256 that signs it: 64 bytes, 86 characters in a link and on the wire.
///
/// Holding one proves nothing: [`Token::decode`] looks at the form alone. [`verify`](crate::verify)
/// tells whether the signature is good. Neither `Debug` nor anything but [`Token::encode`] and
/// [`Token::encode_into`] shows it, and equality is not constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    secret: Secret,
    mac: [u8; 32],
}

impl Token {
    /// Characters of an encoded token.
    pub const CHARS: usize = 86;

    pub(crate) fn new(secret: Secret, mac: [u8; 32]) -> Self {
        Self { secret, mac }
    }

    /// Base64url (RFC 4648 §5) without padding: always 86 characters.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut token = String::with_capacity(Self::CHARS);
        self.encode_into(&mut token);
        token
    }

    /// Appends the 86 characters of [`Token::encode`]; allocates only if `out` has no room.
    pub fn encode_into(&self, out: &mut String) {
        out.reserve(Self::CHARS);
        URL_SAFE_NO_PAD.encode_string([*self.secret.as_bytes(), self.mac].as_flattened(), out);
    }

    /// Reads what [`Token::encode`] wrote and nothing else: exactly 86 characters of the URL-safe
    /// alphabet, no padding, no blanks, and zeros in the four bits that are left over, so that a
    /// token has one spelling.
    ///
    /// # Errors
    /// [`Invalid`] for everything else.
    pub fn decode(token: &str) -> Result<Self, Invalid> {
        if token.len() != Self::CHARS {
            return Err(Invalid);
        }
        let mut halves = [[0; 32]; 2];
        let bytes = URL_SAFE_NO_PAD.decode_slice(token, halves.as_flattened_mut());
        let [secret, mac] = halves;
        match bytes {
            Ok(64) => Ok(Self { secret: Secret::from(secret), mac }),
            _ => Err(Invalid),
        }
    }

    /// The first half, by which the database finds the row.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(crate) fn mac(&self) -> &[u8; 32] {
        &self.mac
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The token is not ours. Why is nobody's business outside: length, alphabet, signature, action,
/// key and code all end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid token")]
pub struct Invalid;

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODED: &str =
        "EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZaCAuJvbeTjsK4wavjBwSAeoQ";

    #[test]
    fn a_token_has_one_spelling() {
        let token = Token::decode(ENCODED).unwrap();
        assert_eq!(token.secret(), &Secret::from([0x11; 32]));
        assert_eq!(token.encode(), ENCODED);

        let body = ENCODED.strip_suffix('Q').unwrap();
        for last in ["R", "S", "T", "Y", "f", "", "=", "Q=", "Q==", "Q ", "Q\n", "QA", "é"] {
            assert_eq!(Token::decode(&format!("{body}{last}")), Err(Invalid), "{last:?}");
        }
        for alien in ["+", "/", " ", "\n", "=", ".", "\0"] {
            assert_eq!(Token::decode(&ENCODED.replacen('n', alien, 1)), Err(Invalid), "{alien:?}");
        }
    }

    #[test]
    fn encode_into_appends_without_growing_a_string_with_room() {
        let mut link = String::with_capacity(200);
        link.push_str("https://example.com/activate/");
        let room = link.capacity();
        Token::decode(ENCODED).unwrap().encode_into(&mut link);
        assert_eq!(link, format!("https://example.com/activate/{ENCODED}"));
        assert_eq!(link.capacity(), room);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Token::decode(ENCODED).unwrap()), "Token(..)");
    }
}
