//! A migrated database with mail on its way, and sessions with it.

use std::time::Duration;

use daemon::postgres::Target;
use daemon::session::{Identity, Session};
use mailroom::line::Row;
use mailroom::{Action, ActionNumber, Secret, SecretKey, sign};
use sender::deliveries::{self, Begun};
use sender::plan::Planned;
use testkit::{Database, Role};

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const MARGIN_SECONDS: i64 = 25;
pub(crate) const AMBIGUITIES_MAX: u32 = 10;

pub(crate) async fn session(db: &Database) -> Session {
    let target = Target::from_env(&db.url_as(Role::Sender)).unwrap();
    let identity = Identity { kind: "sender", version: "test", durable: true };
    Session::open(&target, &identity, None).await.unwrap()
}

/// `count` accounts whose activation mails a collector has written on lines; `u1` is token 1.
pub(crate) async fn on_their_way(db: &Database, count: u32) {
    db.execute(&format!(
        "SET LOCAL ROLE mailroom_application;
         INSERT INTO accounts (email, login)
         SELECT 'u' || n || '@example.com', 'u' || n FROM generate_series(1, {count}) AS n;
         RESET ROLE;
         UPDATE tokens SET secret = decode(lpad(to_hex(id), 64, '0'), 'hex');
         UPDATE deliveries SET state = 'dispatched', holder = 1000, dispatched_at = now(),
             dispatches = 1;"
    ))
    .await
    .unwrap();
}

/// The rows of these tokens as they came on the line.
pub(crate) fn planned(tokens: &[u8]) -> Planned {
    let key: SecretKey = "00".repeat(32).parse().unwrap();
    let row = |token: &u8| {
        let mut secret = [0; 32];
        secret[31] = *token;
        let token = sign(&key, &Action::activation(), &Secret::from(secret), None).unwrap();
        let name = format!("u{}", secret[31]);
        Row::new(ActionNumber::ACTIVATION, format!("{name}@example.com"), name, token, None)
            .unwrap()
    };
    Planned { action: ActionNumber::ACTIVATION, rows: tokens.iter().map(row).collect() }
}

pub(crate) async fn begin(session: &Session, tokens: &[u8]) -> Vec<Begun> {
    deliveries::begin(session, &planned(tokens), MARGIN_SECONDS, AMBIGUITIES_MAX).await.unwrap()
}

/// The tokens begun.
pub(crate) async fn begun(session: &Session, tokens: &[u8]) -> Vec<i64> {
    begin(session, tokens).await.iter().map(|begun| begun.token).collect()
}

/// `token:state:attempts` of all outstanding deliveries.
pub(crate) async fn states(db: &Database) -> String {
    db.query_text(
        "SELECT coalesce(string_agg(token || ':' || state || ':' || attempts, ' ' ORDER BY token), '')
         FROM deliveries",
    )
    .await
    .unwrap()
}

/// `token:attempt:outcome:detail` of the log.
pub(crate) async fn log(db: &Database) -> String {
    db.query_text(
        "SELECT coalesce(string_agg(token || ':' || attempt || ':' || outcome || ':' ||
         coalesce(detail, provider_id, ''), '; ' ORDER BY token, at), '') FROM delivery_log",
    )
    .await
    .unwrap()
}
