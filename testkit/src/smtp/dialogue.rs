//! One connection, from greeting to goodbye.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

use super::server::Shared;
use super::{Act, Received, Stage};

/// A client that says more in one line is cut off.
const LINE_BYTES_MAX: usize = 1024 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Wire = BufStream<Box<dyn Stream>>;

pub(super) struct Dialogue<'a> {
    shared: &'a Shared,
    encrypted: bool,
    from: String,
    to: Vec<String>,
}

/// What follows a command.
enum Next {
    Line,
    /// STARTTLS was agreed on.
    Encrypt,
    End,
}

impl<'a> Dialogue<'a> {
    pub(super) fn new(shared: &'a Shared) -> Dialogue<'a> {
        Dialogue { shared, encrypted: false, from: String::new(), to: Vec::new() }
    }

    pub(super) async fn hold(mut self, stream: TcpStream) -> io::Result<()> {
        let mut wire: Wire = match (&self.shared.acceptor, self.shared.options.implicit) {
            (Some(acceptor), true) => {
                self.encrypted = true;
                BufStream::new(Box::new(acceptor.accept(stream).await?))
            }
            _ => BufStream::new(Box::new(stream)),
        };
        if !self.answer(&mut wire, Stage::Greeting, "220 sink.test ESMTP").await? {
            return Ok(());
        }
        loop {
            let Some(line) = read_line(&mut wire).await? else { return Ok(()) };
            self.shared.hear(&line);
            match self.command(&mut wire, &line).await? {
                Next::Line => {}
                Next::End => return Ok(()),
                Next::Encrypt => {
                    let Some(acceptor) = &self.shared.acceptor else { return Ok(()) };
                    let plain = wire.into_inner();
                    wire = BufStream::new(Box::new(acceptor.accept(plain).await?));
                    self.encrypted = true;
                }
            }
        }
    }

    async fn command(&mut self, wire: &mut Wire, line: &str) -> io::Result<Next> {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let going = match verb.as_str() {
            "EHLO" | "HELO" => {
                let offers = self.offers();
                self.answer(wire, Stage::Ehlo, &offers).await?
            }
            "STARTTLS" if self.shared.acceptor.is_some() && !self.encrypted => {
                return Ok(match self.answer(wire, Stage::StartTls, "220 go ahead").await? {
                    true => Next::Encrypt,
                    false => Next::End,
                });
            }
            "AUTH" => self.auth(wire, line).await?,
            "MAIL" => {
                self.from = address(line);
                self.to.clear();
                self.answer(wire, Stage::Mail, "250 2.1.0 Ok").await?
            }
            "RCPT" => {
                let act = self.shared.act(Stage::Rcpt);
                if !matches!(&act, Act::Say(text) if !text.starts_with('2')) {
                    self.to.push(address(line));
                }
                self.act(wire, act, "250 2.1.5 Ok").await?
            }
            "DATA" => self.data(wire).await?,
            "RSET" | "NOOP" => say(wire, "250 2.0.0 Ok").await?,
            "QUIT" => {
                self.answer(wire, Stage::Quit, "221 2.0.0 Bye").await?;
                return Ok(Next::End);
            }
            _ => say(wire, "500 5.5.2 What?").await?,
        };
        Ok(if going { Next::Line } else { Next::End })
    }

    fn offers(&self) -> String {
        let options = &self.shared.options;
        let mut lines = vec!["sink.test".to_owned(), "8BITMIME".to_owned()];
        if options.pipelining {
            lines.push("PIPELINING".to_owned());
        }
        if self.shared.acceptor.is_some() && !self.encrypted && !options.strip_starttls {
            lines.push("STARTTLS".to_owned());
        }
        if options.login.is_some() {
            lines.push(format!("AUTH {}", options.mechanisms));
        }
        let last = lines.len() - 1;
        let lines = lines.iter().enumerate().map(|(place, line)| {
            let separator = if place == last { ' ' } else { '-' };
            format!("250{separator}{line}")
        });
        lines.collect::<Vec<_>>().join("\r\n")
    }

    /// Takes whatever way was offered. Names and passwords that come in base64 are compared in it.
    async fn auth(&mut self, wire: &mut Wire, line: &str) -> io::Result<bool> {
        let mut words = line.split_whitespace().skip(1);
        let way = words.next().unwrap_or_default().to_ascii_uppercase();
        let Some((name, password)) = self.shared.options.login.clone() else {
            return say(wire, "503 5.5.1 No").await;
        };
        let expected: Vec<String> = match way.as_str() {
            "PLAIN" => vec![base64(&format!("\0{name}\0{password}"))],
            "XOAUTH2" => vec![base64(&format!("user={name}\x01auth=Bearer {password}\x01\x01"))],
            _ => vec![base64(&name), base64(&password)],
        };
        let mut said: Vec<String> = words.map(str::to_owned).collect();
        let prompts = ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"];
        while said.len() < expected.len() {
            say(wire, prompts[said.len().min(1)]).await?;
            let Some(line) = read_line(wire).await? else { return Ok(false) };
            self.shared.hear(&line);
            said.push(line);
        }
        let right = if said == expected { "235 2.7.0 Welcome" } else { "535 5.7.8 Wrong" };
        self.answer(wire, Stage::Auth, right).await
    }

    async fn data(&mut self, wire: &mut Wire) -> io::Result<bool> {
        let (right, opens) = if self.to.is_empty() {
            ("554 5.5.1 No valid recipients", false)
        } else {
            ("354 End with a dot", true)
        };
        match self.shared.act(Stage::Data) {
            Act::Go if opens => {
                say(wire, right).await?;
            }
            act => {
                let opened = matches!(&act, Act::Delay(_)) && opens
                    || matches!(&act, Act::Say(text) if text.starts_with('3'));
                if !self.act(wire, act, right).await? {
                    return Ok(false);
                }
                if !opened {
                    return Ok(true);
                }
            }
        }
        let mut message = String::new();
        let mut halfway = false;
        loop {
            let Some(line) = read_line(wire).await? else { return Ok(false) };
            if line == "." {
                break;
            }
            if !std::mem::replace(&mut halfway, true) {
                match self.shared.act(Stage::Body) {
                    Act::Go => {}
                    act => {
                        // Whatever it says here comes out of turn.
                        if !self.act(wire, act, "250 2.0.0 Not yet").await? {
                            return Ok(false);
                        }
                    }
                }
            }
            message.push_str(line.strip_prefix('.').unwrap_or(&line));
            message.push_str("\r\n");
        }
        let received = Received { from: self.from.clone(), to: self.to.clone(), message };
        let act = self.shared.act(Stage::Dot);
        let accepts = match &act {
            Act::Go | Act::AcceptAndDrop | Act::Delay(_) => true,
            Act::Say(text) => text.starts_with('2'),
            Act::Drop | Act::Hang => false,
        };
        if accepts {
            self.shared.accept(received);
        }
        self.act(wire, act, "250 2.0.0 Ok: queued as 4ARST").await
    }

    /// Whether the connection goes on.
    async fn answer(&self, wire: &mut Wire, stage: Stage, right: &str) -> io::Result<bool> {
        let act = self.shared.act(stage);
        self.act(wire, act, right).await
    }

    async fn act(&self, wire: &mut Wire, act: Act, right: &str) -> io::Result<bool> {
        match act {
            Act::Go => say(wire, right).await,
            Act::Say(text) => say(wire, &text).await,
            Act::Drop | Act::AcceptAndDrop => Ok(false),
            Act::Delay(time) => {
                tokio::time::sleep(time).await;
                say(wire, right).await
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn say(wire: &mut Wire, text: &str) -> io::Result<bool> {
    wire.write_all(text.as_bytes()).await?;
    wire.write_all(b"\r\n").await?;
    wire.flush().await?;
    Ok(true)
}

async fn read_line(wire: &mut Wire) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    wire.read_until(b'\n', &mut line).await?;
    if line.is_empty() || line.len() > LINE_BYTES_MAX {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line).into_owned();
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// What is between the brackets.
fn address(line: &str) -> String {
    let rest = line.split_once('<').map_or("", |(_, rest)| rest);
    rest.split('>').next().unwrap_or_default().to_owned()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
