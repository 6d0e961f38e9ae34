//! `--send-to`: one real mail, by the sender's own code, with a token that opens nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mailroom::{Action, ActionNumber, Secret, SecretKey, sign};
use sender::config::{Config, Kind};
use sender::transport::file::Files;
use sender::transport::ses::Ses;
use sender::transport::smtp::Smtp;
use sender::transport::{Call, Mail, Outcome, Transport};

use super::finding::Finding;
use super::transport::refused;

const CHECK: &str = "test mail";

/// Who the mail says it is for: so that nobody takes it for a real one.
const LOGIN: &str = "mailroom doctor (this is a test, its link opens nothing)";

/// How long a real one lives.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Sends it as an activation; what became of it.
pub async fn send(settings: Option<&Config>, address: &str) -> Finding {
    let Some(settings) = settings else {
        let detail = "the sender's settings are not well-formed";
        return Finding::wrong(CHECK, format!("not sent: {detail}"), "mend them first");
    };
    if settings.dry_run {
        return Finding::wrong(CHECK, "not sent: MAILROOM_DEBUG is on", "MAILROOM_DEBUG=false");
    }
    match Box::pin(through(settings, address)).await {
        Err(error) => Finding::wrong(CHECK, format!("{error:#}"), "mend it and try again"),
        Ok(None) => {
            Finding::wrong(CHECK, "not sent: noop sends nothing", "MAILROOM_TRANSPORT=ses or smtp")
        }
        Ok(Some(Outcome::Sent { provider_id })) => {
            let whose = match settings.transport {
                Kind::Ses => "SES calls it",
                Kind::Smtp => "the relay says",
                Kind::File | Kind::Noop => "it is in",
            };
            Finding::ok(CHECK, format!("accepted; {whose} {provider_id}"))
        }
        Ok(Some(outcome)) => refused(CHECK, "", &outcome),
    }
}

async fn through(settings: &Config, address: &str) -> anyhow::Result<Option<Outcome>> {
    let call = &activation(address)?;
    let outcomes = match settings.transport {
        Kind::Ses => {
            let composer = settings.templates.as_ref().map(|_| settings.composer()).transpose()?;
            let ses = Box::pin(Ses::connect(settings.ses())).await?.with_composer(composer);
            Box::pin(carry(&ses, call)).await
        }
        Kind::Smtp => {
            let (origin, composer) = (settings.origin.clone(), settings.composer()?);
            let smtp = Smtp::new(settings.smtp.clone(), origin, composer)?;
            Box::pin(carry(&smtp, call)).await
        }
        Kind::File => {
            let (origin, composer) = (settings.origin.clone(), settings.composer()?);
            let files = Files::into_folder(&settings.file_path, origin, composer)?;
            Box::pin(carry(&files, call)).await
        }
        Kind::Noop => Vec::new(),
    };
    Ok(outcomes.into_iter().next())
}

async fn carry<T: Transport>(transport: &T, call: &Call) -> Vec<Outcome> {
    let outcomes = transport.send(call, &|| true).await;
    transport.finish().await;
    outcomes
}

fn activation(address: &str) -> anyhow::Result<Call> {
    let expires = SystemTime::now() + LIFETIME;
    let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mail = Mail {
        delivery: None,
        email: address.to_owned(),
        login: LOGIN.to_owned(),
        token: token()?,
        code: None,
        locale: None,
        expires_at: i64::try_from(expires).ok(),
        data: None,
    };
    let label = Some("activation".to_owned());
    Ok(Call { action: ActionNumber::ACTIVATION, label, mails: vec![mail] })
}

/// One that no database has, and each time another: a mail's id is made of it, and of two with the
/// same id a mailbox shows one.
fn token() -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(&now.to_be_bytes());
    let nobodys: SecretKey = "00".repeat(32).parse()?;
    Ok(sign(&nobodys, &Action::activation(), &Secret::from(secret), None)?.encode())
}
