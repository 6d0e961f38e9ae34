//! A wall clock that the test sets, for processes to be.
//!
//! `clock.c` is put in front of the C library, and adds what a file says to the wall clock.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use anyhow::Context;

use crate::shim::Shim;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c");

/// A wall clock, which goes right until it is [stepped](Clock::step).
#[derive(Debug)]
pub struct Clock {
    shim: Shim,
}

impl Clock {
    /// `None` where there is no C compiler to make one.
    ///
    /// # Errors
    ///
    /// If it cannot be made for another reason.
    pub fn new() -> anyhow::Result<Option<Clock>> {
        let Some(shim) = Shim::compile(SOURCE)? else { return Ok(None) };
        let clock = Clock { shim };
        clock.step(0)?;
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
        [("LD_PRELOAD", self.shim.library().into()), ("CLOCK_OFFSET_FILE", self.offset().into())]
    }

    fn offset(&self) -> PathBuf {
        self.shim.dir().join("offset")
    }
}
