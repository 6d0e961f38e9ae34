//! Finding a relay on this machine, or fetching Debian's package of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::{PATH, Software};
use crate::binary;

/// Set: fetch, also where it is installed. Serves to test the fetching itself.
const FETCH_VARIABLE: &str = "MAILROOM_TEST_RELAY_FETCH";

/// A directory with `usr` and `etc` of the package and those it needs that are not installed; `None`
/// if it is installed itself.
pub(super) fn find(software: Software) -> anyhow::Result<Option<PathBuf>> {
    let program = match software {
        Software::Postfix => "/usr/sbin/postfix",
        Software::OpenSmtpd => "/usr/sbin/smtpd",
    };
    if Path::new(program).is_file() && std::env::var_os(FETCH_VARIABLE).is_none() {
        return Ok(None);
    }
    let name = software.name();
    let fetched = fetched(name).with_context(|| format!("{name} is not installed"))?;
    let content = fetched.join("content");
    ensure!(
        !content.to_string_lossy().contains([':', ',', '\\']),
        "the path {} cannot be mounted",
        content.display()
    );
    Ok(Some(content))
}

fn fetched(name: &str) -> anyhow::Result<PathBuf> {
    let tools = binary::target_dir()?.join("tools");
    fs::create_dir_all(&tools).with_context(|| format!("create {}", tools.display()))?;
    let place = tools.join(format!("relay-{name}"));
    // Several test processes may start at once: one fetches, the others wait.
    let lock = File::create(tools.join(format!("relay-{name}.lock"))).context("create a lock")?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .context("lock the cache")?;
    let finished = place.join("finished");
    if !finished.is_file() {
        let _ = fs::remove_dir_all(&place);
        fetch(name, &place)?;
        File::create(&finished).context("mark the fetch as finished")?;
    }
    Ok(place)
}

/// Downloads packages and unpacks them; installs nothing.
fn fetch(name: &str, place: &Path) -> anyhow::Result<()> {
    let (archives, lists) = (place.join("archives"), place.join("lists"));
    let content = place.join("content");
    for dir in [&archives.join("partial"), &lists.join("partial"), &content] {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    let download = |own_lists: bool| {
        let lists = own_lists.then_some(lists.as_path());
        let words = ["-y", "--no-install-recommends", "--download-only", "install", name];
        run(apt(&archives, lists).args(words))
    };
    if let Err(first) = download(false) {
        // A machine that has never asked what packages there are.
        run(apt(&archives, Some(&lists)).arg("update"))
            .and_then(|()| download(true))
            .with_context(|| format!("{first:#}"))?;
    }
    for entry in fs::read_dir(&archives).context("read what was fetched")? {
        let path = entry.context("read what was fetched")?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(command("dpkg-deb").arg("-x").arg(&path).arg(&content))?;
        }
    }
    // Where packages still have a /lib, the system's is a link into /usr.
    if content.join("lib").is_dir() {
        let usr_lib = content.join("usr/lib");
        fs::create_dir_all(&usr_lib).context("create usr/lib")?;
        run(command("cp").arg("-a").arg(content.join("lib/.")).arg(usr_lib))?;
    }
    Ok(())
}

/// With its archives, and if need be its lists, where we say: the system's stay as they are.
fn apt(archives: &Path, lists: Option<&Path>) -> Command {
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    let mut apt = command("apt-get");
    apt.arg("-qq")
        .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"])
        .args(["-o", &option("Dir::Cache::archives", archives)])
        .args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]);
    if let Some(lists) = lists {
        apt.args(["-o", &option("Dir::State::lists", lists)]);
    }
    apt
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("PATH", PATH).env("LC_ALL", "C");
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let done = command.output().with_context(|| format!("failed to run {program}"))?;
    if !done.status.success() {
        let words = String::from_utf8_lossy(&done.stderr);
        let words = words.trim().lines().next_back().unwrap_or_default();
        bail!("{program}: {}: {words}", done.status);
    }
    Ok(())
}
