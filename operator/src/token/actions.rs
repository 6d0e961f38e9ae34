//! The kinds of mail a token may be for.

use anyhow::{Context, bail};
use daemon::exit::{Exit, ExitExt};
use mailroom::{Action, ActionNumber};

use crate::database::Database;

const ACTIONS: &str = include_str!("../../sql/token/actions.sql");

/// One of them.
pub(super) struct Kind {
    pub(super) label: String,
    pub(super) action: Action,
}

/// Those of the database; without one, those that every database begins with.
pub(super) async fn all(database: Option<&Database>) -> anyhow::Result<Vec<Kind>> {
    let Some(database) = database else {
        let kind = |label: &str, action| Kind { label: label.to_owned(), action };
        return Ok(vec![
            kind("activation", Action::activation()),
            kind("password_recovery", Action::password_recovery()),
        ]);
    };
    let rows = database.query(ACTIONS, &[]).await.context("read the table actions")?;
    let mut kinds = Vec::new();
    for row in rows {
        let label: String = row.get("label");
        let number = u16::try_from(row.get::<_, i16>("number")).ok();
        let number = number.and_then(ActionNumber::new);
        let action = number.map(|number| {
            Action::new(number, row.get::<_, String>("path"), row.get("code_signed"))
        });
        let Some(Ok(action)) = action else {
            bail!("{label} in the table actions: its number or path is none");
        };
        kinds.push(Kind { label, action });
    }
    Ok(kinds)
}

/// Only this one, if one is named.
pub(super) fn chosen(kinds: Vec<Kind>, label: Option<&str>) -> anyhow::Result<Vec<Kind>> {
    let Some(label) = label else { return Ok(kinds) };
    let known: Vec<String> = kinds.iter().map(|kind| kind.label.clone()).collect();
    let chosen: Vec<Kind> = kinds.into_iter().filter(|kind| kind.label == label).collect();
    if chosen.is_empty() {
        let known = known.join(", ");
        return Err(anyhow::anyhow!("--action {label}: there is none, only {known}"))
            .exit(Exit::Config);
    }
    Ok(chosen)
}
