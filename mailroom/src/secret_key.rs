//! The key that signs tokens: read once from 64 hexadecimal digits, never shown again.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, digest::Key};
use sha2::Sha256;

/// The HMAC key, 32 bytes. The collector signs with one; an application verifies with one or more.
///
/// There is no way to print it: `Debug` says `SecretKey(..)` and there is no `Display`.
///
/// Kept as what HMAC makes of it, which is half of the work of a signature.
#[derive(Clone)]
pub struct SecretKey(Hmac<Sha256>);

impl SecretKey {
    /// A signature to be made with it.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.0.clone()
    }
}

impl FromStr for SecretKey {
    type Err = InvalidSecretKey;

    /// Reads exactly 64 hexadecimal digits, either case, with nothing around them.
    fn from_str(digits: &str) -> Result<Self, InvalidSecretKey> {
        let digits: &[u8; 64] = digits.as_bytes().try_into().map_err(|_| InvalidSecretKey)?;
        let (pairs, _) = digits.as_chunks::<2>();
        // HMAC fills a short key up with zeros; doing so here leaves no error to handle.
        let mut key = Key::<Hmac<Sha256>>::default();
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self(Hmac::new(&key)))
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
    use hmac::Mac;

    use super::*;

    const DIGITS: &str = "00010203040506070809a0b0c0d0e0f0ff7F80FEdeadBEEFDEADbeef01234567";

    fn signature(key: &SecretKey) -> [u8; 32] {
        key.mac().chain_update("message").finalize().into_bytes().into()
    }

    #[test]
    fn every_digit_counts_in_either_case() {
        let key: SecretKey = DIGITS.parse().unwrap();
        let bytes = b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\xa0\xb0\xc0\xd0\xe0\xf0\
            \xff\x7f\x80\xfe\xde\xad\xbe\xef\xde\xad\xbe\xef\x01\x23\x45\x67";
        let expected = Hmac::<Sha256>::new_from_slice(bytes).unwrap().chain_update("message");
        assert_eq!(signature(&key), <[u8; 32]>::from(expected.finalize().into_bytes()));
        let upper: SecretKey = DIGITS.to_uppercase().parse().unwrap();
        assert_eq!(signature(&key), signature(&upper));
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
