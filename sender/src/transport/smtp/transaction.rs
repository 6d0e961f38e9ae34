//! One mail over one connection.

use std::time::Duration;

use lettre::transport::smtp::response::Response;
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
    /// Whether the server hung up before it said anything to this mail.
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

/// An answer, or that there was none: then the connection is of no more use.
type Answer = Result<Response, (Outcome, bool)>;

impl Connection {
    /// Sends `message`; each answer is waited for so long.
    pub(super) async fn transact(&mut self, message: &Message, wait: Duration) -> Transacted {
        let commands = [
            (Stage::Mail, format!("MAIL FROM:<{}>\r\n", message.from), 250),
            (Stage::Recipient, format!("RCPT TO:<{}>\r\n", message.to), 250),
            (Stage::Data, "DATA\r\n".to_owned(), 354),
        ];
        let mut refused: Option<Outcome> = None;
        let mut nobody = false;
        let mut data_open = false;
        for (place, (stage, command, expected)) in commands.iter().enumerate() {
            let said = if !self.pipelining {
                self.ask(command, *stage, wait).await
            } else if place == 0 {
                let all: String = commands.iter().map(|(_, command, _)| command.as_str()).collect();
                self.ask(&all, *stage, wait).await
            } else {
                self.listen(*stage, wait).await
            };
            match said {
                Ok(said)
                    if u16::from(said.code()) == *expected
                        || (*stage == Stage::Recipient && said.has_code(251)) =>
                {
                    data_open = *stage == Stage::Data;
                }
                Ok(said) => return Transacted::broken(out_of_place(*stage, &said)),
                Err((outcome, true)) => {
                    nobody |= *stage == Stage::Recipient;
                    refused.get_or_insert(outcome);
                    if !self.pipelining {
                        break;
                    }
                }
                Err((outcome, false)) => {
                    // What was refused before the silence was refused.
                    let untouched = place == 0;
                    return Transacted {
                        untouched,
                        ..Transacted::broken(refused.unwrap_or(outcome))
                    };
                }
            }
        }
        match refused {
            None => self.body(&message.dotted(), wait).await,
            Some(outcome) => {
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
        match self.ask(".\r\n", Stage::Body, wait).await {
            Ok(_) | Err((_, true)) => self.reset(wait).await,
            Err((_, false)) => false,
        }
    }

    /// Body and dot in one write: two would wait for each other on the way.
    async fn body(&mut self, bytes: &str, wait: Duration) -> Transacted {
        match self.ask(bytes, Stage::Body, wait).await {
            Ok(said) if said.has_code(250) => {
                let line = said.first_line().unwrap_or_default();
                Transacted::usable(Outcome::Sent { provider_id: message_id(line) })
            }
            Ok(said) => Transacted::broken(out_of_place(Stage::Body, &said)),
            Err((outcome, true)) => Transacted::usable(outcome),
            Err((outcome, false)) => Transacted::broken(outcome),
        }
    }

    async fn reset(&mut self, wait: Duration) -> bool {
        self.ask("RSET\r\n", Stage::Mail, wait).await.is_ok_and(|said| said.has_code(250))
    }

    async fn ask(&mut self, text: &str, stage: Stage, wait: Duration) -> Answer {
        heard(stage, timeout(wait, self.smtp.command(text)).await)
    }

    async fn listen(&mut self, stage: Stage, wait: Duration) -> Answer {
        heard(stage, timeout(wait, self.smtp.read_response()).await)
    }
}

type Heard = Result<Response, lettre::transport::smtp::Error>;

/// The outcome of a no, and whether the connection lives on.
fn heard(stage: Stage, heard: Result<Heard, tokio::time::error::Elapsed>) -> Answer {
    match heard {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(error)) => {
            // 421: the server hangs up after it.
            let lives = error.status().is_some_and(|code| u16::from(code) != 421);
            Err((answer(stage, &error), lives))
        }
        Err(_) => Err((meaning::silence(stage, "no answer in time"), false)),
    }
}
