//! Deliveries in PostgreSQL: all SQL of the sender, and nothing else knows a table.

use daemon::session::{Session, Sql};
use daemon::sql;
use daemon::trouble::Trouble;
use mailroom::line::Row;

use crate::plan::Planned;
use crate::retry::Next;

const BEGIN: Sql = sql!("begin");
const SETTLE_SENT: Sql = sql!("settle_sent");
const SETTLE_REST: Sql = sql!("settle_rest");
const RELABEL: Sql = sql!("relabel");

/// Every statement, for the test that prepares each against the schema.
pub const ALL: [Sql; 4] = [BEGIN, SETTLE_SENT, SETTLE_REST, RELABEL];

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
/// A token must still live for `margin_seconds`.
pub async fn begin(
    session: &Session,
    planned: &Planned,
    margin_seconds: i64,
    ambiguities_max: u32,
) -> Result<Vec<Begun>, Trouble> {
    let secrets: Vec<&[u8]> =
        planned.rows.iter().map(|row| row.token.secret().as_bytes().as_slice()).collect();
    let emails: Vec<&str> = planned.rows.iter().map(|row: &Row| row.email.as_str()).collect();
    // The wire's numbers stop where the column's do.
    let action = i16::try_from(planned.action.get()).unwrap_or(i16::MAX);
    let most = i32::try_from(ambiguities_max).unwrap_or(i32::MAX);
    let (backend, number) = (session.backend(), session.number());
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&backend, &number, &action, &secrets, &emails, &margin_seconds, &most];
    let rows = session.rows(BEGIN, &params).await?;
    let begun = rows.iter().filter_map(|row| {
        let place: i64 = row.get::<_, Option<i64>>("place")?;
        Some(Begun {
            place: usize::try_from(place - 1).ok()?,
            token: row.get("token"),
            attempt: row.get("attempts"),
            ambiguities: row.get("ambiguities"),
            details: Details {
                label: row.get("label"),
                locale: row.get("locale"),
                data: row.get("data"),
                expires_at: row.get("expires_at"),
            },
        })
    });
    Ok(begun.collect())
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
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&backend, &transport, &sent.tokens, &sent.attempts, &sent.provider_ids];
        session.rows(SETTLE_SENT, &params).await?;
    }
    if !rest.tokens.is_empty() {
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 8] = [
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
