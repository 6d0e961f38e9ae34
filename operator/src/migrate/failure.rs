//! A file that failed: which, where in it, why, and how to go on.

use std::error::Error as _;

use anyhow::anyhow;
use daemon::exit::{Exit, ExitExt};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::plan::{Step, number};

/// What is said when the file of `step` failed with `error`. The database is dirty.
pub(super) fn failed(step: &Step, error: &Error) -> anyhow::Error {
    let file = step.file();
    let db = error.as_db_error();
    let mut words = match db {
        Some(db) => format!("{}{}: {}", file.name, place(db, file.text), what(db)),
        None => {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            format!("{}: {error}{cause}", file.name)
        }
    };
    let (before, after) = (number(step.before), number(step.after));
    let direction = step.direction.word();
    words += &format!("\nThe database is at version {after} now, and dirty. ");
    words += &match (file.is_one_transaction(), db.is_some()) {
        (true, true) => format!(
            "Nothing of the file was done, it is one transaction. Mend the cause, then:\n  \
             mailroom migrate force {before}\n  mailroom migrate {direction} …"
        ),
        (whole, _) => format!(
            "{} Look, then say where the database is:\n  \
             mailroom migrate force {before}   if nothing of the file was done\n  \
             mailroom migrate force {after}   if all of it was",
            if whole {
                "Either all of the file was done or nothing."
            } else {
                "A part of the file may have been done."
            }
        ),
    };
    anyhow!(words).exit(Exit::Config)
}

/// `, line 12`, where PostgreSQL says so. A position in a statement that a function made is none in the
/// file.
fn place(error: &DbError, text: &str) -> String {
    match error.position() {
        Some(ErrorPosition::Original(position)) => {
            // Counted in characters from 1.
            let before =
                text.chars().take(usize::try_from(*position).unwrap_or(1).saturating_sub(1));
            format!(", line {}", before.filter(|&c| c == '\n').count() + 1)
        }
        _ => String::new(),
    }
}

/// What PostgreSQL said. Its DETAIL is left out: it quotes values of rows.
fn what(error: &DbError) -> String {
    let mut words = format!("{} ({})", error.message(), error.code().code());
    if let Some(hint) = error.hint() {
        words += &format!("\nhint: {hint}");
    }
    // Where in a function; the statements between these lines are left out.
    let functions = error.where_().unwrap_or_default().lines();
    for function in functions.filter(|line| line.starts_with("PL/pgSQL function")) {
        words += &format!("\nin {function}");
    }
    words
}
