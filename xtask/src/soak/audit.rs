//! The count at the end: what was promised, by the database, against what SES accepted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use mailroom::{Action, SecretKey, verify};

use super::journal::{Excuse, Handed, Journal};
use super::records::{Records, Token};

/// A call may be under way so long with what was true when it began.
const IN_CALL: Duration = Duration::from_secs(60);
/// A call begins only if its tokens outlive it; this is for the clocks.
const PAST_EXPIRY: Duration = Duration::from_secs(5);

/// A mail as the double was given it.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    /// Its token's, in hexadecimal; `None`: the signature is bad.
    pub(super) secret: Option<String>,
    pub(super) to: String,
    pub(super) message_id: String,
    /// `recorded` is the audit's to fill in.
    pub(super) handed: Handed,
}

/// What was counted. Tokens are named by their id.
#[derive(Debug, Default)]
pub(super) struct Tally {
    tokens: usize,
    outcomes: BTreeMap<String, usize>,
    mails: usize,
    /// Mails beyond the first of a token.
    duplicates: usize,
    /// Mails whose second one would be excused, by excuse.
    excused: BTreeMap<Excuse, usize>,
    /// Duplicates that nothing excuses.
    unexcused: BTreeSet<i64>,
    /// Neither mailed nor accounted for.
    lost: BTreeSet<i64>,
    /// Mailed to an address that was not the account's.
    astray: BTreeSet<i64>,
    /// Mailed though the link was dead.
    dead: BTreeSet<i64>,
    /// Mails of no token: rolled back, or a bad signature.
    strays: usize,
}

impl Tally {
    pub(super) fn take(records: &Records, mails: &[Mail], journal: &Journal) -> Tally {
        let mut tally =
            Tally { tokens: records.tokens.len(), mails: mails.len(), ..Tally::default() };
        let mut of_token: HashMap<&str, (usize, usize)> = HashMap::new();
        for mail in mails {
            let known = mail.secret.as_ref().and_then(|s| records.tokens.get_key_value(s));
            let Some((secret, token)) = known else {
                tally.strays += 1;
                continue;
            };
            let recorded = records.recorded.get(&mail.message_id).copied();
            let excuse = journal.excuse(&Handed { recorded, ..mail.handed });
            let (all, excused) = of_token.entry(secret).or_default();
            *all += 1;
            if let Some(excuse) = excuse {
                *excused += 1;
                *tally.excused.entry(excuse).or_default() += 1;
            }
            tally.look_at(records, token, &mail.to, mail.handed.accepted);
        }
        for (secret, token) in &records.tokens {
            let (all, excused) = of_token.get(secret.as_str()).copied().unwrap_or_default();
            let again = all.saturating_sub(1);
            tally.duplicates += again;
            if again > excused {
                tally.unexcused.insert(token.id);
            }
            if all == 0 && !token.is_accounted_for() {
                tally.lost.insert(token.id);
            }
            let outcome = token.outcome.as_deref().unwrap_or("nothing recorded");
            *tally.outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        tally
    }

    fn look_at(&mut self, records: &Records, token: &Token, to: &str, at: Instant) {
        let had = match records.addresses.get(&(token.account, to.to_owned())) {
            Some(Some(until)) => at < *until + IN_CALL,
            Some(None) => true,
            None => false,
        };
        if !had {
            self.astray.insert(token.id);
        }
        let ended = token.ended.is_some_and(|ended| at > ended + IN_CALL);
        if ended || at > token.expires + PAST_EXPIRY {
            self.dead.insert(token.id);
        }
    }

    fn budget(&self) -> usize {
        self.excused.values().sum()
    }

    /// What is wrong, in words.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut complain = |many: usize, words: &str| {
            if many > 0 {
                complaints.push(format!("{many} {words}"));
            }
        };
        complain(self.lost.len(), "mails are lost");
        complain(self.unexcused.len(), "tokens were mailed again though no fault excuses it");
        complain(self.astray.len(), "mails went to an address that was not the account's");
        complain(self.dead.len(), "mails had a dead link");
        complain(self.strays, "mails have a token that was never committed, or is not ours");
        if self.duplicates > self.budget() {
            complaints.push("there are more duplicates than the budget has".to_owned());
        }
        complaints
    }

    /// The tokens that are complained about.
    pub(super) fn offending(&self) -> HashSet<i64> {
        let all = [&self.lost, &self.unexcused, &self.astray, &self.dead];
        all.into_iter().flatten().copied().collect()
    }
}

impl Token {
    /// Whether the log says why there is no mail, and rightly: what can be mailed is not skipped.
    fn is_accounted_for(&self) -> bool {
        match self.outcome.as_deref() {
            Some("failed") => true,
            Some("skipped" | "unconfirmed") => !self.eligible,
            _ => false,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (outcome, tokens) in &self.outcomes {
            writeln!(f, "  {outcome:<40}{tokens:>6}")?;
        }
        writeln!(f, "\nmails that may come twice, the budget of duplicates:")?;
        for (excuse, mails) in &self.excused {
            writeln!(f, "  {:<40}{mails:>6}", excuse.words())?;
        }
        let Tally { tokens, mails, duplicates, lost, .. } = self;
        let (budget, lost) = (self.budget(), lost.len());
        write!(
            f,
            "\ntokens {tokens}, mails {mails}, duplicates {duplicates}, budget {budget}, lost {lost}"
        )
    }
}

impl Excuse {
    fn words(self) -> &'static str {
        match self {
            Excuse::Unanswered => "accepted, the answer never came",
            Excuse::SenderKilled => "the sender was killed before it recorded",
            Excuse::SenderStopped => "the sender was stopped, and took no answer",
            Excuse::DatabaseDied => "PostgreSQL died during the call",
            Excuse::RecordedLate => "recorded only after the 30 s of grace",
        }
    }
}

/// The secret of a mail's token, in PostgreSQL's hexadecimal, if the signature is good.
pub(super) fn secret_of(key: &SecretKey, mail: &testkit::AcceptedMail) -> Option<String> {
    let code = Some(mail.text("code")).filter(|code| !code.is_empty());
    let action = match mail.template.as_str() {
        "activationv1" => (Action::activation(), None),
        "passwordrecoveryv1" => (Action::password_recovery(), code),
        _ => return None,
    };
    let secret = verify(std::slice::from_ref(key), &action.0, mail.secret(), action.1).ok()?;
    Some(secret.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two activation tokens, 1 with the secret `aa` and 2 with `bb`, of accounts 1 and 2.
    fn records(outcome: &str, eligible: bool) -> Records {
        let expires = Instant::now() + Duration::from_secs(3_600);
        let token = |id| Token {
            id,
            account: id,
            action: "activation".to_owned(),
            expires,
            ended: None,
            outcome: Some(outcome.to_owned()),
            eligible,
        };
        let mut records = Records::default();
        for (id, secret, email) in [(1, "aa", "a@x"), (2, "bb", "b@x")] {
            records.tokens.insert(secret.to_owned(), token(id));
            records.addresses.insert((id, email.to_owned()), None);
            records.recorded.insert(format!("{secret}-{email}"), Instant::now());
        }
        records
    }

    fn mail(secret: &str, to: &str, answered: bool) -> Mail {
        let now = Instant::now();
        let handed = Handed { pipe: 0, arrived: now, accepted: now, answered, recorded: None };
        let message_id = format!("{secret}-{to}");
        Mail { secret: Some(secret.to_owned()), to: to.to_owned(), message_id, handed }
    }

    fn complaints(records: &Records, mails: &[Mail]) -> Vec<String> {
        Tally::take(records, mails, &Journal::default()).complaints()
    }

    #[test]
    fn what_was_mailed_or_rightly_skipped_is_not_lost() {
        let (a, b) = (mail("aa", "a@x", true), mail("bb", "b@x", true));
        assert!(complaints(&records("sent", true), &[a.clone(), b]).is_empty());
        assert!(complaints(&records("skipped", false), std::slice::from_ref(&a)).is_empty());
        assert!(complaints(&records("failed", true), std::slice::from_ref(&a)).is_empty());
        for (outcome, eligible) in [("sent", true), ("deferred", true), ("skipped", true)] {
            let lost = complaints(&records(outcome, eligible), std::slice::from_ref(&a));
            assert_eq!(lost, ["1 mails are lost"], "{outcome}");
        }
    }

    #[test]
    fn a_second_mail_needs_an_excuse_of_its_own_token() {
        let records = records("sent", true);
        let (a, b) = (mail("aa", "a@x", true), mail("bb", "b@x", true));
        let (untold, other) = (mail("aa", "a@x", false), mail("bb", "b@x", false));
        assert!(complaints(&records, &[untold, a.clone(), b]).is_empty());
        let unexcused = "1 tokens were mailed again though no fault excuses it";
        assert_eq!(complaints(&records, &[a.clone(), a, other]), [unexcused]);
    }

    #[test]
    fn dead_links_and_old_addresses_are_found() {
        let mut records = records("sent", true);
        let mails = [mail("aa", "b@x", true), mail("bb", "b@x", true), mail("cc", "b@x", true)];
        let long_ago = Instant::now().checked_sub(2 * IN_CALL);
        records.tokens.get_mut("bb").unwrap().ended = long_ago;
        let tally = Tally::take(&records, &mails, &Journal::default());
        assert_eq!((tally.astray.len(), tally.dead.len(), tally.strays), (1, 1, 1));
        assert_eq!(tally.offending(), HashSet::from([1, 2]));
    }
}
