//! What holds for any input.

use mailroom::line::{self, LINE_BYTES_MAX, ROWS_PER_LINE_MAX, Row};
use mailroom::{Action, ActionNumber, Code, Invalid, Secret, SecretKey, Token, sign, verify};
use proptest::prelude::*;

fn key() -> impl Strategy<Value = SecretKey> {
    "[0-9a-fA-F]{64}".prop_map(|digits| digits.parse().unwrap())
}

fn code() -> impl Strategy<Value = Code> {
    "[0-9]{5}".prop_map(|digits| digits.parse().unwrap())
}

fn number() -> impl Strategy<Value = ActionNumber> {
    (1..=32767_u16).prop_map(|number| ActionNumber::new(number).unwrap())
}

fn action() -> impl Strategy<Value = Action> {
    (number(), "/[!-~]{1,63}", any::<bool>())
        .prop_map(|(number, path, code_signed)| Action::new(number, path, code_signed).unwrap())
}

fn token() -> impl Strategy<Value = Token> {
    (key(), action(), any::<[u8; 32]>(), code()).prop_map(|(key, action, secret, code)| {
        sign(&key, &action, &Secret::from(secret), Some(&code)).unwrap()
    })
}

/// Rows whose texts come from a pattern.
fn row(email: &'static str, login: &'static str) -> impl Strategy<Value = Row> {
    (number(), email, login, token(), prop::option::of(code())).prop_map(
        |(action, email, login, token, code)| Row::new(action, email, login, token, code).unwrap(),
    )
}

/// Anything a field may hold, with what csv finds special more often than chance would have it.
fn any_row() -> impl Strategy<Value = Row> {
    prop_oneof![
        row("[\",# a]{1,9}", "[\",# a]{0,9}"),
        row("[^\\p{Cc}\u{2028}\u{2029}]{1,254}", "[^\\p{Cc}\u{2028}\u{2029}]{0,254}"),
    ]
}

fn written(rows: &[Row]) -> Vec<u8> {
    let mut out = Vec::new();
    line::write(rows, &mut out);
    out
}

/// The same bytes with one bit, counted over the whole, turned.
fn flipped(token: &Token, bit: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut chars = token.encode().into_bytes();
    let value = ALPHABET.iter().position(|&c| c == chars[bit / 6]).unwrap();
    chars[bit / 6] = ALPHABET[value ^ (1 << (5 - bit % 6))];
    String::from_utf8(chars).unwrap()
}

proptest! {
    #[test]
    fn a_signed_token_survives_its_encoding_and_verifies(
        key in key(), other in key(), action in action(), secret in any::<[u8; 32]>(), code in code(),
    ) {
        let secret = Secret::from(secret);
        let token = sign(&key, &action, &secret, Some(&code)).unwrap();
        let encoded = token.encode();
        prop_assert_eq!(encoded.len(), Token::CHARS);
        prop_assert_eq!(Token::decode(&encoded), Ok(token));
        prop_assert_eq!(token.secret(), &secret);
        let keys = [other, key];
        prop_assert_eq!(verify(&keys, &action, &encoded, Some(code.as_str())), Ok(secret));
    }

    #[test]
    fn any_flipped_bit_is_invalid(
        key in key(), action in action(), secret in any::<[u8; 32]>(), code in code(),
        // 86 characters of six bits: the last four must be zero.
        bit in 0..516_usize,
    ) {
        let token = sign(&key, &action, &Secret::from(secret), Some(&code)).unwrap();
        let bad = flipped(&token, bit);
        prop_assert_eq!(verify(&[key], &action, &bad, Some(code.as_str())), Err(Invalid));
    }

    #[test]
    fn any_other_code_key_or_action_is_invalid(
        key in key(), other_key in key(), secret in any::<[u8; 32]>(),
        code in code(), other_code in code(), path in "/[a-z]{1,20}",
    ) {
        let action = Action::password_recovery();
        let other_action = Action::new(action.number(), path, true).unwrap();
        let token = sign(&key, &action, &Secret::from(secret), Some(&code)).unwrap().encode();
        let code = Some(code.as_str());
        prop_assume!(code != Some(other_code.as_str()) && other_action != action);
        let bad_code = verify(std::slice::from_ref(&key), &action, &token, Some(other_code.as_str()));
        prop_assert_eq!(bad_code, Err(Invalid));
        prop_assert_eq!(verify(&[other_key], &action, &token, code), Err(Invalid));
        prop_assert_eq!(verify(&[key], &other_action, &token, code), Err(Invalid));
    }

    #[test]
    fn what_decodes_is_what_encode_writes(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{86}"]) {
        if let Ok(token) = Token::decode(&text) {
            prop_assert_eq!(token.encode(), text);
        }
    }

    #[test]
    fn written_rows_are_read_back(rows in prop::collection::vec(any_row(), 1..20)) {
        let line = written(&rows);
        prop_assert_eq!(line.len(), rows.iter().map(Row::wire_bytes).sum::<usize>());
        prop_assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        prop_assert!(line.ends_with(b"\n"));
        prop_assert!(line::parse(&line).unwrap() == rows);
    }

    #[test]
    fn ordinary_rows_are_written_as_they_stand(
        rows in prop::collection::vec(row("[ -~&&[^\",]]{1,40}", "[ -~é字🦀&&[^\",]]{0,40}"), 1..20),
    ) {
        let plain: Vec<String> = rows.iter().map(|row| {
            let code = row.code.as_ref().map_or("", |code| code.as_str());
            format!("{},{},{},{},{}", row.action, row.email, row.login, row.token.encode(), code)
        }).collect();
        prop_assert_eq!(String::from_utf8(written(&rows)).unwrap(), format!("{}\n", plain.join(",")));
    }

    #[test]
    fn parse_never_panics(bytes in any::<Vec<u8>>(), text in "[\",\r\n0-9a-zA-Z@é]{0,200}") {
        let _ = line::parse(&bytes);
        let _ = line::parse(text.as_bytes());
    }

    #[test]
    fn a_damaged_line_never_panics_and_what_is_read_is_writable(
        rows in prop::collection::vec(any_row(), 1..4), at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b'\n')],
    ) {
        let mut line = written(&rows);
        let at = at.index(line.len());
        line[at] = byte;
        if let Ok(rows) = line::parse(&line) {
            prop_assert!(line::parse(&written(&rows)).unwrap() == rows);
        }
    }
}

proptest! {
    // Thousands of rows a case.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lines_are_in_bounds_and_lose_no_row(
        row in any_row(), login in "[^\\p{Cc}\u{2028}\u{2029}]{0,254}", count in 0..2500_usize,
    ) {
        let other = Row { login, ..row.clone() };
        let rows: Vec<Row> = [row, other].into_iter().cycle().take(count).collect();
        let mut read = Vec::new();
        for rows in line::lines(&rows) {
            let line = written(rows);
            prop_assert!(line.len() <= LINE_BYTES_MAX && rows.len() <= ROWS_PER_LINE_MAX);
            read.extend(line::parse(&line).unwrap());
        }
        prop_assert!(read == rows);
    }
}
