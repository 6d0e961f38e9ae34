//! A wall clock that the test sets, for processes to be.
//!
//! `clock.c` is put in front of the C library, and adds what a file says to the wall clock.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c");

/// A wall clock, which goes right until it is [stepped](Clock::step).
#[derive(Debug)]
pub struct Clock {
    dir: TempDir,
}

impl Clock {
    /// `None` where there is no C compiler to make one.
    ///
    /// # Errors
    ///
    /// If it cannot be made for another reason.
    pub fn new() -> anyhow::Result<Option<Clock>> {
        let dir = tempfile::tempdir().context("create a directory")?;
        // PostgreSQL runs as somebody else when we are root.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
            .context("open the directory to other users")?;
        let clock = Clock { dir };
        clock.step(0)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let compiled = match compiler.arg(clock.shim()).arg(SOURCE).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("failed to run cc"),
        };
        ensure!(compiled.status.success(), "cc: {}", String::from_utf8_lossy(&compiled.stderr));
        Ok(Some(clock))
    }

    /// So many seconds from what it really is.
    ///
    /// # Errors
    ///
    /// If that cannot be written down.
    pub fn step(&self, seconds: i64) -> anyhow::Result<()> {
        // Never truncated: they have mapped it.
        let mut file = File::options();
        let file = file.create(true).truncate(false).write(true).open(self.offset());
        let file = file.context("open the clock's file")?;
        file.write_all_at(&seconds.to_ne_bytes(), 0).context("write the clock's file")
    }

    /// What a process is given to go by this clock.
    pub fn variables(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.shim().into()), ("CLOCK_OFFSET_FILE", self.offset().into())]
    }

    fn shim(&self) -> PathBuf {
        self.dir.path().join("clock.so")
    }

    fn offset(&self) -> PathBuf {
        self.dir.path().join("offset")
    }
}
