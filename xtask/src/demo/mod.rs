//! `make demo`: every way an account comes to its mail, watched from the database and from the
//! provider's side, with a count at the end.

mod audit;
mod letter;
mod stage;

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context, bail};
use mailroom::{Action, verify};
use testkit::AcceptedMail;

use self::audit::Tally;
use self::stage::Stage;

const ONE_BY_ONE: usize = 20;
const IN_BULK: usize = 1_000;
const HELD_BACK: usize = 3;
const MEANWHILE: usize = 20;

/// Shows it all. On failure the end of both logs goes to stderr before the error does.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("build a tokio runtime")?.block_on(async {
        say("Setting up: a private PostgreSQL, a double of Amazon SES, collector | sender.")?;
        let mut stage = Stage::set_up().await?;
        // Leaving by this select takes the stage down; a signal that does not let us get here
        // leaves that to testkit's watchdogs.
        tokio::select! {
            shown = show(&mut stage) => shown.inspect_err(|_| stage.print_logs()),
            pressed = tokio::signal::ctrl_c() => {
                pressed.context("wait for Ctrl-C")?;
                bail!("interrupted")
            }
        }
    })
}

async fn show(stage: &mut Stage) -> anyhow::Result<()> {
    let version = stage.database.query_text("SHOW server_version").await?;
    let version = version.split(' ').next().unwrap_or_default();
    say(format_args!("PostgreSQL {version} is migrated, both halves are connected to it.\n"))?;

    let mut people = People::default();
    let clock = Instant::now();
    for _ in 0..ONE_BY_ONE {
        stage.database.execute(&people.insert(1)).await?;
    }
    stage.until_sent(people.count).await?;
    say(format_args!("{ONE_BY_ONE} accounts, one INSERT each: {}", mailed(ONE_BY_ONE, clock)))?;

    let clock = Instant::now();
    stage.database.execute(&people.insert(IN_BULK)).await?;
    stage.until_sent(people.count).await?;
    say(format_args!("{IN_BULK} accounts in one INSERT: {}", mailed(IN_BULK, clock)))?;

    out_of_order(stage, &mut people).await?;
    let mail = recovery(stage, &people).await?;

    say(format_args!(
        "\nThat last mail, as SES was given it, to {} ({}):",
        mail.to, mail.template
    ))?;
    say(format_args!("  {}", mail.data))?;
    check_by_hand(&mail)?;

    say("\ndelivery_status:")?;
    let by_state =
        "SELECT coalesce(state, '-'), count(*) FROM delivery_status GROUP BY 1 ORDER BY 1";
    for row in stage.database.query_rows(by_state).await? {
        let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
        say(format_args!("  {:<12}{:>6}", row[0], row[1]))?;
    }

    stage.stop()?;
    let tally = Tally::take(&stage.database, &stage.ses.mails()).await?;
    say(format_args!("\n{tally}"))?;
    tally.verdict()?;
    letter::by_smtp(stage, &mut people).await
}

/// A transaction that took its ids first and commits last: a cursor over ids would pass it by.
async fn out_of_order(stage: &Stage, people: &mut People) -> anyhow::Result<()> {
    let sent = people.count;
    let slow = stage.database.client().await?;
    slow.batch_execute("BEGIN").await.context("begin")?;
    slow.batch_execute(&people.insert(HELD_BACK)).await.context("insert")?;
    for _ in 0..MEANWHILE {
        stage.database.execute(&people.insert(1)).await?;
    }
    stage.until_sent(sent + MEANWHILE).await?;
    let clock = Instant::now();
    slow.batch_execute("COMMIT").await.context("commit")?;
    stage.until_sent(people.count).await?;
    say(format_args!(
        "{HELD_BACK} accounts in a transaction left open while {MEANWHILE} later ones were mailed, \
         then committed: {}",
        mailed(HELD_BACK, clock)
    ))
}

/// The first account follows its link, and forgets its password. The mail about that.
async fn recovery(stage: &Stage, people: &People) -> anyhow::Result<AcceptedMail> {
    let mails = stage.ses.mails();
    let activation = mails.first().context("there is no mail")?;
    let secret = verify(&[stage::key()?], &Action::activation(), activation.secret(), None)?;
    let used = stage
        .database
        .query_rows(&format!(
            "UPDATE tokens SET consumed_at = extract(epoch FROM now())
              WHERE secret = decode('{}', 'hex') AND action = 'activation'
                AND consumed_at IS NULL AND expires_at > extract(epoch FROM now())
             RETURNING account",
            audit::hex(secret.as_bytes()),
        ))
        .await?;
    let account = used.into_iter().flatten().next().flatten().context("the link is dead")?;
    let clock = Instant::now();
    stage
        .database
        .execute(&format!(
            "INSERT INTO tokens (account, action)
             SELECT id, 'password_recovery' FROM accounts WHERE id = {account} AND status = 'active'"
        ))
        .await?;
    stage.until_sent(people.count + 1).await?;
    say(format_args!(
        "{} follows the link, is active, and forgets the password: {}",
        activation.text("login"),
        mailed(1, clock)
    ))?;
    let mail = stage.ses.mails().into_iter().find(|mail| mail.template == stage::RECOVERY_TEMPLATE);
    mail.context("SES has no mail about a password")
}

/// What the application does with a link, and with a code that was mistyped.
fn check_by_hand(mail: &AcceptedMail) -> anyhow::Result<()> {
    let (keys, action) = ([stage::key()?], Action::password_recovery());
    let code = mail.text("code");
    let wrong = if code == "00000" { "00001" } else { "00000" };
    verify(&keys, &action, mail.secret(), Some(code)).context("its token is refused")?;
    if verify(&keys, &action, mail.secret(), Some(wrong)).is_ok() {
        bail!("its token is accepted with a wrong code");
    }
    say("Its token, asked of mailroom::verify: valid with this code, refused with another.")
}

/// Accounts numbered from 1.
#[derive(Default)]
struct People {
    count: usize,
}

impl People {
    /// The statement that adds `n` of them.
    fn insert(&mut self, n: usize) -> String {
        let first = self.count + 1;
        self.count += n;
        format!(
            "INSERT INTO accounts (email, login)
             SELECT 'user' || n || '@example.com', 'user' || n
               FROM generate_series({first}, {}) AS n",
            self.count
        )
    }
}

fn mailed(n: usize, since: Instant) -> String {
    let mails = if n == 1 { "mail" } else { "mails" };
    format!("{n} {mails} after {:.1} s", since.elapsed().as_secs_f64())
}

/// A line for who watches.
pub(crate) fn say(words: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{words}").context("write to stdout")
}
