//! The last mail of the demo, which goes out by SMTP, as its recipient reads it.

use anyhow::{Context, ensure};
use mail_parser::MessageParser;
use testkit::SmtpServer;

use super::stage::Stage;
use super::{People, say};

/// What a mail program shows above a mail.
const HEADERS: [&str; 4] = ["From", "To", "Subject", "Date"];

/// One more account, mailed by another transport: nothing else changes.
pub(super) async fn by_smtp(stage: &mut Stage, people: &mut People) -> anyhow::Result<()> {
    let relay = SmtpServer::start()?;
    stage.switch_to_smtp(&relay)?;
    let sent = people.count + 1;
    stage.database.execute(&people.insert(1)).await?;
    // All those by SES, among them one about a password; and this one.
    stage.until_sent(sent + 1).await?;
    stage.stop()?;
    let messages = relay.messages();
    ensure!(messages.len() == 1, "one mail was to go by SMTP, not {}", messages.len());
    let message = messages.first().context("there is none")?;
    say("\nOne more account, with MAILROOM_TRANSPORT=smtp. Its mail, as it is read:\n")?;
    say(readable(&message.message)?)
}

/// The headers that matter, and the text.
fn readable(message: &str) -> anyhow::Result<String> {
    let parsed = MessageParser::default().parse(message).context("no mail")?;
    let mut shown = String::new();
    for name in HEADERS {
        // Decoded, where that makes a difference.
        let value = match name {
            "Subject" => parsed.subject(),
            _ => parsed.header_raw(name),
        };
        let value = value.with_context(|| format!("it has no {name}"))?;
        shown.push_str(&format!("  {name}: {}\n", value.trim()));
    }
    for line in parsed.body_text(0).context("it has no text")?.lines() {
        shown.push('\n');
        if !line.is_empty() {
            shown.push_str("  ");
            shown.push_str(line);
        }
    }
    Ok(shown)
}
