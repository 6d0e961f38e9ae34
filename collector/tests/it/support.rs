//! A migrated database, and sessions with it.

use std::time::Duration;

use daemon::postgres::Target;
use daemon::session::{Identity, Session};
use testkit::{Database, Role};

/// Long enough for anything but a lost event.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) const QUEUE: &str = "mailroom";

pub(crate) async fn session(db: &Database, kind: &'static str) -> Session {
    let role = if kind == "sender" { Role::Sender } else { Role::Collector };
    let target = Target::from_env(&db.url_as(role)).unwrap();
    let identity = Identity { kind, version: "test", durable: kind == "sender" };
    Session::open(&target, &identity, Some("token_insert")).await.unwrap()
}

/// `count` provisioned accounts, so as many tokens and pending deliveries, numbered from 1.
pub(crate) async fn sign_up(db: &Database, count: u32) {
    db.execute(&format!(
        "SET LOCAL ROLE mailroom_application;
         INSERT INTO accounts (email, login)
         SELECT 'u' || n || '@example.com', 'u' || n FROM generate_series(1, {count}) AS n"
    ))
    .await
    .unwrap();
}

/// The session ends, and PostgreSQL has noticed.
pub(crate) async fn end(db: &Database, session: Session) {
    let number = session.number();
    drop(session);
    db.wait_until(
        &format!(
            "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
             AND classid::bigint = mailroom_holder_class() AND objid::bigint = {number}
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        ),
        SOON,
    )
    .await
    .unwrap();
}

/// `token:state` of all outstanding deliveries.
pub(crate) async fn states(db: &Database) -> String {
    db.query_text(
        "SELECT coalesce(string_agg(token || ':' || state, ' ' ORDER BY token), '')
         FROM deliveries",
    )
    .await
    .unwrap()
}

/// `token:outcome:detail` of the log.
pub(crate) async fn log(db: &Database) -> String {
    db.query_text(
        "SELECT coalesce(string_agg(token || ':' || outcome || ':' || coalesce(detail, ''), '; '
         ORDER BY token, at), '') FROM delivery_log",
    )
    .await
    .unwrap()
}
