use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::time::Duration;

use testkit::{Pipeline, Process, Signal, binary};

use crate::SOON;

fn sh(script: &str) -> Process {
    Process::at("/bin/sh").arg("-c").arg(script)
}

#[test]
fn stdout_stderr_and_the_exit_code_are_captured() -> anyhow::Result<()> {
    let process = sh("echo one; echo two; echo ts INFO sh event=half >&2; echo $0 $#; exit 75")
        .args(["zero", "a b"])
        .spawn()?;
    assert_eq!(process.wait_line(2, SOON)?, "two");
    process.wait_for("event=half", SOON)?;
    assert_eq!(process.wait(SOON)?, 75);
    assert_eq!(process.lines(), ["one", "two", "zero 1"]);
    assert_eq!(process.stderr(), "ts INFO sh event=half\n");
    Ok(())
}

#[test]
fn the_environment_is_what_was_given_and_the_path() -> anyhow::Result<()> {
    let process = Process::at("/usr/bin/env")
        .env("PATH", "/bin")
        .envs([("MAILROOM_A", "1"), ("MAILROOM_B", "2")])
        .spawn()?;
    assert_eq!(process.wait(SOON)?, 0);
    let mut lines = process.lines();
    lines.sort();
    assert_eq!(lines, ["MAILROOM_A=1", "MAILROOM_B=2", "PATH=/bin"]);
    Ok(())
}

#[test]
fn events_are_counted_and_their_absence_is_told() -> anyhow::Result<()> {
    let process =
        sh("for n in 1 2 3; do echo event=sent call=$n >&2; done; exec sleep 1000").spawn()?;
    assert_eq!(process.wait_for_count("event=sent", 3, SOON)?, "event=sent call=3");
    let missing = process.wait_for("event=lost", Duration::from_millis(30));
    let words = format!("{:#}", missing.unwrap_err());
    assert!(words.contains("event=lost") && words.contains("event=sent call=3"), "{words}");
    assert!(process.wait(Duration::from_millis(30)).is_err());

    assert!(process.is_running()?);
    process.signal(Signal::TERM)?;
    assert_eq!(process.wait(SOON)?, 128 + 15);
    process.signal(Signal::TERM)?;
    // The end of the stream is noticed; nobody waits an hour.
    assert!(process.wait_for("event=lost", Duration::from_secs(3600)).is_err());
    Ok(())
}

#[test]
fn bytes_are_fed_however_many() -> anyhow::Result<()> {
    let bytes = "x".repeat(99).into_bytes().into_iter().chain(*b"\n").collect::<Vec<u8>>();
    let process = Process::at("/bin/cat").stdin_bytes(bytes.repeat(10_000)).spawn()?;
    assert_eq!(process.wait(SOON)?, 0);
    assert_eq!(process.lines().len(), 10_000);

    let deaf = sh("exit 3").stdin_bytes(bytes.repeat(10_000)).spawn()?;
    assert_eq!(deaf.wait(SOON)?, 3);
    Ok(())
}

#[test]
fn a_test_may_hold_both_ends_itself() -> anyhow::Result<()> {
    let process = Process::at("/bin/cat").stdin_held().stdout_held().spawn()?;
    let (mut stdin, stdout) = (process.take_stdin().unwrap(), process.take_stdout().unwrap());
    assert!(process.take_stdin().is_none());
    let mut stdout = BufReader::new(stdout);
    for word in ["one\n", "two\n"] {
        stdin.write_all(word.as_bytes())?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        assert_eq!(line, word);
    }
    drop(stdin);
    assert_eq!(stdout.read_to_end(&mut Vec::new())?, 0);
    assert_eq!(process.wait(SOON)?, 0);
    Ok(())
}

#[test]
fn a_pipeline_is_the_shells() -> anyhow::Result<()> {
    let pipeline =
        Pipeline::spawn(sh("echo hello; echo event=written >&2"), sh("read line; echo got $line"))?;
    assert_eq!(pipeline.collector.wait(SOON)?, 0);
    assert_eq!(pipeline.sender.wait(SOON)?, 0);
    assert_eq!(pipeline.sender.lines(), ["got hello"]);
    pipeline.collector.wait_for("event=written", SOON)?;
    Ok(())
}

#[test]
fn each_half_of_a_pipeline_notices_the_others_end() -> anyhow::Result<()> {
    // The reader is gone: SIGPIPE. Were an end of the pipe still open with us, this would hang.
    let pipeline = Pipeline::spawn(sh("while echo x; do :; done"), sh("exec sleep 1000"))?;
    pipeline.sender.kill()?;
    assert_eq!(pipeline.collector.wait(SOON)?, 128 + 13);
    // The writer is gone: end of input.
    let pipeline = Pipeline::spawn(sh("exec sleep 1000"), Process::at("/bin/cat"))?;
    pipeline.collector.kill()?;
    assert_eq!(pipeline.sender.wait(SOON)?, 0);
    Ok(())
}

#[test]
fn a_dropped_process_is_killed() -> anyhow::Result<()> {
    let process = sh("exec sleep 1000").spawn()?;
    let proc = std::path::PathBuf::from(format!("/proc/{}", process.pid()));
    assert!(proc.exists());
    drop(process);
    assert!(!proc.exists());
    Ok(())
}

#[test]
fn an_unknown_program_is_told() {
    let words = format!("{:#}", Process::at("/nowhere/nothing").spawn().unwrap_err());
    assert!(words.contains("/nowhere/nothing"), "{words}");
    let words = format!("{:#}", binary("nothing").unwrap_err());
    let there_are = ["build nothing", "collector", "sender", "mailroom"];
    assert!(there_are.iter().all(|name| words.contains(name)), "{words}");
}
