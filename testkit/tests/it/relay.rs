use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use anyhow::Context;
use testkit::{Onward, Process, Relay, Signal, SmtpServer, Software, eventually};

use crate::SOON;

const ALL: [Software; 2] = [Software::Postfix, Software::OpenSmtpd];

/// Those that can run here; says of the others why they cannot, past the test harness.
fn present() -> impl Iterator<Item = Software> {
    ALL.into_iter().filter(|software| match Relay::missing(*software) {
        None => true,
        Some(why) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED: {software:?}: {why}");
            false
        }
    })
}

#[test]
fn a_relay_sends_mail_on_and_leaves_nothing_behind() -> anyhow::Result<()> {
    for software in present() {
        let end = SmtpServer::start()?;
        let relay = Relay::start(software, Onward::To(end.addr()), None)?;
        let stream = TcpStream::connect(relay.addr())?;
        let mut answers = BufReader::new(stream.try_clone()?).lines();
        let mut said = || answers.next().context("it hung up")?.context("read");
        assert!(said()?.starts_with("220 "));
        for (say, expected) in [
            ("HELO me.test\r\n", "250"),
            ("MAIL FROM:<a@from.example>\r\n", "250"),
            ("RCPT TO:<b@to.example>\r\n", "250"),
            ("DATA\r\n", "354"),
            ("Subject: hello\r\n\r\n..\r\n.\r\n", "250"),
            ("QUIT\r\n", "221"),
        ] {
            (&stream).write_all(say.as_bytes())?;
            let answer = said()?;
            assert!(answer.starts_with(expected), "{software:?}, {say:?}: {answer}");
        }
        end.wait_messages(1, SOON).with_context(|| relay.log())?;
        let message = &end.messages()[0];
        assert_eq!(
            (&*message.from, &*message.to),
            ("a@from.example", &["b@to.example".into()][..])
        );
        assert!(message.message.ends_with("\r\n\r\n.\r\n"), "{}", message.message);

        let (addr, dir) = (relay.addr(), relay.dir().to_owned());
        assert!(dir.exists());
        drop(relay);
        assert!(TcpStream::connect(addr).is_err(), "{software:?} is still there");
        assert!(!dir.exists(), "{} is still there", dir.display());
    }
    Ok(())
}

#[test]
fn nothing_of_a_relay_is_seen_outside() -> anyhow::Result<()> {
    let mounts = || std::fs::read_to_string("/proc/self/mounts");
    let users = || std::fs::read_to_string("/etc/passwd");
    let before = (mounts()?, users()?);
    for software in present() {
        let end = SmtpServer::start()?;
        let _relay = Relay::start(software, Onward::To(end.addr()), None)?;
        assert_eq!((mounts()?, users()?), before);
    }
    Ok(())
}

/// Not a test: the process that the next one kills.
#[test]
#[ignore = "run by relays_end_with_a_killed_owner"]
fn owner() -> anyhow::Result<()> {
    let end = SmtpServer::start()?;
    let relays: anyhow::Result<Vec<Relay>> =
        present().map(|software| Relay::start(software, Onward::To(end.addr()), None)).collect();
    let relays = relays?;
    let places = relays.iter().map(|relay| format!(" {} {}", relay.addr(), relay.dir().display()));
    writeln!(std::io::stderr(), "event=started{}", places.collect::<String>())?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

#[test]
fn relays_end_with_a_killed_owner() -> anyhow::Result<()> {
    let owner = Process::at(std::env::current_exe()?)
        .args(["--exact", "relay::owner", "--ignored", "--nocapture"])
        .stdin_held()
        .spawn()?;
    let line = owner.wait_for("event=started", SOON)?;
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    owner.signal(Signal::KILL)?;
    for place in words.chunks(2) {
        let [addr, dir] = place else { panic!("{line}") };
        let dir = PathBuf::from(dir);
        eventually(SOON, "the relay to end", || TcpStream::connect(addr).is_err());
        eventually(SOON, "the directory to go", || !dir.exists());
    }
    Ok(())
}
