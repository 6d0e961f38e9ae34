//! The server: its version, whether it takes writes, its clock, what it has left, and what is set up
//! in it that changes what Mailroom does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_postgres::Row;

use super::finding::Finding;
use super::query;
use crate::database::Database;

/// What the schema and the statements are made for.
const VERSION_MIN: i32 = 140_000;

/// A clock that is so far off is no longer one that is kept right.
const SKEW_NOTED_S: f64 = 5.0;
/// With one so far off, logs and the database no longer tell one story.
const SKEW_WRONG_S: f64 = 60.0;

/// Connections that a restart of both halves, and somebody who looks at it, should find.
const CONNECTIONS_FREE_MIN: i64 = 4;

/// Looks at all of it.
pub async fn look(database: &Database) -> Vec<Finding> {
    let asked = (SystemTime::now(), Instant::now());
    let server =
        query::row(database, "PostgreSQL", include_str!("../../sql/doctor/server.sql"), &[]);
    let server = match server.await {
        Ok(row) => row,
        Err(finding) => return vec![finding],
    };
    let mut findings = vec![version(&server), writable(&server)];
    findings.push(clock("clock", server.get("now"), "PostgreSQL", asked.0, asked.1.elapsed()));
    findings.push(connections(&server));
    findings.extend(old(database).await);
    findings.extend(defaults(database).await);
    findings
}

fn version(server: &Row) -> Finding {
    let version: &str = server.get("version");
    if server.get::<_, i32>("version_number") < VERSION_MIN {
        let detail = format!("version {version} is too old");
        return Finding::wrong("PostgreSQL", detail, "upgrade it to 14 or newer");
    }
    Finding::ok("PostgreSQL", format!("version {version}"))
}

fn writable(server: &Row) -> Finding {
    const CHECK: &str = "writable";
    if server.get("standby") {
        return Finding::wrong(
            CHECK,
            "this server is a standby",
            "name the primary in MAILROOM_DATABASE_URL, or all hosts with \
             target_session_attrs=read-write",
        );
    }
    if server.get("read_only") {
        let (login, database): (&str, &str) = (server.get("login"), server.get("database"));
        return Finding::wrong(
            CHECK,
            "transactions are read-only by default",
            format!(
                "reset default_transaction_read_only, whether of the server, ALTER DATABASE {database} \
                 or ALTER ROLE {login}"
            ),
        );
    }
    Finding::ok(CHECK, "it is a primary, and takes writes")
}

/// Compares our clock with another's, which was read between `asked` and `took` later: what that time
/// may explain is not held against it.
pub fn clock(check: &str, theirs: f64, whose: &str, asked: SystemTime, took: Duration) -> Finding {
    let asked = asked.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let behind = theirs - (asked + took.as_secs_f64());
    let ahead = asked - theirs;
    let (off, words) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    let remedy = "keep both by NTP; timedatectl and chronyc tracking say which of the two is right";
    let detail = format!("this machine's is {} {words} {whose}'s", in_words(off));
    match off {
        off if off > SKEW_WRONG_S => Finding::wrong(check, detail, remedy),
        off if off > SKEW_NOTED_S => Finding::warning(check, detail, remedy),
        _ => Finding::ok(check, format!("this machine's and {whose}'s agree")),
    }
}

/// A time as one says it.
pub fn in_words(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

fn connections(server: &Row) -> Finding {
    let (most, free): (i64, i64) = (server.get("connections_max"), server.get("connections_free"));
    let detail = format!("{} of {most} are free, and the pipe needs 2", free.max(0));
    if free < CONNECTIONS_FREE_MIN {
        return Finding::warning(
            "connections",
            detail,
            "raise max_connections, or end sessions that are not used",
        );
    }
    Finding::ok("connections", detail)
}

async fn old(database: &Database) -> Vec<Finding> {
    const CHECK: &str = "open transactions";
    let rows = query::rows(database, CHECK, include_str!("../../sql/doctor/old.sql"), &[]).await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(finding) => return vec![finding],
    };
    if rows.is_empty() {
        return vec![Finding::ok(CHECK, "none that this login sees is old")];
    }
    let each = rows.iter().map(|row| {
        let (count, seconds): (i64, i64) = (row.get("count"), row.get("seconds"));
        let age = in_words(seconds as f64);
        let (what, remedy) = match row.get("kind") {
            "prepared" => (
                "prepared",
                "COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts shows, then SELECT \
                 mailroom_wake('mailroom')",
            ),
            _ => (
                "open",
                "end them: SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start; \
                 meanwhile dead rows pile up in front of the queue",
            ),
        };
        let detail = format!("{count} {what} for long, the oldest for {age}");
        Finding::warning(CHECK, detail, remedy)
    });
    each.collect()
}

async fn defaults(database: &Database) -> Vec<Finding> {
    const CHECK: &str = "settings of roles";
    let rows =
        query::rows(database, CHECK, include_str!("../../sql/doctor/defaults.sql"), &[]).await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(finding) => return vec![finding],
    };
    let findings = rows.iter().filter_map(|row| {
        let (role, name, value): (&str, &str, &str) =
            (row.get("role"), row.get("name"), row.get("value"));
        let (consequence, reset) = match (name, value) {
            ("mailroom.notify", "off") => (
                "a sleeping collector is not woken, and mail waits for its health check",
                "RESET mailroom.notify",
            ),
            ("mailroom.notify", "always") => (
                "every writer notifies, which slows sign-ups down",
                "RESET mailroom.notify, unless listeners of your own need it",
            ),
            ("session_replication_role", "replica") => (
                "no trigger fires, so that nothing it writes is mailed",
                "RESET session_replication_role, then docs/SCHEMA.md, Loads that bypass the triggers",
            ),
            _ => return None,
        };
        let detail = format!("{name} is {value} for {role}: {consequence}");
        Some(Finding::warning(CHECK, detail, format!("ALTER ROLE or ALTER DATABASE … {reset}")))
    });
    let findings: Vec<Finding> = findings.collect();
    if findings.is_empty() {
        return vec![Finding::ok(CHECK, "none gets in the way of triggers and notifications")];
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn the_time_that_asking_took_is_not_held_against_a_clock() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let verdict = |theirs: f64, took| {
            clock("clock", theirs, "it", at(1_000), Duration::from_secs(took)).verdict
        };
        assert_eq!(verdict(1_000.0, 0), Verdict::Ok);
        assert_eq!(verdict(1_020.0, 20), Verdict::Ok);
        assert_eq!(verdict(1_020.0, 10), Verdict::Warning);
        assert_eq!(verdict(994.0, 20), Verdict::Warning);
        assert_eq!(verdict(4_600.0, 1), Verdict::Wrong);
        assert_eq!(verdict(-2_600.0, 1), Verdict::Wrong);
        let finding = clock("clock", 4_600.0, "it", at(1_000), Duration::ZERO);
        assert_eq!(finding.detail, "this machine's is 60 min behind it's");
    }
}
