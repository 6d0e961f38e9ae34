//! lettre as its first example has it: `SmtpTransport`, `send()`, and its own pool.

use anyhow::Context;
use lettre::message::{MultiPart, SinglePart, header::ContentType};
use lettre::{Message, SmtpTransport, Transport as _};

use super::ours;

pub(super) struct Plain {
    transport: SmtpTransport,
    messages: Vec<Message>,
}

impl Plain {
    /// The same letters as ours.
    pub(super) fn new(port: u16, mails: usize) -> anyhow::Result<Plain> {
        let transport = SmtpTransport::builder_dangerous("127.0.0.1").port(port).build();
        let composer = ours::composer()?;
        let call = ours::call(mails)?;
        let message = |mail: &sender::transport::Mail| {
            let letter = composer.letter(&call, mail);
            let letter = letter.map_err(|outcome| anyhow::anyhow!("{outcome:?}"))?;
            let part = |kind, body| SinglePart::builder().header(kind).body(body);
            Message::builder()
                .from(ours::FROM.parse().context("our address")?)
                .to(mail.email.parse().context("an address")?)
                .subject(letter.subject)
                .multipart(
                    MultiPart::alternative()
                        .singlepart(part(ContentType::TEXT_PLAIN, letter.text))
                        .singlepart(part(ContentType::TEXT_HTML, letter.html)),
                )
                .context("make a message")
        };
        let messages = call.mails.iter().map(message).collect::<anyhow::Result<_>>()?;
        Ok(Plain { transport, messages })
    }

    pub(super) fn send(&self, mails: usize) -> anyhow::Result<()> {
        for message in self.messages.iter().take(mails) {
            self.transport.send(message).context("lettre: send")?;
        }
        Ok(())
    }
}
