//! Accounts to be mailed, and lines to be read.

use std::fmt::Write as _;

use testkit::{Database, Role};

/// SQL for `count` provisioned accounts called `<name>-<n>`, all in one statement.
pub(crate) fn accounts(name: &str, count: usize) -> String {
    format!(
        "INSERT INTO accounts (email, login)
         SELECT '{name}-' || n || '@mail.example', '{name}-login-' || n
         FROM generate_series(1, {count}) AS n;"
    )
}

/// The same, by the application.
pub(crate) fn sign_up(name: &str, count: usize) -> String {
    by_the_application(&accounts(name, count))
}

/// SQL for an active account that has asked for a password recovery, by the application.
pub(crate) fn recovery(name: &str) -> String {
    by_the_application(&format!(
        "WITH active AS (
             INSERT INTO accounts (email, login, status)
             VALUES ('{name}@mail.example', '{name}-login', 'active') RETURNING id
         )
         INSERT INTO tokens (account, action) SELECT id, 'password_recovery' FROM active;"
    ))
}

fn by_the_application(sql: &str) -> String {
    format!("SET LOCAL ROLE {}; {sql} RESET ROLE;", Role::Application)
}

/// The lines of ordinary rows that these tokens must become, in the order of their ids: computed by
/// pgcrypto, which knows nothing of our code.
pub(crate) async fn rows_by_pgcrypto(db: &Database) -> Vec<String> {
    let sql = format!(
        "SELECT concat_ws(',', n, email, login,
             rtrim(translate(encode(secret || hmac(message, decode('{key}', 'hex'), 'sha256'),
                 'base64'), E'+/\\n', '-_'), '='), code)
         FROM (
             SELECT t.*, a.email, a.login,
                 CASE action WHEN 'activation' THEN 1 ELSE 2 END AS n,
                 CASE action WHEN 'activation' THEN '/activate'::bytea || secret
                     ELSE '/recover'::bytea || secret || code::bytea END AS message
             FROM tokens AS t JOIN accounts AS a ON a.id = t.account
         ) AS t ORDER BY id",
        key = crate::world::KEY
    );
    db.query_rows(&sql).await.unwrap().into_iter().flatten().flatten().collect()
}

/// How many rows an ordinary line holds.
pub(crate) fn rows_in(line: &str) -> usize {
    let fields = line.split(',').count();
    assert_eq!(fields % 5, 0, "{line}");
    fields / 5
}

/// The rows of an ordinary line.
pub(crate) fn rows_of(line: &str) -> Vec<String> {
    let fields: Vec<&str> = line.split(',').collect();
    fields.chunks(5).map(|row| row.join(",")).collect()
}

/// Bytes as a SQL literal.
pub(crate) fn bytea(bytes: &[u8]) -> String {
    let mut literal = String::from("'\\x");
    for byte in bytes {
        write!(literal, "{byte:02x}").unwrap();
    }
    literal + "'"
}
