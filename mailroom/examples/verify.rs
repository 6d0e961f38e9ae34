//! Is this link ours? `MAILROOM_SECRET_KEY=… verify /activate|/recover TOKEN [CODE]`
//!
//! Exit code 0 if it is, 65 if it is not. Keys are separated by blanks, the newest first.

use std::error::Error;
use std::process::ExitCode;

use mailroom::{Action, Invalid, Secret, SecretKey, verify};

/// What an application has: the keys, and the link's two last segments. `POST`s come here; the page
/// of the link is a button, because scanners of mail open links.
fn check(
    keys: &[SecretKey],
    path: &str,
    token: &str,
    code: Option<&str>,
) -> Result<Secret, Invalid> {
    let action = match path {
        "/activate" => Action::activation(),
        "/recover" => Action::password_recovery(),
        // A kind of mail of your own: Action::new(number, path, code_signed).
        _ => return Err(Invalid),
    };
    verify(keys, &action, token, code)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let keys =
        std::env::var("MAILROOM_SECRET_KEY").map_err(|_| "MAILROOM_SECRET_KEY is not set")?;
    let keys = keys.split_whitespace().map(str::parse).collect::<Result<Vec<SecretKey>, _>>()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (path, token, code) = match args.as_slice() {
        [path, token] => (path, token, None),
        [path, token, code] => (path, token, Some(code.as_str())),
        _ => return Err("verify /activate|/recover TOKEN [CODE]".into()),
    };
    Ok(match check(&keys, path, token, code) {
        // Now, and only now, the database is asked, with `secret.as_bytes()` for $1:
        //     SELECT account, data, refusal FROM consume_token($1, 'activation')
        Ok(_secret) => ExitCode::SUCCESS,
        Err(Invalid) => ExitCode::from(65),
    })
}
