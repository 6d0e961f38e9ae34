//! Signing and verifying: HMAC-SHA256 over the action's path, the secret and, for some, the code.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{Action, Code, Invalid, Secret, SecretKey, Token};

/// Makes the token that allows `action` once. The message is `path ‖ secret`, or
/// `path ‖ secret ‖ code` if the action signs the code; otherwise the code is ignored.
///
/// # Errors
/// [`MissingCode`] if the action signs the code and there is none.
pub fn sign(
    key: &SecretKey,
    action: &Action,
    secret: &Secret,
    code: Option<&Code>,
) -> Result<Token, MissingCode> {
    let code = match code {
        _ if !action.signs_code() => None,
        Some(code) => Some(code),
        None => return Err(MissingCode),
    };
    Ok(Token::new(*secret, mac(key, action, secret, code).finalize().into_bytes().into()))
}

/// Checks a token as it came out of a link, and returns the secret that finds its row.
///
/// `code` is what the visitor typed, and is ignored if the action does not sign it. Every key is
/// tried, each in constant time, so that a key can be rotated: put the new one in front, drop the
/// old one when the last token it signed has expired. No keys, no valid token.
///
/// A good signature does not make a token live: expiry and use are the database's to know.
///
/// # Errors
/// [`Invalid`], whatever was wrong.
pub fn verify(
    keys: &[SecretKey],
    action: &Action,
    token: &str,
    code: Option<&str>,
) -> Result<Secret, Invalid> {
    let token = Token::decode(token)?;
    let code: Option<Code> = match code {
        _ if !action.signs_code() => None,
        Some(code) => Some(code.parse().map_err(|_| Invalid)?),
        None => return Err(Invalid),
    };
    let good = keys.iter().fold(false, |good, key| {
        let mac = mac(key, action, token.secret(), code.as_ref());
        good | mac.verify_slice(token.mac()).is_ok()
    });
    if good { Ok(*token.secret()) } else { Err(Invalid) }
}

fn mac(key: &SecretKey, action: &Action, secret: &Secret, code: Option<&Code>) -> Hmac<Sha256> {
    let mac = key.mac().chain_update(action.path()).chain_update(secret.as_bytes());
    match code {
        Some(code) => mac.chain_update(code.as_bytes()),
        None => mac,
    }
}

/// The action signs the code, and the row has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the action signs the code, and there is none")]
pub struct MissingCode;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        "deadbeef".repeat(8).parse().unwrap()
    }

    #[test]
    fn an_action_that_signs_the_code_needs_one() {
        let recovery = Action::password_recovery();
        let secret = Secret::from([0x11; 32]);
        let code = "06435".parse().unwrap();
        assert_eq!(sign(&key(), &recovery, &secret, None), Err(MissingCode));

        let token = sign(&key(), &recovery, &secret, Some(&code)).unwrap().encode();
        assert_eq!(verify(&[key()], &recovery, &token, Some("06435")), Ok(secret));
        for bad in [None, Some(""), Some("06436"), Some("6435"), Some("#####")] {
            assert_eq!(verify(&[key()], &recovery, &token, bad), Err(Invalid), "{bad:?}");
        }
    }

    #[test]
    fn an_action_that_does_not_sign_the_code_ignores_it() {
        let activation = Action::activation();
        let secret = Secret::from([0x11; 32]);
        let code = "06435".parse().unwrap();
        let token = sign(&key(), &activation, &secret, Some(&code)).unwrap();
        assert_eq!(Ok(token), sign(&key(), &activation, &secret, None));
        for code in [None, Some("06435"), Some("nonsense")] {
            assert_eq!(verify(&[key()], &activation, &token.encode(), code), Ok(secret));
        }
    }

    #[test]
    fn without_keys_nothing_is_valid() {
        let token = sign(&key(), &Action::activation(), &Secret::from([1; 32]), None).unwrap();
        assert_eq!(verify(&[], &Action::activation(), &token.encode(), None), Err(Invalid));
    }
}
