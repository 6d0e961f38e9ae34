//! The file with the secret key: whether others on this machine can read it.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::environment::Environment;

const FILE: &str = "MAILROOM_SECRET_KEY_FILE";

/// Warns of one of our own that is open to others, in folders that let them in. One that a platform
/// mounts, read-only in a folder that is closed, is its business.
pub fn look(environment: &Environment) -> Option<Finding> {
    let said = |(name, path): (OsString, OsString)| (name == *FILE).then_some(path);
    let path = environment.vars().find_map(said).filter(|path| !path.is_empty())?;
    let path = fs::canonicalize(path).ok()?;
    let file = fs::metadata(&path).ok()?;
    let folders: Vec<Metadata> =
        path.ancestors().skip(1).map(fs::metadata).collect::<Result<_, _>>().ok()?;
    if !is_open(&file, &folders) {
        return None;
    }
    Some(Finding::warning(
        "settings",
        format!("{FILE}: {} can be read by others on this machine", path.display()),
        format!("chmod 600 {}", said_to_a_shell(&path)),
    ))
}

/// A group or the others may read it, and come as far as there.
fn is_open(file: &Metadata, folders: &[Metadata]) -> bool {
    let ours = file.uid() == rustix::process::geteuid().as_raw();
    let readers = file.mode() & 0o044;
    // To open a file takes the right to search each folder on the way.
    let searchers = folders.iter().fold(0o011, |searchers, folder| searchers & folder.mode());
    ours && (readers >> 2) & searchers != 0
}

fn said_to_a_shell(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
