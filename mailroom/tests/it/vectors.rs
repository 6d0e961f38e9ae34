//! Every published vector, as another language would run it.

use mailroom::line::{self, Row};
use mailroom::{Action, ActionNumber, Invalid, Secret, SecretKey, Token, sign, verify};
use serde::Deserialize;

#[derive(Deserialize)]
struct Tokens {
    sign: Vec<Sign>,
    verify: Vec<Verify>,
}

#[derive(Deserialize)]
struct Sign {
    name: String,
    key: String,
    path: String,
    code_signed: bool,
    secret: String,
    code: Option<String>,
    token: String,
}

#[derive(Deserialize)]
struct Verify {
    name: String,
    keys: Vec<String>,
    path: String,
    code_signed: bool,
    token: String,
    code: Option<String>,
    secret: Option<String>,
}

#[derive(Deserialize)]
struct Lines {
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    line: String,
    rows: Vec<WireRow>,
    written: bool,
}

#[derive(Deserialize)]
struct WireRow {
    action: u16,
    email: String,
    login: String,
    token: String,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    line: String,
    reason: String,
}

fn tokens() -> Tokens {
    serde_json::from_str(include_str!("../../vectors/tokens.json")).unwrap()
}

fn lines() -> Lines {
    serde_json::from_str(include_str!("../../vectors/lines.json")).unwrap()
}

fn key(digits: &str) -> SecretKey {
    digits.parse().unwrap()
}

/// A number is not signed, so any will do.
fn action(path: &str, code_signed: bool) -> Action {
    Action::new(ActionNumber::new(7).unwrap(), path, code_signed).unwrap()
}

fn hex(secret: &Secret) -> String {
    secret.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secret(digits: &str) -> Secret {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    Secret::try_from(bytes.as_slice()).unwrap()
}

#[test]
fn every_sign_vector_holds() {
    let vectors = tokens().sign;
    assert!(vectors.len() >= 13);
    for case in vectors {
        let action = action(&case.path, case.code_signed);
        let code = case.code.as_deref().map(|code| code.parse().unwrap());
        let secret = secret(&case.secret);
        let token = sign(&key(&case.key), &action, &secret, code.as_ref()).unwrap();
        assert_eq!(token.encode(), case.token, "{}", case.name);
        let verified = verify(&[key(&case.key)], &action, &case.token, case.code.as_deref());
        assert_eq!(verified, Ok(secret), "{}", case.name);
    }
}

#[test]
fn every_verify_vector_holds() {
    let vectors = tokens().verify;
    assert!(vectors.len() >= 45);
    for case in vectors {
        let keys: Vec<SecretKey> = case.keys.iter().map(|digits| key(digits)).collect();
        let action = action(&case.path, case.code_signed);
        let verified = verify(&keys, &action, &case.token, case.code.as_deref());
        let secret = verified.as_ref().map(hex).map_err(|Invalid| ()).ok();
        assert_eq!(secret, case.secret, "{}", case.name);
    }
}

#[test]
fn every_accepted_line_is_read_and_written_as_published() {
    let vectors = lines().accepted;
    assert!(vectors.len() >= 45);
    for case in vectors {
        let rows: Vec<Row> = case
            .rows
            .into_iter()
            .map(|row| {
                let action = ActionNumber::new(row.action).unwrap();
                let token = Token::decode(&row.token).unwrap();
                let code = row.code.map(|code| code.parse().unwrap());
                Row::new(action, row.email, row.login, token, code).unwrap()
            })
            .collect();
        // Not assert_eq: a Row's Debug hides what differs.
        let read = line::parse(case.line.as_bytes()).unwrap();
        assert!(read == rows, "{}", case.name);
        if case.written {
            let mut out = Vec::new();
            line::write(&rows, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), case.line, "{}", case.name);
        }
    }
}

#[test]
fn every_refused_line_is_refused_with_its_reason() {
    let vectors = lines().refused;
    assert!(vectors.len() >= 50);
    for case in vectors {
        let error = line::parse(case.line.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), case.reason, "{}", case.name);
    }
}
