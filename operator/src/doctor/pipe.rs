//! What ties the halves to this database: channel, queue and kinds of mail; and whether anybody is at
//! work.

use mailroom::ActionNumber;

use super::finding::Finding;
use super::query;
use super::server::in_words;
use crate::database::Database;

/// Whether the triggers notify whom the collector listens to.
pub async fn channel(database: &Database, wanted: &str) -> Finding {
    const CHECK: &str = "channel";
    let sql = include_str!("../../sql/doctor/channel.sql");
    match query::row(database, CHECK, sql, &[]).await {
        Err(finding) => finding,
        Ok(row) => match row.get::<_, &str>("channel") {
            channel if channel == wanted => {
                Finding::ok(CHECK, format!("the triggers notify {channel}"))
            }
            channel => Finding::wrong(
                CHECK,
                format!("the triggers notify {channel}, and MAILROOM_CHANNEL_NAME is {wanted}"),
                format!(
                    "MAILROOM_CHANNEL_NAME={channel}, or replace the function mailroom_channel()"
                ),
            ),
        },
    }
}

/// Whether there is the queue that the collector serves.
pub async fn queue(database: &Database, wanted: &str) -> Finding {
    const CHECK: &str = "queue";
    let sql = include_str!("../../sql/doctor/queues.sql");
    let rows = match query::rows(database, CHECK, sql, &[]).await {
        Ok(rows) => rows,
        Err(finding) => return finding,
    };
    let queues: Vec<String> = rows.iter().map(|row| row.get("queue")).collect();
    if queues.iter().any(|queue| queue == wanted) {
        return Finding::ok(CHECK, format!("{wanted} is in jobs"));
    }
    let detail = format!("MAILROOM_QUEUE_NAME is {wanted}, which is not in jobs");
    let remedy = match queues.as_slice() {
        [] => "INSERT INTO jobs (job_type, last_seq) VALUES ('mailroom', 0)".to_owned(),
        queues => format!("set it to one that is: {}", queues.join(", ")),
    };
    Finding::wrong(CHECK, detail, remedy)
}

/// A kind of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What the database calls it.
    pub label: String,
    /// What it is on the wire.
    pub number: ActionNumber,
}

impl Action {
    /// Those that every deployment has.
    pub fn known() -> Vec<Self> {
        let all = [
            ("activation", ActionNumber::ACTIVATION),
            ("password_recovery", ActionNumber::PASSWORD_RECOVERY),
        ];
        all.map(|(label, number)| Self { label: label.to_owned(), number }).to_vec()
    }
}

/// The actions there are, and whether each token can become mail, in this queue or another.
pub async fn actions(database: &Database, queue: Option<&str>) -> (Vec<Action>, Vec<Finding>) {
    const CHECK: &str = "actions";
    let sql = include_str!("../../sql/doctor/actions.sql");
    let rows = match query::rows(database, CHECK, sql, &[]).await {
        Ok(rows) => rows,
        Err(finding) => return (Vec::new(), vec![finding]),
    };
    let (mut actions, mut served, mut findings) = (Vec::new(), false, Vec::new());
    for row in &rows {
        let label: String = row.get("label");
        served |= queue.is_none() || row.get::<_, Option<&str>>("queue") == queue;
        let number = row
            .get::<_, Option<i16>>("number")
            .and_then(|number| u16::try_from(number).ok().and_then(ActionNumber::new));
        match number {
            Some(number) => actions.push(Action { label, number }),
            None => findings.push(Finding::wrong(
                CHECK,
                format!("{label} has no row, so that no token of it can be made"),
                "INSERT INTO actions …: README.md, A kind of mail of your own",
            )),
        }
    }
    if let (false, Some(queue)) = (served, queue) {
        let detail = format!("none goes to the queue {queue}, which this collector serves");
        let remedy = "UPDATE actions SET queue = …, or set MAILROOM_QUEUE_NAME to one that is used";
        findings.push(Finding::warning(CHECK, detail, remedy));
    }
    if findings.is_empty() {
        let labels: Vec<&str> = actions.iter().map(|action| action.label.as_str()).collect();
        findings.push(Finding::ok(CHECK, labels.join(", ")));
    }
    (actions, findings)
}

/// Who is at work, and what waits for it.
pub async fn backlog(database: &Database, queue: &str) -> Vec<Finding> {
    const CHECK: &str = "pipe";
    let sql = include_str!("../../sql/doctor/alive.sql");
    let (collectors, senders): (i64, i64) = match query::row(database, CHECK, sql, &[]).await {
        Ok(row) => (row.get("collectors"), row.get("senders")),
        Err(finding) => return vec![finding],
    };
    let alive = format!("collectors alive: {collectors}, senders: {senders}");
    let sql = include_str!("../../sql/doctor/overdue.sql");
    let overdue = match query::row(database, CHECK, sql, &[&queue]).await {
        Ok(row) => row,
        Err(finding) => return vec![finding],
    };
    let (count, seconds): (i64, i64) = (overdue.get("count"), overdue.get("seconds"));
    if count == 0 {
        return vec![Finding::ok(CHECK, format!("{alive}; nothing is overdue"))];
    }
    let count = if count < 1000 { count.to_string() } else { "1000 or more".to_owned() };
    let detail = format!("{alive}; mails overdue: {count}, for up to {}", in_words(seconds as f64));
    let remedy = match (collectors, senders) {
        (0, _) => "start it: mailroom run",
        (_, 0) => "see why the sender ended or cannot reach the database: its log says it",
        _ => "it does not keep up: docs/OPERATIONS.md, Nothing goes out",
    };
    vec![Finding::warning(CHECK, detail, remedy)]
}
