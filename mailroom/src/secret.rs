//! The random part of a token, by which its row is found.

use std::fmt;

/// 32 random bytes: `tokens.secret` in the database, and the first half of a [`Token`](crate::Token).
///
/// Equality is for maps. It is not constant time and proves nothing: only
/// [`verify`](crate::verify) says whether a token is ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The bytes, as the database has them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Secret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Secret {
    type Error = InvalidSecret;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidSecret> {
        bytes.try_into().map(Self).map_err(|_| InvalidSecret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The bytes are not 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is exactly 32 bytes")]
pub struct InvalidSecret;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_bytes_are_a_secret() {
        assert_eq!(Secret::try_from([7; 32].as_slice()), Ok(Secret::from([7; 32])));
        assert_eq!(Secret::try_from([7; 31].as_slice()), Err(InvalidSecret));
        assert_eq!(Secret::try_from([7; 33].as_slice()), Err(InvalidSecret));
        assert_eq!(Secret::try_from([].as_slice()), Err(InvalidSecret));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::from([7; 32])), "Secret(..)");
    }
}
