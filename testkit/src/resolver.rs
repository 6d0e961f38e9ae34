//! A resolver that never answers, for processes to be.

use std::ffi::OsString;

use crate::shim::Shim;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/resolver.c");

/// Whoever asks it for a host's address waits for ever.
#[derive(Debug)]
pub struct SilentResolver(Shim);

impl SilentResolver {
    /// What a process says on stderr when it has asked.
    pub const ASKED: &str = "resolver: asked";

    /// `None` where there is no C compiler to make one.
    ///
    /// # Errors
    ///
    /// If it cannot be made for another reason.
    pub fn new() -> anyhow::Result<Option<SilentResolver>> {
        Ok(Shim::compile(SOURCE)?.map(SilentResolver))
    }

    /// What a process is given to ask it.
    pub fn variables(&self) -> [(&'static str, OsString); 1] {
        [("LD_PRELOAD", self.0.library().into())]
    }
}
