//! A shared library that is put in front of the C library of processes to be.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// For `LD_PRELOAD`, in a directory of its own, which everybody may read.
#[derive(Debug)]
pub(crate) struct Shim {
    dir: TempDir,
}

impl Shim {
    /// Made of C source. `None` where there is no C compiler to make it.
    ///
    /// # Errors
    ///
    /// If it cannot be made for another reason.
    pub(crate) fn compile(source: &str) -> anyhow::Result<Option<Shim>> {
        let dir = tempfile::tempdir().context("create a directory")?;
        // PostgreSQL runs as somebody else when we are root.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
            .context("open the directory to other users")?;
        let shim = Shim { dir };
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let compiled = match compiler.arg(shim.library()).arg(source).output() {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("failed to run cc"),
        };
        ensure!(compiled.status.success(), "cc: {}", String::from_utf8_lossy(&compiled.stderr));
        Ok(Some(shim))
    }

    /// Where it is.
    pub(crate) fn library(&self) -> PathBuf {
        self.dir.path().join("shim.so")
    }

    /// Where there is room for what it reads.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}
