//! One mail over one connection.

use std::time::{Duration, Instant};

use lettre::transport::smtp::response::{Response, Severity};
use tokio::time::timeout;

use super::connect::{Connection, answer, out_of_place};
use super::meaning::{self, Stage};
use crate::transport::Outcome;
use crate::transport::message::Message;
use crate::transport::words::message_id;

/// What became of a mail, and of the connection.
pub(super) struct Transacted {
    pub(super) outcome: Outcome,
    /// Whether the next mail may go over this connection.
    pub(super) usable: bool,
    /// Whether the server had hung up before it heard of this mail.
    pub(super) untouched: bool,
}

impl Transacted {
    fn broken(outcome: Outcome) -> Self {
        Self { outcome, usable: false, untouched: false }
    }

    fn usable(outcome: Outcome) -> Self {
        Self { outcome, usable: true, untouched: false }
    }
}

/// How long a mail may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For each answer.
    pub(super) answer: Duration,
    /// When the body must be on its way.
    pub(super) body_by: Instant,
}

impl Limits {
    pub(super) fn before_the_body(&self) -> Duration {
        self.answer.min(self.body_by.saturating_duration_since(Instant::now()))
    }
}

/// No answer that is a yes.
struct No {
    outcome: Outcome,
    /// Whether the connection is of more use.
    lives: bool,
    /// Whether nobody was there to be asked.
    gone: bool,
}

type Answer = Result<Response, No>;

impl Connection {
    /// Sends `message`. `go` is asked once more before the body leaves: until then nothing is sent.
    pub(super) async fn transact(
        &mut self,
        message: &Message,
        limits: Limits,
        go: &dyn Fn() -> bool,
    ) -> Transacted {
        let used = std::mem::replace(&mut self.used, true);
        let commands = [
            (Stage::Mail, format!("MAIL FROM:<{}>\r\n", message.from), 250),
            (Stage::Recipient, format!("RCPT TO:<{}>\r\n", message.to), 250),
            (Stage::Data, "DATA\r\n".to_owned(), 354),
        ];
        let mut refused: Option<Outcome> = None;
        let mut nobody = false;
        let mut data_open = false;
        for (place, (stage, command, expected)) in commands.iter().enumerate() {
            let wait = limits.before_the_body();
            let said = if !self.pipelining {
                self.ask(command, 1, *stage, wait).await
            } else if place == 0 {
                let all: String = commands.iter().map(|(_, command, _)| command.as_str()).collect();
                self.ask(&all, 3, *stage, wait).await
            } else {
                heard(*stage, timeout(wait, self.smtp.read_response()).await)
            };
            match said {
                Ok(said)
                    if u16::from(said.code()) == *expected
                        || (*stage == Stage::Recipient && said.has_code(251)) =>
                {
                    data_open = *stage == Stage::Data;
                }
                Ok(said) => return Transacted::broken(out_of_place(*stage, &said)),
                Err(No { outcome, lives: true, .. }) => {
                    nobody |= *stage == Stage::Recipient;
                    refused.get_or_insert(outcome);
                    if !self.pipelining {
                        break;
                    }
                }
                Err(No { outcome, gone, .. }) => {
                    // What was refused before the silence was refused.
                    let untouched = used && gone && place == 0;
                    let outcome = refused.unwrap_or(outcome);
                    return Transacted { untouched, ..Transacted::broken(outcome) };
                }
            }
        }
        match refused {
            None if !go() => Transacted::broken(meaning::untried()),
            None => self.body(&message.dotted(), limits.answer).await,
            Some(outcome) => {
                let wait = limits.before_the_body();
                let clean = match (data_open, nobody) {
                    (false, _) => self.reset(wait).await,
                    // It waits for a body that nobody is to get.
                    (true, true) => self.lone_dot(wait).await,
                    // A server that opens DATA after it has refused MAIL might send an empty one.
                    (true, false) => false,
                };
                if clean { Transacted::usable(outcome) } else { Transacted::broken(outcome) }
            }
        }
    }

    /// Ends a message that has no recipient, whatever the server says to it.
    async fn lone_dot(&mut self, wait: Duration) -> bool {
        match self.ask(".\r\n", 1, Stage::Body, wait).await {
            Ok(_) | Err(No { lives: true, .. }) => self.reset(wait).await,
            Err(No { lives: false, .. }) => false,
        }
    }

    /// Body and dot in one write: two would wait for each other on the way.
    async fn body(&mut self, bytes: &str, wait: Duration) -> Transacted {
        match self.ask(bytes, 1, Stage::Body, wait).await {
            Ok(said) if said.code().severity == Severity::PositiveCompletion => {
                let line = said.first_line().unwrap_or_default();
                Transacted::usable(Outcome::Sent { provider_id: message_id(line) })
            }
            Ok(said) => Transacted::broken(out_of_place(Stage::Body, &said)),
            Err(No { outcome, lives: true, .. }) => Transacted::usable(outcome),
            // Not a byte of it has left us, so it is as if DATA had not been answered.
            Err(No { outcome, .. }) if !self.replies.was_said() => {
                Transacted::broken(meaning::unsaid(outcome))
            }
            Err(No { outcome, .. }) => Transacted::broken(outcome),
        }
    }

    async fn reset(&mut self, wait: Duration) -> bool {
        self.ask("RSET\r\n", 1, Stage::Mail, wait).await.is_ok_and(|said| said.has_code(250))
    }

    /// Says something that deserves so many answers, and waits for the first one.
    async fn ask(&mut self, text: &str, answers: u64, stage: Stage, wait: Duration) -> Answer {
        self.replies.asking(answers);
        heard(stage, timeout(wait, self.smtp.command(text)).await)
    }
}

type Heard = Result<Response, lettre::transport::smtp::Error>;

fn heard(stage: Stage, heard: Result<Heard, tokio::time::error::Elapsed>) -> Answer {
    match heard {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(error)) => {
            // 421: the server hangs up after it.
            let code = error.status().map(u16::from);
            let lives = code.is_some_and(|code| code != 421);
            // Nonsense is a fault of lettre's kind "response", too, and is no hanging up.
            let hung_up = !error.is_response() || error.to_string().contains("incomplete response");
            let gone = code == Some(421) || (code.is_none() && hung_up);
            Err(No { outcome: answer(stage, &error), lives, gone })
        }
        Err(_) => {
            let outcome = meaning::silence(stage, "no answer in time");
            Err(No { outcome, lives: false, gone: false })
        }
    }
}
