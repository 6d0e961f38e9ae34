//! When something is wrong: the stories of the tokens concerned, and what the processes said.

use std::fs;

use anyhow::Context;

use super::audit::{Mail, Tally};
use super::chaos::Chaos;
use super::records::{Clock, Records};
use super::say;
use super::stage::Stage;

/// Stories that are told.
const STORIES_MAX: usize = 10;

/// Prints the stories; keeps the logs in a directory.
pub(super) async fn tell(
    stage: &Stage,
    chaos: &Chaos<'_>,
    records: &Records,
    mails: &[Mail],
    tally: &Tally,
    clock: Clock,
) -> anyhow::Result<()> {
    let offending = tally.offending();
    let of_interest = records.tokens.iter().filter(|(_, token)| offending.contains(&token.id));
    for (secret, token) in of_interest.take(STORIES_MAX) {
        let (id, action, expires) = (token.id, &token.action, clock.seconds(token.expires));
        let ended = token.ended.map(|at| clock.seconds(at));
        say(format_args!(
            "\ntoken {id}, {action}: expires at {expires:.3}, used or deleted at {ended:?}, \
             eligible now: {}",
            token.eligible
        ))?;
        for mail in mails.iter().filter(|mail| mail.secret.as_ref() == Some(secret)) {
            let handed = &mail.handed;
            say(format_args!(
                "  {:>9.3} SES accepted {} of pipe {}; arrived {:.3}, answered: {}",
                clock.seconds(handed.accepted),
                mail.message_id,
                handed.pipe,
                clock.seconds(handed.arrived),
                handed.answered,
            ))?;
        }
        let sql = format!(
            "SELECT to_char(extract(epoch FROM at) - {}, '99990.000'),
                    concat_ws(' ', outcome, 'attempt', attempt, provider_id, detail)
               FROM delivery_log WHERE token = {id} ORDER BY at",
            clock.epoch()
        );
        for row in stage.database.query_rows(&sql).await? {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            say(format_args!("  {} {}", row[0].trim_start(), row[1]))?;
        }
    }
    let sql = "SELECT row_to_json(d) FROM deliveries AS d ORDER BY token LIMIT 10";
    for row in stage.database.query_rows(sql).await? {
        say(format_args!("outstanding: {}", row[0].as_deref().unwrap_or_default()))?;
    }
    let dir = std::env::temp_dir().join(format!("mailroom-soak-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    for (number, pipe) in chaos.pipes().iter().enumerate() {
        let file = dir.join(format!("pipe{number}.log"));
        fs::write(&file, pipe.log()).with_context(|| format!("write {}", file.display()))?;
    }
    fs::write(dir.join("journal.txt"), format!("{:#?}\nnow and here: {clock:?}", chaos.journal()))
        .context("write the journal")?;
    fs::write(dir.join("postgres.log"), stage.postgres.log()).context("write PostgreSQL's log")?;
    say(format_args!("\nthe logs are in {}\n", dir.display()))
}
