//! What the cases are run over: the same in every run, on every machine.

use std::iter::repeat_n;

use anyhow::{Context as _, ensure};
use collector::lines;
use collector::queue::Delivery;
use mailroom::line::{self, Row};
use mailroom::{Action, SecretKey};
use render::{Catalogue, Letter, Locales, Template};
use sender::compose::Composer;
use sender::transport::message::{Origin, mailbox};
use sender::transport::{Call, Mail};

/// Mails of a batch: as many as fit where speed is wanted.
pub(crate) const BATCH: usize = 500;

/// More often than this no case is run.
pub(crate) const RUNS_MAX: usize = 11;

/// Mails that are rendered one by one: a call's worth.
pub(crate) const LETTERS: usize = 50;

/// Every so many-th is a password recovery, which signs its code; the rest are activations.
const RECOVERY_EVERY: usize = 10;

/// In seconds since 1970, and far away: the minutes until then have as many digits for years.
const EXPIRES_AT: i64 = 4_102_444_800;

/// The label of the action.
const ACTIVATION: &str = "activation";

const URL: &str = "https://accounts.example";
const FROM: &str = "Accounts <noreply@accounts.example>";

/// See the module.
pub(crate) struct Inputs {
    pub(crate) key: SecretKey,
    pub(crate) activation: Action,
    pub(crate) recovery: Action,
    /// As claimed, the same in each: a run uses one up.
    pub(crate) batches: Vec<Vec<Delivery>>,
    /// What the collector makes of them.
    pub(crate) line: Vec<u8>,
    /// What the sender reads in it.
    pub(crate) rows: Vec<Row>,
    pub(crate) composer: Composer,
    pub(crate) origin: Origin,
    /// Activations, with what the database adds.
    pub(crate) call: Call,
    /// Theirs.
    pub(crate) letters: Vec<Letter>,
}

impl Inputs {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key: SecretKey = "5a".repeat(32).parse().context("a key")?;
        let deliveries: Vec<_> = (0..BATCH).map(delivery).collect::<Result<_, _>>()?;
        let mut line = Vec::new();
        let (rows, lines, _) = lines::write(&key, deliveries.clone(), BATCH, &mut line);
        ensure!((rows, lines) == (BATCH, 1), "{rows} rows in {lines} lines");
        let rows = line::parse(&line)?;
        let (activation, recovery) = (Action::activation(), Action::password_recovery());
        let mails = rows.iter().filter(|row| row.action == activation.number());
        let call = Call {
            action: activation.number(),
            label: Some(ACTIVATION.to_owned()),
            mails: mails.take(LETTERS).map(mail).collect(),
        };
        let composer = Composer::new(catalogue()?, Locales::default(), Some(URL.to_owned()));
        let letters = call.mails.iter().map(|mail| composer.letter(&call, mail));
        let letters = letters.collect::<Result<_, _>>();
        let letters =
            letters.map_err(|outcome| anyhow::anyhow!("a letter cannot be made: {outcome:?}"))?;
        let from = mailbox(FROM).map_err(anyhow::Error::msg)?;
        let envelope_sender = from.email.to_string();
        let origin = Origin { from, reply_to: None, envelope_sender };
        Ok(Self {
            key,
            activation,
            recovery,
            batches: vec![deliveries; RUNS_MAX],
            line,
            rows,
            composer,
            origin,
            call,
            letters,
        })
    }
}

/// One of those that come with Mailroom: reading them all would take longer than all that is counted.
fn catalogue() -> anyhow::Result<Catalogue> {
    let template = Template::new(
        include_str!("../../templates/activation/en/subject.txt"),
        include_str!("../../templates/activation/en/body.html"),
        include_str!("../../templates/activation/en/body.txt"),
    )?;
    let locale = "en".parse().map_err(|_| anyhow::anyhow!("en is not a locale"))?;
    let mut catalogue = Catalogue::default();
    catalogue.insert(ACTIVATION, locale, template);
    Ok(catalogue)
}

fn delivery(n: usize) -> anyhow::Result<Delivery> {
    let action = match n % RECOVERY_EVERY {
        0 => Action::password_recovery(),
        _ => Action::activation(),
    };
    let number = i16::try_from(action.number().get())?;
    let secret = repeat_n(n.to_le_bytes(), 4).flatten().collect();
    Ok(Delivery {
        token: i64::try_from(n)?,
        action: (number, action.path().to_owned(), action.signs_code()),
        secret,
        code: Some(format!("{n:05}").into_bytes()),
        email: format!("someone.{n}@mail.example").into_bytes(),
        login: format!("someone-{n}").into_bytes(),
        dispatches: 1,
        place: (5, std::time::SystemTime::UNIX_EPOCH),
    })
}

fn mail(row: &Row) -> Mail {
    Mail {
        delivery: Some(1),
        email: row.email.clone(),
        login: row.login.clone(),
        token: row.token.encode(),
        code: row.code.map(|code| code.as_str().to_owned()),
        locale: Some("en".to_owned()),
        expires_at: Some(EXPIRES_AT),
        data: None,
    }
}
