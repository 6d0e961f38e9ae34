//! What became of every token: the provider's word against the database's.

use std::collections::{BTreeMap, BTreeSet};

use mailroom::{Action, Secret, SecretKey, Token, verify};
use testkit::{AcceptedMail, Database, Ses};

use crate::world::{KEY, World};

/// A token as the database has it.
struct Owed {
    action: String,
    email: String,
    login: String,
    code: String,
    outcomes: Vec<String>,
}

impl World {
    /// Every token of the database was mailed exactly once, and recorded so, and nothing else was
    /// mailed.
    pub(crate) async fn each_mailed_once(&self, tokens: usize) {
        self.mailed(tokens, &BTreeSet::new()).await;
    }

    /// Every token was mailed, none but those in `may_repeat` more than once. Returns the secrets
    /// that were.
    pub(crate) async fn mailed(
        &self,
        tokens: usize,
        may_repeat: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let owed = owed(&self.db).await;
        assert_eq!(owed.len(), tokens, "tokens in the database");
        let mails = mails(&self.ses);
        for secret in mails.keys() {
            assert!(owed.contains_key(secret), "a mail of no token");
        }
        let mut repeated = BTreeSet::new();
        let mut lost = Vec::new();
        for (secret, owed) in &owed {
            let mails = mails.get(secret).map(Vec::as_slice).unwrap_or_default();
            for mail in mails {
                owed.check(mail);
            }
            let recorded = owed.outcomes.iter().filter(|outcome| *outcome == "sent").count();
            match (mails.len(), recorded) {
                (0, _) | (_, 0) => lost.push((mails.len(), &owed.outcomes)),
                (1, 1) => {}
                (mails, recorded) => {
                    assert!(
                        may_repeat.contains(secret),
                        "mailed {mails} times, recorded {recorded} times: {:?}",
                        owed.outcomes
                    );
                    repeated.insert(secret.clone());
                }
            }
        }
        assert!(lost.is_empty(), "{} lost of {tokens}: {lost:?}", lost.len());
        assert_eq!(self.db.query_i64("SELECT count(*) FROM deliveries").await.unwrap(), 0);
        repeated
    }
}

impl Owed {
    /// The right mail to the right place, with a token that opens the right door.
    fn check(&self, mail: &AcceptedMail) {
        let (action, template) = match self.action.as_str() {
            "activation" => (Action::activation(), "activationv1"),
            _ => (Action::password_recovery(), "passwordrecoveryv1"),
        };
        assert_eq!(mail.to, self.email);
        assert_eq!(mail.template, template);
        assert_eq!(html_escape::decode_html_entities(mail.text("login")), self.login);
        let code = (template == "passwordrecoveryv1").then(|| mail.text("code"));
        if let Some(code) = code {
            assert_eq!(code, self.code);
        }
        let key: SecretKey = KEY.parse().unwrap();
        verify(&[key], &action, mail.secret(), code).unwrap();
    }
}

/// The accepted mails by the secret of their token, in hexadecimal.
pub(crate) fn mails(ses: &Ses) -> BTreeMap<String, Vec<AcceptedMail>> {
    let mut by_secret: BTreeMap<String, Vec<AcceptedMail>> = BTreeMap::new();
    for mail in ses.mails() {
        by_secret.entry(secret_of(mail.secret())).or_default().push(mail);
    }
    by_secret
}

/// The secret of an encoded token, in hexadecimal.
pub(crate) fn secret_of(token: &str) -> String {
    let secret: Secret = *Token::decode(token).unwrap().secret();
    secret.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn owed(db: &Database) -> BTreeMap<String, Owed> {
    let sql = "SELECT encode(secret, 'hex'), action, email, login, code,
            (SELECT string_agg(outcome::text, ',' ORDER BY at)
             FROM delivery_log WHERE token = t.id)
        FROM tokens AS t JOIN accounts AS a ON a.id = t.account";
    let rows = db.query_rows(sql).await.unwrap();
    rows.into_iter()
        .map(|row| {
            let mut columns = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || columns.next().unwrap();
            let secret = next();
            let owed = Owed {
                action: next(),
                email: next(),
                login: next(),
                code: next(),
                outcomes: next().split(',').map(str::to_owned).collect(),
            };
            (secret, owed)
        })
        .collect()
}
