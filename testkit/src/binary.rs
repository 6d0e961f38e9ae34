//! The workspace's own programs, built before they are used.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};

/// A directory with programs that are to be used as they are, for instance those of a release.
const DIR_VARIABLE: &str = "MAILROOM_TEST_BIN_DIR";

/// What `make` installs. Which features a dependency has depends on what is compiled together, so each
/// is compiled with the others in mind, as `make` does it.
const INSTALLED: [&str; 3] = ["mailroom-collector", "mailroom-sender", "mailroom-operator"];

/// The path of an installed program: `collector`, `sender` or `mailroom`; see [`binary_of`].
///
/// # Errors
///
/// As [`binary_of`].
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    built(&INSTALLED, name)
}

/// The path of a program of this workspace, in the profile of the running test. The first call in
/// a process has cargo build it: for a test in another package, cargo by itself would leave it
/// missing or stale.
///
/// # Errors
///
/// If it does not compile.
pub fn binary_of(package: &str, name: &str) -> anyhow::Result<PathBuf> {
    built(&[package], name)
}

fn built(packages: &[&str], name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    if let Some(dir) = std::env::var_os(DIR_VARIABLE) {
        let path = PathBuf::from(dir).join(name);
        ensure!(path.is_file(), "{DIR_VARIABLE}: there is no {}", path.display());
        return Ok(path);
    }
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(path) = built.get(name) {
        return Ok(path.clone());
    }
    let path = build(packages, name).with_context(|| format!("build {name}"))?;
    built.insert(name.to_owned(), path.clone());
    Ok(path)
}

fn build(packages: &[&str], name: &str) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().context("ask for the path of this test")?;
    let place = Place::of(&exe).with_context(|| format!("no profile in {}", exe.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(["--bin", name, "--profile", place.profile])
        .arg("--target-dir")
        .arg(place.target_dir)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null());
    if let Some(triple) = place.triple {
        command.args(["--target", triple]);
    }
    // What cargo tells the test about its package is not meant for another cargo: build scripts
    // that watch these variables would run again, and everything after them.
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        let foreign = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "OUT_DIR"];
        if foreign.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&variable);
        }
    }
    let done = command.output().context("run cargo")?;
    let words = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "cargo: {}\n{}", done.status, words.trim());
    executable(&done.stdout, name).context("cargo named no program")
}

/// The target directory that the running program lies in.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().context("ask for the path of this program")?;
    let place = Place::of(&exe).with_context(|| format!("no profile in {}", exe.display()))?;
    Ok(place.target_dir.to_owned())
}

/// What cargo says it has made, or found to be fresh.
fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

/// Where in the target directory a test lies: `target[/triple]/profile[/deps]/test`.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    target_dir: &'a Path,
    triple: Option<&'a str>,
    profile: &'a str,
}

impl Place<'_> {
    fn of(exe: &Path) -> Option<Place<'_>> {
        let mut dir = exe.parent()?;
        if dir.ends_with("deps") || dir.ends_with("examples") {
            dir = dir.parent()?;
        }
        let profile = match dir.file_name()?.to_str()? {
            "debug" => "dev",
            other => other,
        };
        let above = dir.parent()?;
        // Triples have dashes and two or three of them: x86_64-unknown-linux-gnu.
        let name = above.file_name()?.to_str()?;
        if name.matches('-').count() >= 2 && above.parent()?.join("CACHEDIR.TAG").exists() {
            return Some(Place { target_dir: above.parent()?, triple: Some(name), profile });
        }
        Some(Place { target_dir: above, triple: None, profile })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Place;

    #[test]
    fn the_profile_is_the_tests_own() {
        let place = |exe| Place::of(Path::new(exe)).unwrap();
        let target_dir = Path::new("/w/target");
        let dev = Place { target_dir, triple: None, profile: "dev" };
        assert_eq!(place("/w/target/debug/deps/it-0123"), dev);
        assert_eq!(place("/w/target/debug/xtask"), dev);
        assert_eq!(place("/w/target/release/deps/it-0123"), Place { profile: "release", ..dev });
    }
}
