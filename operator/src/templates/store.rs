//! The templates that Amazon SES stores: one call at a time, and no faster than SES takes them.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::types::EmailTemplateContent;
use daemon::exit::{Exit, ExitExt};
use sender::transport::ses::TimeOuts;
use sender::transport::ses::tools::{Failure, client};
use tokio::time::{Instant, sleep_until};

use super::Source;

/// Names a page of the list (an SES limit).
const PAGE: i32 = 100;

/// What a template consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// In the order of [`Part::ALL`](super::Part::ALL); `None`: it has no such part.
    pub parts: [Option<String>; 3],
}

impl Stored {
    /// What a push of this folder would store.
    pub fn of(source: &Source) -> Self {
        let mut stored = Self { parts: source.texts.clone() };
        // What an editor leaves at the end of a subject is no part of it.
        stored.parts[0] = stored.parts[0].as_deref().map(|subject| subject.trim().to_owned());
        stored
    }

    fn content(&self) -> EmailTemplateContent {
        let [subject, html, text] = self.parts.clone();
        EmailTemplateContent::builder().set_subject(subject).set_html(html).set_text(text).build()
    }
}

/// SES, as far as it stores templates.
pub struct Store {
    client: Client,
    pace: Duration,
    next: Cell<Instant>,
}

impl Store {
    /// The one that the environment names. Makes no call yet.
    pub async fn connect(pace: Duration) -> Self {
        let client = Box::pin(client(TimeOuts::default())).await;
        Self { client, pace, next: Cell::new(Instant::now()) }
    }

    /// The template of this name.
    ///
    /// # Errors
    /// When the call fails for another reason than that there is none.
    pub async fn get(&self, name: &str) -> anyhow::Result<Option<Stored>> {
        self.turn().await;
        let call = self.client.get_email_template().template_name(name).send();
        match Box::pin(call).await {
            Ok(output) => {
                let content = output.template_content();
                let own = |text: Option<&str>| text.map(str::to_owned);
                Ok(Some(Stored {
                    parts: [
                        own(content.and_then(EmailTemplateContent::subject)),
                        own(content.and_then(EmailTemplateContent::html)),
                        own(content.and_then(EmailTemplateContent::text)),
                    ],
                }))
            }
            Err(error) if Failure::new(&error).is_missing => Ok(None),
            Err(error) => Err(failed(&error)),
        }
        .with_context(|| format!("read the template {name}"))
    }

    /// Stores a template of a new name.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn create(&self, name: &str, stored: &Stored) -> anyhow::Result<()> {
        self.turn().await;
        let call = self.client.create_email_template().template_name(name);
        let done = Box::pin(call.template_content(stored.content()).send()).await;
        done.map(drop)
            .map_err(|e| failed(&e))
            .with_context(|| format!("create the template {name}"))
    }

    /// Replaces a template.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn update(&self, name: &str, stored: &Stored) -> anyhow::Result<()> {
        self.turn().await;
        let call = self.client.update_email_template().template_name(name);
        let done = Box::pin(call.template_content(stored.content()).send()).await;
        done.map(drop)
            .map_err(|e| failed(&e))
            .with_context(|| format!("update the template {name}"))
    }

    /// The names of all templates, ours or not.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            self.turn().await;
            let call = self.client.list_email_templates().page_size(PAGE).set_next_token(token);
            let page = Box::pin(call.send()).await;
            let page = page.map_err(|error| failed(&error)).context("list the templates")?;
            let metadata = page.templates_metadata().iter();
            names.extend(metadata.filter_map(|one| one.template_name().map(str::to_owned)));
            token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// Waits until the next call may begin.
    async fn turn(&self) {
        sleep_until(self.next.get()).await;
        self.next.set(Instant::now() + self.pace);
    }
}

fn failed<E>(error: &SdkError<E, HttpResponse>) -> anyhow::Error
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let failure = Failure::new(error);
    let exit = if failure.is_transient { Exit::Unavailable } else { Exit::Config };
    anyhow!(failure).exit(exit)
}
