//! What is in the memory of a half, the signing key above all, stays there; what is not needed any more
//! does not.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use tempfile::TempDir;
use testkit::{Pipeline, Process, Role, Signal, binary};

use crate::SOON;
use crate::support::sign_up;
use crate::world::{World, stop};

/// `nobody`: somebody who is not root.
const NOBODY: u32 = 65_534;
const NONBLOCK: u32 = 0o4000;

fn proc(pid: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
}

#[tokio::test]
async fn a_half_that_is_aborted_leaves_no_core() {
    let world = World::new().await;
    let dir = TempDir::new().unwrap();
    // Somebody wants cores.
    let script =
        format!("cd '{}' && ulimit -c unlimited && exec \"$0\" \"$@\"", dir.path().display());
    let shell = ["/bin/sh", "-c", script.as_str()];
    let sender = world.sender().env("MAILROOM_SES_OUTPUT_PATH", dir.path().join("output"));
    for half in [world.collector().stdout_held(), sender.stdin_held()] {
        let half = half.under(&shell).unwrap().spawn().unwrap();
        half.wait_for("event=connected", SOON).unwrap();
        let limits = proc(half.pid(), "limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<&str> = core.split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{core}");
        half.signal(Signal::ABORT).unwrap();
        assert_eq!(half.wait(SOON).unwrap(), 128 + 6);
    }
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["output"], "and no core");
}

/// Where somebody else may run them.
fn programs_for_all() -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["collector", "sender"] {
        std::fs::copy(binary(name).unwrap(), dir.path().join(name)).unwrap();
    }
    dir
}

/// The kernel gives `/proc/<pid>` of a process that must not be looked at to root, `/proc/self` too,
/// by which a half opens its end of the pipe anew: that must still work for somebody who is not root.
#[tokio::test]
async fn nobody_looks_into_a_half_and_it_still_has_its_pipe_to_itself() {
    let world = World::new().await;
    let programs = programs_for_all();
    let output = TempDir::new().unwrap();
    std::fs::set_permissions(output.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let shell = if root {
        let drop = ["--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh"];
        Process::at("setpriv").args(drop)
    } else {
        Process::at("/bin/sh")
    };
    let pipe = "\"$0/collector\" | MAILROOM_DATABASE_URL=\"$SENDERS_URL\" \"$0/sender\"";
    let shell = shell
        .args(["-c", pipe])
        .arg(programs.path())
        .env_of(&world.sender())
        .env_of(&world.collector())
        .env("SENDERS_URL", world.db.url_as(Role::Sender))
        .env("MAILROOM_SES_OUTPUT_PATH", output.path())
        .spawn()
        .unwrap();

    world.db.execute(&sign_up("unseen", 3)).await.unwrap();
    world.mails(3).await;
    let mut pids = Vec::new();
    for (kind, fd) in [("collector", 1), ("sender", 0)] {
        let sql = format!("SELECT pid FROM holders WHERE kind = '{kind}'");
        let pid = u32::try_from(world.db.query_i64(&sql).await.unwrap()).unwrap();
        pids.push(pid.to_string());
        let environ = std::fs::metadata(format!("/proc/{pid}/environ")).unwrap();
        assert_eq!(environ.uid(), 0, "the environment of the {kind} is root's to read");
        if root {
            let status = proc(pid, "status");
            assert!(status.contains(&format!("Uid:\t{NOBODY}")), "{status}");
            let info = proc(pid, &format!("fdinfo/{fd}"));
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
            assert_eq!(flags & NONBLOCK, 0, "{kind}: what it shares with the shell is as it was");
        }
    }
    Process::at("/bin/sh").args(["-c", "kill $0", &pids[0]]).spawn().unwrap().wait(SOON).unwrap();
    assert_eq!(shell.wait(SOON).unwrap(), 0, "{}", shell.stderr());
    world.each_mailed_once(3).await;
}

fn anonymous_kb(pid: u32) -> u64 {
    // Exact, where the status may be off by some pages for each processor; but not everybody may look.
    let exact = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kb = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    kb(&exact, "Anonymous:").or_else(|| kb(&proc(pid, "status"), "RssAnon:")).unwrap()
}

/// Larger pages, larger remains.
const KEPT_KB: u64 = if cfg!(target_arch = "x86_64") { 400 } else { 700 };

/// glibc's allocator keeps 0.8 MB after such a burst, and so does the sender's own one if it was built
/// without what it has to be told (ADR 13).
#[tokio::test]
async fn what_a_burst_needed_is_given_back() {
    let world = World::new().await;
    let collector = world.collector().env("MAILROOM_BATCH_LIMIT", "500");
    let sender = world.sender().env("MAILROOM_TRANSPORT", "noop");
    let pipe = Pipeline::spawn(collector, sender).unwrap();
    let mut said = Vec::new();
    for (name, mails) in [("first", 1), ("burst", 5000), ("last", 1)] {
        world.db.execute(&sign_up(name, mails)).await.unwrap();
        // A result is recorded before what it was made of is freed; the next mail comes after that.
        world.settled().await;
        said.push(anonymous_kb(pipe.sender.pid()));
    }
    assert!(said[2] < said[0] + KEPT_KB, "KB after one mail, 5,000 and one more: {said:?}");
    stop(&pipe);
}
