//! Deliveries in PostgreSQL: all SQL of the sender, and nothing else knows a table.

use std::collections::HashSet;

use daemon::crash_point;
use daemon::session::{Session, Sql};
use daemon::sql;
use daemon::trouble::Trouble;
use mailroom::line::Row;
use tokio_postgres::types::ToSql;

use crate::plan::Planned;
use crate::retry::Next;

const BEGIN: Sql = sql!("begin");
const REFUSE: Sql = sql!("refuse");
const SETTLE_SENT: Sql = sql!("settle_sent");
const SETTLE_LATE: Sql = sql!("settle_late");
const SETTLE_REST: Sql = sql!("settle_rest");
const RELABEL: Sql = sql!("relabel");

/// Every statement, for the test that prepares each against the schema.
pub const ALL: [Sql; 6] = [BEGIN, REFUSE, SETTLE_SENT, SETTLE_LATE, SETTLE_REST, RELABEL];

/// What the database knows of a mail and the line does not say. Personal, so it has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The action's label.
    pub label: String,
    /// The account's locale, as it was written down.
    pub locale: Option<String>,
    /// What the token carries for its template: a JSON object, as text.
    pub data: Option<String>,
    /// When the token expires, in seconds since 1970.
    pub expires_at: Option<i64>,
}

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Details(..)")
    }
}

/// A mail that is ours to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Which of the planned rows it is, from 0.
    pub place: usize,
    /// The token's number, which is the delivery's.
    pub token: i64,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// Earlier attempts whose outcome is not known.
    pub ambiguities: i32,
    /// What its template may want to know.
    pub details: Details,
}

/// What became of a mail that was begun.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The token's number.
    pub token: i64,
    /// Which attempt it was.
    pub attempt: i32,
    /// What the row becomes.
    pub next: Next,
}

impl Settlement {
    /// Takes out the provider's words, which the database may refuse to hold. A message id stays: it
    /// is plain ASCII, and what tells a result recorded again from a second mail.
    pub fn without_words(&mut self) {
        match &mut self.next {
            Next::Sent { provider_id: _ } => {}
            Next::Again { reason, .. } | Next::Failed { reason } => {
                "(the words could not be stored)".clone_into(reason);
            }
        }
    }
}

/// Of the rows of one call, those that may be sent now; they carry the session's number from now on.
/// A token must still live for `margin_seconds`. What may never be sent is skipped or has failed.
pub async fn begin(
    session: &Session,
    planned: &Planned,
    margin_seconds: i64,
    ambiguities_max: u32,
) -> Result<Vec<Begun>, Trouble> {
    let mut secrets: Vec<&[u8]> =
        planned.rows.iter().map(|row| row.token.secret().as_bytes().as_slice()).collect();
    let emails: Vec<&str> = planned.rows.iter().map(|row: &Row| row.email.as_str()).collect();
    // The wire's numbers stop where the column's do.
    let action = i16::try_from(planned.action.get()).unwrap_or(i16::MAX);
    let most = i32::try_from(ambiguities_max).unwrap_or(i32::MAX);
    let (backend, number) = (session.backend(), session.number());
    let params: [&(dyn ToSql + Sync); 7] =
        [&backend, &number, &action, &secrets, &emails, &margin_seconds, &most];
    let rows = session.rows(BEGIN, &params).await?;
    let mut begun: Vec<Begun> = rows.iter().filter_map(ours).collect();
    drop(rows);
    if begun.len() < planned.rows.len() {
        crash_point!("begun_in_part");
        let places: HashSet<usize> = begun.iter().map(|begun| begun.place).collect();
        let mut place = 0..;
        secrets.retain(|_| place.next().is_some_and(|place| !places.contains(&place)));
        let params: [&(dyn ToSql + Sync); 5] =
            [&backend, &action, &secrets, &margin_seconds, &most];
        match session.rows(REFUSE, &params).await {
            // What was begun is ours to send all the same; the others are given back after a minute.
            Err(trouble) if trouble.is_broken() => {
                tracing::warn!(rows = secrets.len(), error = %trouble, "rows_refused");
            }
            refused => drop(refused?),
        }
    }
    // The statement promises no order.
    begun.sort_by_key(|begun| begun.place);
    Ok(begun)
}

fn ours(row: &tokio_postgres::Row) -> Option<Begun> {
    Some(Begun {
        place: usize::try_from(row.get::<_, i64>("place") - 1).ok()?,
        token: row.get("token"),
        attempt: row.get("attempts"),
        ambiguities: row.get("ambiguities"),
        details: Details {
            label: row.get("label"),
            locale: text(row.get("locale")),
            data: text(row.get("data")),
            expires_at: row.get("expires_at"),
        },
    })
}

/// What is no UTF-8, because its database's encoding has no such character or none at all, is replaced by
/// U+FFFD: its own mail suffers from it, if any does.
fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Records what became of the mails of one call. `numbers` are all the numbers this process has
/// held; rows carry one of them. What was sent is recorded first: it is the one fact that cannot be
/// found out again.
pub async fn settle(
    session: &Session,
    numbers: &[i32],
    transport: &str,
    settlements: &[Settlement],
) -> Result<(), Trouble> {
    let mut sent = Sent::default();
    let mut rest = Rest::default();
    for settlement in settlements {
        match &settlement.next {
            Next::Sent { provider_id } => {
                sent.tokens.push(settlement.token);
                sent.attempts.push(settlement.attempt);
                sent.provider_ids.push(provider_id);
            }
            Next::Again { after, counted, word, reason } => {
                rest.push(settlement.token, word, reason, Some(after.as_secs_f64()), *counted);
            }
            Next::Failed { reason } => rest.push(settlement.token, "failed", reason, None, true),
        }
    }
    let backend = session.backend();
    if !sent.tokens.is_empty() {
        let Sent { tokens, attempts, provider_ids } = &sent;
        let params: [&(dyn ToSql + Sync); 6] =
            [&backend, &numbers, &transport, tokens, attempts, provider_ids];
        let recorded = session.execute(SETTLE_SENT, &params).await?;
        if recorded < tokens.len() as u64 {
            crash_point!("settled_in_part");
            let params: [&(dyn ToSql + Sync); 5] =
                [&backend, &transport, tokens, attempts, provider_ids];
            session.execute(SETTLE_LATE, &params).await?;
        }
    }
    if !rest.tokens.is_empty() {
        let params: [&(dyn ToSql + Sync); 8] = [
            &backend,
            &numbers,
            &transport,
            &rest.tokens,
            &rest.outcomes,
            &rest.details,
            &rest.again_in,
            &rest.counted,
        ];
        session.rows(SETTLE_REST, &params).await?;
    }
    Ok(())
}

/// After a reconnect: rows of calls that have started (`in_call`) follow us to the new session, and
/// every other row of the former one is pending again. Returns how many of each.
pub async fn relabel(
    session: &Session,
    former: i32,
    in_call: &[i64],
) -> Result<(i64, i64), Trouble> {
    let (backend, number) = (session.backend(), session.number());
    let row = session.one(RELABEL, &[&backend, &number, &former, &in_call]).await?;
    Ok((row.get("kept"), row.get("returned")))
}

#[derive(Default)]
struct Sent<'a> {
    tokens: Vec<i64>,
    attempts: Vec<i32>,
    provider_ids: Vec<&'a str>,
}

#[derive(Default)]
struct Rest<'a> {
    tokens: Vec<i64>,
    outcomes: Vec<&'a str>,
    details: Vec<&'a str>,
    again_in: Vec<Option<f64>>,
    counted: Vec<bool>,
}

impl<'a> Rest<'a> {
    fn push(
        &mut self,
        token: i64,
        outcome: &'a str,
        detail: &'a str,
        again_in: Option<f64>,
        counted: bool,
    ) {
        self.tokens.push(token);
        self.outcomes.push(outcome);
        self.details.push(detail);
        self.again_in.push(again_in);
        self.counted.push(counted);
    }
}
