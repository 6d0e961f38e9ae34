//! Mailroom's transport, as the sender runs it: on a runtime of one thread.

use std::time::Duration;

use anyhow::{Context, ensure};
use mailroom::{Action, ActionNumber, Secret, SecretKey, sign};
use render::{Catalogue, Locales};
use sender::compose::Composer;
use sender::transport::message::{Origin, mailbox};
use sender::transport::smtp::{Security, Smtp, SmtpSettings};
use sender::transport::{Call, Mail, Outcome, Transport as _};
use tokio::runtime::Runtime;

pub(super) const FROM: &str = "noreply@bench.example";

pub(super) struct Ours {
    runtime: Runtime,
    transport: Smtp,
}

impl Ours {
    pub(super) fn new(port: u16) -> anyhow::Result<Ours> {
        let settings = SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port,
            security: Security::None,
            ca_file: None,
            login: None,
            mechanisms: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let origin = Origin {
            from: mailbox(FROM).map_err(anyhow::Error::msg)?,
            reply_to: None,
            envelope_sender: FROM.to_owned(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("build a tokio runtime")?;
        Ok(Ours { runtime, transport: Smtp::new(settings, origin, composer()?)? })
    }

    pub(super) fn send(&self, mails: usize) -> anyhow::Result<()> {
        let call_max = self.transport.mails_per_call_max();
        let mut mails = call(mails)?.mails.into_iter();
        loop {
            let part: Vec<Mail> = mails.by_ref().take(call_max).collect();
            if part.is_empty() {
                return Ok(());
            }
            let call = Call { action: ActionNumber::ACTIVATION, label: None, mails: part };
            let outcomes = self.runtime.block_on(self.transport.send(&call, &|| true));
            let sent = |outcome: &Outcome| matches!(outcome, Outcome::Sent { .. });
            ensure!(outcomes.iter().all(sent), "{outcomes:?}");
        }
    }
}

pub(super) fn composer() -> anyhow::Result<Composer> {
    let url = Some("https://bench.example".to_owned());
    Ok(Composer::new(Catalogue::built_in()?, Locales::default(), url))
}

/// Activations, all different.
pub(super) fn call(mails: usize) -> anyhow::Result<Call> {
    let key: SecretKey = "5a".repeat(32).parse().context("a key")?;
    let mail = |n: usize| {
        let mut secret = [0; 32];
        fastrand::fill(&mut secret);
        let token = sign(&key, &Action::activation(), &Secret::from(secret), None)?;
        Ok(Mail {
            delivery: None,
            email: format!("user{n}@bench.example"),
            login: format!("user{n}"),
            token: token.encode(),
            code: None,
            locale: None,
            expires_at: None,
            data: None,
        })
    };
    let mails = (1..=mails).map(mail).collect::<anyhow::Result<_>>()?;
    Ok(Call { action: ActionNumber::ACTIVATION, label: None, mails })
}
