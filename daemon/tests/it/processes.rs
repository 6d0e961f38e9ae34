//! Signals and stderr, of a child process: this test binary itself, running the one test below that
//! does nothing otherwise.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use daemon::exit::Exit;
use daemon::log::{Format, Level};
use daemon::shutdown::Shutdown;
use testkit::{Process, Running, Signal};

const SOON: Duration = Duration::from_secs(20);
const ROLE: &str = "MAILROOM_TEST_CHILD";

fn child(role: &str) -> Process {
    let this = std::env::current_exe().expect("this binary");
    Process::at(this).args(["--exact", "processes::the_child", "--nocapture"]).env(ROLE, role)
}

fn start(role: &str) -> Running {
    child(role).spawn().expect("spawn")
}

#[test]
fn the_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let format = if role == "json" { Format::Json } else { Format::Text };
    daemon::log::init("collector", Level::INFO, format);
    if role == "panic" {
        panic!("two\nlines");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(async {
        let shutdown = Shutdown::on_signals().expect("signal handlers");
        tracing::info!(target: "collector", "ready");
        if role == "log" || role == "json" {
            return;
        }
        shutdown.requested().await;
        tracing::info!(target: "collector", "stopping");
        if role == "busy" {
            std::future::pending::<()>().await;
        }
    });
    std::process::exit(i32::from(Exit::Done.code()));
}

#[test]
fn a_signal_asks_to_stop() {
    for signal in [Signal::TERM, Signal::INT] {
        let child = start("obedient");
        child.wait_for("event=ready", SOON).expect("ready");
        child.signal(signal).expect("signal");
        child.wait_for("event=stopping", SOON).expect("asked");
        assert_eq!(child.wait(SOON).expect("ends"), 0);
    }
}

#[test]
fn a_second_signal_a_second_later_insists() {
    let child = start("busy");
    child.wait_for("event=ready", SOON).expect("ready");
    let asked = Instant::now();
    child.signal(Signal::TERM).expect("signal");
    child.wait_for("event=stopping", SOON).expect("asked");
    testkit::eventually(SOON, "the child gives in", || {
        child.signal(Signal::TERM).expect("signal");
        !child.is_running().expect("look")
    });
    assert!(asked.elapsed() >= Duration::from_secs(1), "signals in quick succession are one wish");
    assert_eq!(child.wait(SOON).expect("ends"), 75);
    assert_eq!(child.stderr().matches("event=stop_forced").count(), 1, "{}", child.stderr());
}

#[test]
fn the_log_is_one_line_an_event_on_stderr() {
    let child = start("log");
    assert_eq!(child.wait(SOON).expect("ends"), 0);
    let stderr = child.stderr();
    let (ts, rest) = stderr.split_once(' ').expect("a time stamp");
    assert_eq!(rest, "INFO collector event=ready\n");
    assert!(ts.len() == 24 && ts.starts_with("20") && ts.ends_with('Z'), "{ts}");

    let child = start("json");
    assert_eq!(child.wait(SOON).expect("ends"), 0);
    let line: serde_json::Value = serde_json::from_str(&child.stderr()).expect("JSON");
    assert_eq!((&line["prog"], &line["event"]), (&"collector".into(), &"ready".into()));
}

#[test]
fn a_panic_is_one_line_too() {
    let child = start("panic");
    child.wait(SOON).expect("ends");
    let stderr = child.stderr();
    assert!(
        stderr.contains("ERROR collector event=panicked reason=\"two\\nlines\" at="),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() -> io::Result<()> {
    let this = std::env::current_exe()?.display().to_string();
    let script = "exec \"$0\" --exact processes::the_child --nocapture 2>&-";
    let (reader, unread) = io::pipe()?;
    drop(reader);
    let full = std::fs::File::options().write(true).open("/dev/full")?;
    for (what, script, stderr) in [
        ("closed", script, Stdio::null()),
        ("full", script.trim_end_matches(" 2>&-"), full.into()),
        ("without a reader", script.trim_end_matches(" 2>&-"), unread.into()),
    ] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, &this]).env(ROLE, "log").stdout(Stdio::null()).stderr(stderr);
        assert!(shell.status()?.success(), "stderr {what}");
    }
    Ok(())
}
