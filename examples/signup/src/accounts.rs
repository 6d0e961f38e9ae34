//! Everything the application asks of the database.

use anyhow::Context;
use mailroom::Secret;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// Accounts and their links. One connection, made anew when it is gone: where this example has one, an
/// application with more visitors has a pool.
#[derive(Debug)]
pub struct Accounts {
    config: Config,
    client: Mutex<Option<Client>>,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link<'a> {
    /// Makes the account active, by this name.
    Activation {
        /// Whatever its owner likes to be called.
        login: &'a str,
    },
    /// Lets its owner choose a new password.
    Recovery,
}

/// Why a link that Mailroom signed is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such token: its account is gone, say.
    Unknown,
    /// It is too old.
    Expired,
    /// It was used up before.
    Used,
    /// The account is suspended; or, to be activated, it is active already.
    Ineligible,
    /// Somebody has that name. The link is as good as before.
    LoginTaken,
}

impl Accounts {
    pub(crate) fn new(config: Config) -> Accounts {
        Accounts { config, client: Mutex::new(None) }
    }

    /// Signs somebody up: one INSERT. Mailroom's triggers make the activation token and promise its
    /// mail in the same transaction, so there is nothing to send, to queue or to clean up.
    ///
    /// Until its owner chooses a name, by the link, the account goes by its address, which nobody else
    /// can have. Were a name given here, two tries could tell whether an address has an account: the
    /// name of a first one with that address is taken afterwards only if the address was new.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn sign_up(&self, email: &str) -> anyhow::Result<()> {
        let sql = "INSERT INTO accounts (email, login) VALUES ($1, $1) ON CONFLICT DO NOTHING";
        // How many rows it made is the business of the address's owner alone.
        self.client().await?.execute(sql, &[&email]).await.context("sign up")?;
        Ok(())
    }

    /// Mails a new link, if there is an account with this address: to activate it, if it is not active
    /// yet, or to choose a new password. At most one a minute, so that nobody can fill a mailbox.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn ask_for_link(&self, email: &str) -> anyhow::Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.context("begin")?;
        // Of several at once, each waits for the one before it, and then sees what that one made: the
        // next statement looks at the tables anew.
        let lock = "SELECT FROM accounts WHERE email = $1 FOR NO KEY UPDATE";
        transaction.execute(lock, &[&email]).await.context("lock the account")?;
        let insert = "INSERT INTO tokens (account, action)
            SELECT a.id, wanted.action FROM accounts AS a,
                LATERAL (SELECT CASE a.status WHEN 'provisioned' THEN 'activation'::token_action
                                              ELSE 'password_recovery' END) AS wanted (action)
             WHERE a.email = $1 AND a.status <> 'suspended'
               AND NOT EXISTS (
                   SELECT FROM tokens AS t WHERE t.account = a.id AND t.action = wanted.action
                      AND t.consumed_at IS NULL AND t.created_at > extract(epoch FROM now()) - 60)";
        transaction.execute(insert, &[&email]).await.context("ask for a link")?;
        transaction.commit().await.context("commit")
    }

    /// Uses a link up, and sets the password and the name: all of it or nothing. `secret` is from a
    /// verified token.
    ///
    /// # Errors
    /// If the database is away; the link is as good as before, then.
    pub async fn use_link(
        &self,
        link: Link<'_>,
        secret: &Secret,
        password: &str,
    ) -> anyhow::Result<Result<(), Refusal>> {
        let action = match link {
            Link::Activation { .. } => "activation",
            Link::Recovery => "password_recovery",
        };
        let mut client = self.client().await?;
        let transaction = client.transaction().await.context("begin")?;
        let consume = "SELECT account, refusal FROM consume_token($1, $2::text::token_action)";
        let answer = transaction
            .query_one(consume, &[&secret.as_bytes().as_slice(), &action])
            .await
            .context("use the link up")?;
        match answer.get("refusal") {
            None => {}
            Some("expired") => return Ok(Err(Refusal::Expired)),
            Some("used") => return Ok(Err(Refusal::Used)),
            Some("ineligible") => return Ok(Err(Refusal::Ineligible)),
            Some(_) => return Ok(Err(Refusal::Unknown)),
        }
        let account: i64 = answer.get("account");
        if let Link::Activation { login } = link {
            // Who gets here has shown whose the address is, and may know which names are taken.
            let name = "UPDATE accounts SET login = $2 WHERE id = $1";
            match transaction.execute(name, &[&account, &login]).await {
                // The rollback gives the link back.
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                    return Ok(Err(Refusal::LoginTaken));
                }
                named => named.context("set the name")?,
            };
        }
        // Consuming an activation token has made the account active, too. bcrypt by pgcrypto, which is
        // there anyway; an application may prefer a library of its own.
        let set = "INSERT INTO passwords (account, hash) VALUES ($1, crypt($2, gen_salt('bf', 10)))
            ON CONFLICT (account) DO UPDATE SET hash = excluded.hash";
        transaction.execute(set, &[&account, &password]).await.context("set the password")?;
        // Other links to a new password, asked for impatiently, die with the first one used.
        let expire = "UPDATE tokens SET expires_at = extract(epoch FROM now())
             WHERE account = $1 AND action = 'password_recovery' AND consumed_at IS NULL";
        transaction.execute(expire, &[&account]).await.context("expire other links")?;
        transaction.commit().await.context("commit")?;
        Ok(Ok(()))
    }

    /// The login of whoever has this address and this password. Takes as long if there is no such
    /// account.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn sign_in(&self, email: &str, password: &str) -> anyhow::Result<Option<String>> {
        let sql = "SELECT a.login, crypt($2, coalesce(p.hash, gen_salt('bf', 10))) = p.hash AS good
            FROM (VALUES ($1::text)) AS asked (email)
            LEFT JOIN accounts AS a ON a.email = asked.email AND a.status = 'active'
            LEFT JOIN passwords AS p ON p.account = a.id";
        let row = self.client().await?.query_one(sql, &[&email, &password]).await;
        let row = row.context("sign in")?;
        // NULL if there is no such account, or it has no password.
        let good: Option<bool> = row.get("good");
        Ok(if good == Some(true) { row.get("login") } else { None })
    }

    async fn client(&self) -> anyhow::Result<MappedMutexGuard<'_, Client>> {
        let mut slot = self.client.lock().await;
        if slot.as_ref().is_none_or(Client::is_closed) {
            let (client, connection) = self.config.connect(NoTls).await.context("connect")?;
            // Its error is that of the statement that was under way.
            tokio::spawn(connection);
            *slot = Some(client);
        }
        MutexGuard::try_map(slot, Option::as_mut).ok().context("connect")
    }
}
