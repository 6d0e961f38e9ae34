//! The key that signs tokens: read once from 64 hexadecimal digits, never shown again.

use std::{fmt, str::FromStr};

/// The HMAC key, 32 bytes. The collector signs with one; an application verifies with one or more.
///
/// There is no way to print it: `Debug` says `SecretKey(..)` and there is no `Display`.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for SecretKey {
    type Err = InvalidSecretKey;

    /// Reads exactly 64 hexadecimal digits, either case, with nothing around them.
    fn from_str(digits: &str) -> Result<Self, InvalidSecretKey> {
        let digits: &[u8; 64] = digits.as_bytes().try_into().map_err(|_| InvalidSecretKey)?;
        let (pairs, _) = digits.as_chunks::<2>();
        let mut key = [0; 32];
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self(key))
    }
}

fn nibble(digit: u8) -> Result<u8, InvalidSecretKey> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(InvalidSecretKey),
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// What was given is not a key. Says nothing of what it was: it may be most of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret key is exactly 64 hexadecimal digits")]
pub struct InvalidSecretKey;

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00010203040506070809a0b0c0d0e0f0ff7F80FEdeadBEEFDEADbeef01234567";

    #[test]
    fn either_case_is_read() {
        let key: SecretKey = DIGITS.parse().unwrap();
        assert!(key.as_bytes().starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa0, 0xb0]));
        assert!(key.as_bytes().ends_with(&[0xde, 0xad, 0xbe, 0xef, 0x01, 0x23, 0x45, 0x67]));
        let upper: SecretKey = DIGITS.to_uppercase().parse().unwrap();
        assert_eq!(key.as_bytes(), upper.as_bytes());
    }

    #[test]
    fn anything_but_64_digits_is_refused_without_an_echo() {
        let spaced = format!(" {DIGITS}");
        let prefixed = format!("0x{}", DIGITS.get(2..).unwrap());
        let wrong = DIGITS.replace('7', "g");
        let signed = DIGITS.replacen("00", "+1", 1);
        let wide = DIGITS.replacen("00", "é", 1);
        let short = DIGITS.get(1..).unwrap();
        for bad in ["", short, &spaced, &prefixed, &wrong, &signed, &wide] {
            let error = bad.parse::<SecretKey>().unwrap_err();
            assert_eq!(error.to_string(), "a secret key is exactly 64 hexadecimal digits");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let key: SecretKey = DIGITS.parse().unwrap();
        assert_eq!(format!("{key:?} {key:#?}"), "SecretKey(..) SecretKey(..)");
    }
}
