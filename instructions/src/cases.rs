//! The pure code on the path of each mail. Every case is a function of its own, never inlined, so that
//! `callgrind_annotate` can say what it is made of.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use collector::lines;
use mailroom::line::{self, Row};
use mailroom::{sign, verify};
use sender::transport::message::Message;
use sender::{plan, template};

use crate::inputs::{BATCH, Inputs, LETTERS};

/// Mails a call may have: what SES takes.
const CALL_MAX: usize = 50;

/// Something that is done to each mail.
pub(crate) struct Case {
    /// What the budgets call it.
    pub(crate) name: &'static str,
    /// How many mails one run does it to.
    pub(crate) mails: usize,
    /// A case that is done in this one, too, and is not to be counted twice.
    pub(crate) without: Option<&'static str>,
    /// Returns how many mails it has been done to.
    once: fn(&mut Inputs) -> usize,
}

const fn case(name: &'static str, mails: usize, once: fn(&mut Inputs) -> usize) -> Case {
    Case { name, mails, without: None, once }
}

/// All cases, in the order of a mail's way.
pub(crate) const CASES: [Case; 8] = [
    case("sign", BATCH, sign_tokens),
    // Signing is most of it, and would hide what becomes of the rest.
    Case { without: Some("sign"), ..case("write", BATCH, write_lines) },
    case("parse", BATCH, parse_line),
    case("plan", BATCH, plan_calls),
    case("ses-data", LETTERS, ses_data),
    case("letter", LETTERS, make_letters),
    case("message", LETTERS, make_messages),
    case("verify", LETTERS, verify_tokens),
];

/// Runs a case so many times over.
pub(crate) fn run(name: &str, times: usize) -> anyhow::Result<()> {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.with_context(|| format!("{name:?} is not a case"))?;
    // For what separates the parts of a message.
    fastrand::seed(0);
    let mut inputs = Inputs::new()?;
    let done: usize = (0..times).map(|_| (case.once)(black_box(&mut inputs))).sum();
    ensure!(done == times * case.mails, "{name}: {done} of {} mails", times * case.mails);
    // What has not been used up would be counted where it is dropped.
    std::mem::forget(inputs);
    Ok(())
}

/// The collector: the token of each delivery.
#[inline(never)]
fn sign_tokens(inputs: &mut Inputs) -> usize {
    let Inputs { key, activation, recovery, rows, .. } = inputs;
    let signed = |row: &&Row| {
        let action = if row.action == activation.number() { &*activation } else { &*recovery };
        black_box(sign(key, action, row.token.secret(), row.code.as_ref())).is_ok()
    };
    rows.iter().filter(signed).count()
}

/// The collector: what has been claimed becomes a line.
#[inline(never)]
fn write_lines(inputs: &mut Inputs) -> usize {
    let mut out = Vec::new();
    let batch = inputs.batches.pop().unwrap_or_default();
    let (rows, _, _) = lines::write(&inputs.key, batch, BATCH, &mut out);
    black_box(out);
    rows
}

/// The sender: a line becomes rows.
#[inline(never)]
fn parse_line(inputs: &mut Inputs) -> usize {
    black_box(line::parse(&inputs.line)).map_or(0, |rows| rows.len())
}

/// The sender: rows become calls, and here rows again, for the next time.
#[inline(never)]
fn plan_calls(inputs: &mut Inputs) -> usize {
    let calls = black_box(plan::calls(std::mem::take(&mut inputs.rows), CALL_MAX));
    inputs.rows.reserve(BATCH);
    inputs.rows.extend(calls.into_iter().flat_map(|call| call.rows));
    inputs.rows.len()
}

/// The sender: what a template that SES stores is filled with.
#[inline(never)]
fn ses_data(inputs: &mut Inputs) -> usize {
    let data = |mail| black_box(template::data(inputs.call.action, mail)).is_ok();
    inputs.call.mails.iter().filter(|mail| data(mail)).count()
}

/// The sender: a template of ours is filled in.
#[inline(never)]
fn make_letters(inputs: &mut Inputs) -> usize {
    let letter = |mail| black_box(inputs.composer.letter(&inputs.call, mail)).is_ok();
    inputs.call.mails.iter().filter(|mail| letter(mail)).count()
}

/// The sender: a letter becomes what a relay is given.
#[inline(never)]
fn make_messages(inputs: &mut Inputs) -> usize {
    let both = inputs.call.mails.iter().zip(&inputs.letters);
    let made = both.filter(|(mail, letter)| {
        let message = Message::new(&inputs.origin, mail, letter);
        black_box(message.map(|message| message.dotted())).is_ok()
    });
    made.count()
}

/// The application: somebody has followed the link.
#[inline(never)]
fn verify_tokens(inputs: &mut Inputs) -> usize {
    let keys = std::slice::from_ref(&inputs.key);
    let good = |token: &str| black_box(verify(keys, &inputs.activation, token, None)).is_ok();
    inputs.call.mails.iter().filter(|mail| good(&mail.token)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_done_to_every_mail_each_time() {
        for case in &CASES {
            run(case.name, 2).unwrap();
        }
        assert!(run("nothing", 1).is_err());
    }
}
