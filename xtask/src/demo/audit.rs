//! The count at the end: what was promised, by the database, against what SES was given.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context, ensure};
use mailroom::{Action, SecretKey, verify};
use testkit::{AcceptedMail, Database};

use super::stage::{self, ACTIVATION_TEMPLATE, RECOVERY_TEMPLATE};

/// A token's mail: which one, and to whom. Every token is promised one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Promise {
    action: String,
    email: String,
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    accounts: usize,
    activation_mails: usize,
    recoveries: usize,
    recovery_mails: usize,
    /// Mails beyond the first of a token.
    duplicates: usize,
    /// Tokens without a mail.
    lost: usize,
    /// Mails that no token promised: a bad signature, or the wrong address or template.
    strays: usize,
    /// Tokens that `delivery_status` does not call sent.
    unrecorded: usize,
}

impl Tally {
    /// Compares the tokens with the mails, every signature verified.
    pub(super) async fn take(database: &Database, mails: &[AcceptedMail]) -> anyhow::Result<Tally> {
        let tokens = "SELECT encode(t.secret, 'hex'), t.action, a.email
                        FROM tokens AS t JOIN accounts AS a ON a.id = t.account";
        let mut promises = HashMap::new();
        for row in database.query_rows(tokens).await? {
            let [Some(secret), Some(action), Some(email)] = row.as_slice() else {
                anyhow::bail!("a token has a NULL: {row:?}");
            };
            let promise = Promise { action: action.clone(), email: email.clone() };
            promises.insert(secret.clone(), promise);
        }
        let key = stage::key()?;
        let mails = mails.iter().map(|mail| read(&key, mail)).collect::<Vec<_>>();
        let number = async |sql| -> anyhow::Result<usize> {
            usize::try_from(database.query_i64(sql).await?).context(sql)
        };
        Ok(Tally {
            accounts: number("SELECT count(*) FROM accounts").await?,
            unrecorded: number(
                "SELECT count(*) FROM delivery_status WHERE state IS DISTINCT FROM 'sent'",
            )
            .await?,
            ..Tally::compare(&promises, &mails)
        })
    }

    /// `mails`: the secret that a mail's token holds, and the promise that the mail looks like;
    /// `None` if its signature is bad.
    fn compare(promises: &HashMap<String, Promise>, mails: &[Option<(String, Promise)>]) -> Tally {
        let mut tally = Tally {
            recoveries: promises.values().filter(|p| p.action == "password_recovery").count(),
            ..Tally::default()
        };
        let mut kept: HashMap<&str, usize> = HashMap::new();
        for mail in mails {
            let Some((secret, seen)) = mail.as_ref().filter(|(s, p)| promises.get(s) == Some(p))
            else {
                tally.strays += 1;
                continue;
            };
            *kept.entry(secret).or_default() += 1;
            match seen.action.as_str() {
                "password_recovery" => tally.recovery_mails += 1,
                _ => tally.activation_mails += 1,
            }
        }
        tally.duplicates = kept.values().map(|times| times - 1).sum();
        tally.lost = promises.len() - kept.len();
        tally
    }

    /// Each account one activation mail, each recovery one recovery mail, and nothing else.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let Tally { lost, duplicates, strays, unrecorded, .. } = self;
        ensure!(*lost == 0, "{lost} mails are lost");
        ensure!(*duplicates == 0, "{duplicates} mails were sent more often than once");
        ensure!(*strays == 0, "{strays} mails have a bad token, or went to the wrong address");
        ensure!(*unrecorded == 0, "{unrecorded} mails were sent, and not recorded as sent");
        ensure!(
            self.accounts == self.activation_mails && self.recoveries == self.recovery_mails,
            "there are not as many mails as accounts and recoveries"
        );
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |a, b| if a == b { "=" } else { "≠" };
        let (accounts, activations) = (self.accounts, self.activation_mails);
        let (asked, recoveries) = (self.recoveries, self.recovery_mails);
        let equals = sign(accounts, activations);
        writeln!(f, "accounts: {accounts} {equals} activation mails: {activations}")?;
        let equals = sign(asked, recoveries);
        writeln!(f, "password recoveries: {asked} {equals} recovery mails: {recoveries}")?;
        write!(f, "duplicates: {}, lost: {}", self.duplicates, self.lost)
    }
}

fn read(key: &SecretKey, mail: &AcceptedMail) -> Option<(String, Promise)> {
    let (action, code, name) = match mail.template.as_str() {
        ACTIVATION_TEMPLATE => (Action::activation(), None, "activation"),
        RECOVERY_TEMPLATE => {
            (Action::password_recovery(), Some(mail.text("code")), "password_recovery")
        }
        _ => return None,
    };
    let secret = verify(std::slice::from_ref(key), &action, mail.secret(), code).ok()?;
    let promise = Promise { action: name.to_owned(), email: mail.to.clone() };
    Some((hex(secret.as_bytes()), promise))
}

/// As PostgreSQL's `encode(…, 'hex')` has it.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Promise, Tally};

    fn promise(action: &str, email: &str) -> Promise {
        Promise { action: action.to_owned(), email: email.to_owned() }
    }

    /// What is counted when these mails were sent for two accounts and one recovery.
    fn tally(mails: &[(&str, &str, &str)]) -> Tally {
        let promises = [
            ("aa", promise("activation", "a@x")),
            ("bb", promise("activation", "b@x")),
            ("cc", promise("password_recovery", "a@x")),
        ];
        let promises = promises.into_iter().map(|(s, p)| (s.to_owned(), p)).collect();
        let mails = mails.iter().map(|(s, action, to)| Some((s.to_string(), promise(action, to))));
        Tally { accounts: 2, ..Tally::compare(&promises, &mails.collect::<Vec<_>>()) }
    }

    const A: (&str, &str, &str) = ("aa", "activation", "a@x");
    const B: (&str, &str, &str) = ("bb", "activation", "b@x");
    const C: (&str, &str, &str) = ("cc", "password_recovery", "a@x");

    #[test]
    fn one_mail_a_token_is_what_was_promised() {
        let tally = tally(&[B, C, A]);
        tally.verdict().unwrap();
        assert_eq!(
            tally.to_string(),
            "accounts: 2 = activation mails: 2\n\
             password recoveries: 1 = recovery mails: 1\n\
             duplicates: 0, lost: 0"
        );
    }

    #[test]
    fn what_is_lost_doubled_or_astray_is_told() {
        let reason = |mails: &[_]| tally(mails).verdict().unwrap_err().to_string();
        assert_eq!(reason(&[A, C]), "1 mails are lost");
        assert_eq!(reason(&[A, B, C, C, C]), "2 mails were sent more often than once");
        // Not made up for by another one's second mail.
        assert_eq!(reason(&[A, A, C]), "1 mails are lost");
        let wrong_address = ("dd", "activation", "b@x");
        assert_eq!(
            reason(&[A, B, C, wrong_address]),
            "1 mails have a bad token, or went to the wrong address"
        );
        assert!(tally(&[A, C]).to_string().contains("accounts: 2 ≠ activation mails: 1"));
        assert!(Tally { unrecorded: 1, ..tally(&[A, B, C]) }.verdict().is_err());
    }
}
