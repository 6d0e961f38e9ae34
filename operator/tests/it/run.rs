//! `mailroom run`, with halves that are shell scripts: what each is told, and what follows from its end.
//! The real ones are run by the tests of the whole pipe.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use testkit::{Process, Running, Signal, assert_quiet, eventually};

use crate::support::SOON;

/// Works until it is told to stop, and has a last word for the other half then. What it waits with
/// must not hold the pipe open.
const COLLECTS: &str = "trap 'kill $!; echo last; exit 0' TERM
    sleep 120 >/dev/null 2>&1 & echo collecting >&2; wait $!";
/// Reads to the end. It would rather not be told anything.
const SENDS: &str = "trap 'echo told >&2; exit 1' TERM INT
    echo sending >&2; while read -r line; do echo read \"$line\" >&2; done; echo end >&2";
/// Does not end when the pipe does.
const STAYS: &str = "trap 'kill $!; echo told >&2; exit 0' TERM
    sleep 120 >/dev/null 2>&1 & echo staying >&2; wait $!";

fn half(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/halves").join(name)
}

fn run(collector: &str, sender: &str) -> Process {
    Process::new("mailroom")
        .arg("run")
        .args(["--collector".into(), half("collector"), "--sender".into(), half("sender")])
        .env("COLLECTOR", collector)
        .env("SENDER", sender)
}

/// Runs to its end.
fn ended(process: Process) -> (i32, String) {
    let process = process.spawn().unwrap();
    let code = process.wait(SOON).unwrap();
    (code, process.stderr())
}

fn at_work(process: Process, says: &[&str]) -> Running {
    let running = process.spawn().unwrap();
    for word in says {
        running.wait_for(word, SOON).unwrap();
    }
    running
}

fn kill(signal: &str, pid: impl std::fmt::Display) {
    let kill = ["-c", "kill -s $0 -- $1", signal, &pid.to_string()];
    assert_eq!(Process::at("/bin/sh").args(kill).spawn().unwrap().wait(SOON).unwrap(), 0);
}

/// The process that a half is, the `n`-th time.
fn pid(running: &Running, half: &str, n: usize) -> u32 {
    let started = format!("event=half_started half={half}");
    let line = running.wait_for_count(&started, n, SOON).unwrap();
    line.rsplit_once("pid=").unwrap().1.parse().unwrap()
}

#[test]
fn what_a_restart_would_not_mend_ends_it_with_the_worse_exit_code() {
    let cases = [
        ("echo x", "cat >/dev/null; exit 65", 65),
        ("exit 75", "exit 78", 78),
        ("exit 78", "cat", 78),
        ("kill -9 $$", "exit 65", 65),
    ];
    for (collector, sender, code) in cases {
        let (ended, log) = ended(run(collector, sender));
        assert_eq!(ended, code, "{collector} | {sender}:\n{log}");
        assert!(!log.contains("event=restarting"), "{log}");
        assert!(log.contains(&format!("event=stopped exit={code}")), "{log}");
    }
}

#[test]
fn once_leaves_the_restart_to_others() {
    // Nobody asked it to stop: 0 would be an end to those who watch it.
    for collector in ["exit 75", "echo x"] {
        let (code, log) = ended(run(collector, "cat >/dev/null").arg("--once"));
        assert_eq!(code, 75, "{log}");
        assert!(!log.contains("event=restarting"), "{log}");
    }
}

#[test]
fn a_half_that_asks_for_it_is_started_again_at_growing_intervals() {
    let running = run("exit 75", "cat").spawn().unwrap();
    let restarting = |n: usize| -> (String, u64) {
        let line = running.wait_for_count("event=restarting", n, SOON).unwrap();
        let wait_ms = line.rsplit_once("wait_ms=").unwrap().1.parse().unwrap();
        (line, wait_ms)
    };
    for (n, ceiling_ms) in [(1, 1000), (2, 2000), (3, 4000)] {
        let (line, wait_ms) = restarting(n);
        assert!(wait_ms <= ceiling_ms, "{line}");
        // After a short wait the next ones may be there already.
        let log = running.stderr();
        let (before, _) = log.split_once(&line).unwrap();
        assert_eq!(before.matches("event=half_started").count(), 2 * n);
    }
    // Nothing runs, for a while: there is nothing to wait for.
    (3..).find(|n| restarting(*n).1 >= 1000).unwrap();
    running.signal(Signal::TERM).unwrap();
    assert_eq!(running.wait(SOON).unwrap(), 0, "{}", running.stderr());
}

#[test]
fn each_half_notices_the_end_of_the_other() {
    let running = at_work(run(COLLECTS, SENDS), &["collecting", "sending"]);
    kill("KILL", pid(&running, "collector", 1));
    running.wait_for("end", SOON).unwrap();
    running.wait_for("event=half_ended half=sender exit=0", SOON).unwrap();
    let collector = pid(&running, "collector", 2);
    running.wait_for_count("collecting", 2, SOON).unwrap();
    // Both end well, and nobody asked for it.
    kill("TERM", collector);
    running.wait_for_count("event=half_ended half=sender exit=0", 2, SOON).unwrap();
    running.wait_for_count("collecting", 3, SOON).unwrap();
    running.signal(Signal::TERM).unwrap();
    assert_eq!(running.wait(SOON).unwrap(), 0, "{}", running.stderr());

    // It writes until nobody reads: what kills it is SIGPIPE, as from a shell.
    let running = at_work(run("exec yes", "head -n 1 >/dev/null"), &[]);
    running.wait_for("event=half_ended half=collector signal=13", SOON).unwrap();
    running.wait_for("event=restarting", SOON).unwrap();
}

/// The sender has read the last line, and then to the end. (Others write in between.)
fn has_drained(log: &str) -> bool {
    let mut said = log.lines().filter(|line| ["read last", "end"].contains(line));
    said.next() == Some("read last") && said.next() == Some("end")
}

fn is_a_graceful_stop(running: &Running) {
    assert_eq!(running.wait(SOON).unwrap(), 0, "{}", running.stderr());
    let log = running.stderr();
    assert!(has_drained(&log), "the sender has finished its input: {log}");
    assert!(!log.contains("told"), "{log}");
    assert_quiet(&log, &[]);
}

#[test]
fn a_stop_is_the_collectors_and_the_sender_finishes() {
    for signal in [Signal::TERM, Signal::INT] {
        let running = at_work(run(COLLECTS, SENDS), &["collecting", "sending"]);
        running.signal(signal).unwrap();
        is_a_graceful_stop(&running);
    }
}

/// A half that has no handler yet has nothing in hand, either.
#[test]
fn a_stop_that_finds_the_collector_just_starting_is_no_failure() {
    let running =
        at_work(run("echo starting >&2; exec sleep 120", SENDS), &["starting", "sending"]);
    running.signal(Signal::TERM).unwrap();
    assert_eq!(running.wait(SOON).unwrap(), 0, "{}", running.stderr());
}

/// A terminal sends it to all of its foreground group.
#[test]
fn a_ctrl_c_for_all_of_the_process_group_does_not_interrupt_the_sender() {
    let running = at_work(run(COLLECTS, SENDS), &["collecting", "sending"]);
    kill("INT", format_args!("-{}", running.pid()));
    is_a_graceful_stop(&running);
}

#[test]
fn a_second_signal_stops_the_sender_too() {
    let running = at_work(run(COLLECTS, STAYS), &["collecting", "staying"]);
    running.signal(Signal::TERM).unwrap();
    running.wait_for("event=half_ended half=collector exit=0", SOON).unwrap();
    // One that follows at once is the same wish.
    eventually(SOON, "a second wish", || {
        running.signal(Signal::TERM).unwrap();
        running.stderr().contains("event=stop_forced signal=SIGTERM")
    });
    assert_eq!(running.wait(SOON).unwrap(), 0, "{}", running.stderr());
    assert!(running.stderr().contains("told"));
}

#[test]
fn the_grace_is_over_at_last_and_so_is_a_half_that_will_not_end() {
    // It writes nothing: nobody may be left to read it.
    let collects = COLLECTS.replace("echo last; ", "");
    let running = run(&collects, STAYS).args(["--grace", "0"]);
    let running = at_work(running, &["collecting", "staying"]);
    running.signal(Signal::TERM).unwrap();
    assert_eq!(running.wait(SOON).unwrap(), 0, "{}", running.stderr());
    assert!(running.stderr().contains("event=grace_over"));

    // Unasked, too.
    let stubborn = "trap '' TERM; echo deaf >&2; while :; do sleep 1; done";
    let running = run(COLLECTS, stubborn).args(["--grace", "0", "--once"]);
    let running = at_work(running, &["collecting", "deaf"]);
    kill("KILL", pid(&running, "collector", 1));
    running.wait_for("event=halves_killed", SOON).unwrap();
    running.wait_for("event=half_ended half=sender signal=9", SOON).unwrap();
    assert_eq!(running.wait(SOON).unwrap(), 75, "{}", running.stderr());
}

/// Nobody is left to forward anything: the kernel tells the collector, and the pipe the sender.
#[test]
fn a_unit_that_is_killed_leaves_no_halves() {
    let running = at_work(run(COLLECTS, SENDS), &["collecting", "sending"]);
    running.kill().unwrap();
    running.wait_for("end", SOON).unwrap();
    let log = running.stderr();
    assert!(has_drained(&log) && !log.contains("told"), "{log}");
}

#[test]
fn other_signals_are_passed_on_to_both() {
    let hears = |name: &str| {
        format!(
            "trap 'echo {name} USR1 >&2' USR1; trap 'echo {name} HUP >&2; kill $!; exit 3' HUP
             sleep 120 >/dev/null 2>&1 & echo {name} >&2
             while kill -0 $! 2>/dev/null; do wait $!; done"
        )
    };
    // Whoever runs the tests may have been started by nohup.
    let process = run(&hears("one"), &hears("two"));
    let process = process.under(&["/usr/bin/env", "--default-signal=HUP"]).unwrap();
    let running = at_work(process, &["one", "two"]);
    for (signal, word) in [(Signal::USR1, "USR1"), (Signal::HUP, "HUP")] {
        running.signal(signal).unwrap();
        running.wait_for(&format!("one {word}"), SOON).unwrap();
        running.wait_for(&format!("two {word}"), SOON).unwrap();
    }
    assert_eq!(running.wait(SOON).unwrap(), 75, "{}", running.stderr());
    assert!(!running.stderr().contains("event=restarting"), "the terminal is gone");
}

#[test]
fn a_hangup_is_nothing_to_one_that_nohup_has_started() {
    let process = run(COLLECTS, SENDS).under(&["/usr/bin/env", "--ignore-signal=HUP"]).unwrap();
    let running = at_work(process, &["collecting", "sending"]);
    running.signal(Signal::HUP).unwrap();
    running.signal(Signal::TERM).unwrap();
    is_a_graceful_stop(&running);
    assert!(!running.stderr().contains("signal_passed_on"));
}

#[test]
fn no_half_gets_the_secrets_of_the_other() {
    let tells = |name: &str| format!("env | grep ^MAILROOM_ | sort | sed 's/^/{name} /' >&2; ");
    let process = run(&tells("collector"), &(tells("sender") + "cat"))
        .arg("--once")
        .env("MAILROOM_SECRET_KEY", "a")
        .env("MAILROOM_SMTP_PASSWORD_FILE", "b")
        .env("MAILROOM_BATCH_LIMIT", "10");
    let (_, log) = ended(process);
    let mut told: Vec<&str> = log.lines().filter(|line| line.contains(" MAILROOM_")).collect();
    told.sort_unstable();
    let expected = [
        "collector MAILROOM_BATCH_LIMIT=10",
        "collector MAILROOM_SECRET_KEY=a",
        "sender MAILROOM_BATCH_LIMIT=10",
        "sender MAILROOM_SMTP_PASSWORD_FILE=b",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let process = Process::new("mailroom").args(["run", "--sender", "/nowhere/sender"]);
    let (code, log) = ended(process.arg("--collector").arg(half("collector")));
    assert_eq!(code, 78);
    assert!(log.contains("/nowhere/sender: there is no such program; see --sender"), "{log}");
}

/// The children of a process, and what each is called.
fn children(pid: u32) -> Vec<(u32, String)> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let pids = list.unwrap_or_default();
    let named = |pid: &str| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        (pid.parse().unwrap(), name.trim().to_owned())
    };
    pids.split_whitespace().map(named).collect()
}

#[test]
fn the_first_process_of_a_container_reaps_what_is_left_to_it_and_stops() {
    const CONTAINER: [&str; 5] =
        ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let [unshare, options @ ..] = CONTAINER;
    let can = Process::at(unshare).args(options).arg("true").spawn().map(|it| it.wait(SOON));
    if !matches!(can, Ok(Ok(0))) {
        let why = "SKIPPED: no PID namespace can be made here (root and util-linux can)";
        writeln!(std::io::stderr(), "{why}").unwrap();
        return;
    }
    let orphan = "( sleep 121 >/dev/null 2>&1 & )";
    let process = run(&format!("{orphan}; {COLLECTS}"), SENDS).under(&CONTAINER).unwrap();
    let container = at_work(process, &["collecting", "sending"]);
    let mut first = children(container.pid());
    let (first, name) = first.pop().unwrap();
    assert_eq!(name, "mailroom");
    let orphans = || children(first).into_iter().filter(|(_, name)| name == "sleep");
    eventually(SOON, "the orphan is left to the first process", || orphans().count() == 1);
    kill("KILL", orphans().next().unwrap().0);
    eventually(SOON, "the orphan is reaped", || children(first).len() == 2);
    kill("TERM", first);
    is_a_graceful_stop(&container);
}
