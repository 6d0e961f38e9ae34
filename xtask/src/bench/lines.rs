//! What a collector writes, read as fast as it comes.

use std::io::Read as _;
use std::process::ChildStdout;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::stats::count;

/// A row has five fields, each with a comma or the end of the line after it.
const SEPARATORS_A_ROW: u64 = 5;
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads until `rows` have come, and returns how many a second came after the first that were there.
pub(super) fn rate(mut from: ChildStdout, rows: u64) -> anyhow::Result<f64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut separators = 0_u64;
    let mut first: Option<(Instant, u64)> = None;
    loop {
        let read = from.read(&mut chunk).context("read lines")?;
        let seen = separators / SEPARATORS_A_ROW;
        ensure!(read > 0, "the collector has ended after {seen} rows of {rows}");
        let part = chunk.get(..read).unwrap_or_default();
        let here = part.iter().filter(|&&byte| byte == b',' || byte == b'\n').count();
        separators += u64::try_from(here)?;
        let seen = separators / SEPARATORS_A_ROW;
        let (since, before) = *first.get_or_insert((Instant::now(), seen));
        if seen >= rows {
            return Ok(count(seen - before) / since.elapsed().as_secs_f64());
        }
    }
}

/// Throws away what comes, on a thread, until the end.
pub(super) fn discard(mut from: ChildStdout) -> anyhow::Result<()> {
    let all = move || std::io::copy(&mut from, &mut std::io::sink());
    std::thread::Builder::new().name("discard".into()).spawn(all).map(drop).context("a thread")
}
