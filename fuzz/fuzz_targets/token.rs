//! The token decoder: what it accepts has one spelling, and no key vouches for it by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailroom::{Action, SecretKey, Token, verify};

fuzz_target!(|text: &str| {
    if let Ok(token) = Token::decode(text) {
        assert_eq!(token.encode(), text);
    }
    let key: SecretKey = "5a".repeat(32).parse().expect("is a key");
    assert!(verify(&[key], &Action::password_recovery(), text, Some("01234")).is_err());
    _ = text.parse::<SecretKey>();
});
