//! Counting: this program once more, under Valgrind's callgrind, which runs it on a processor of its
//! own making.
//!
//! It is that processor that makes the counts of one machine those of another. Libraries choose their
//! code by what the processor can do (SHA-256, searching bytes, copying memory), and Valgrind's has
//! neither SHA extensions nor AVX-512, whatever the machine has; AVX2 it has if the machine does.

use std::process::{Command, Output};

use anyhow::{Context as _, ensure};

use crate::cases::Case;
use crate::inputs::RUNS_MAX;

/// What the budgets are for, in the words of [`processor`]. A Valgrind that learns to do more says so
/// here, and then the budgets are to be taken anew.
pub(crate) const PROCESSOR: &str = "x86_64 with avx2";

/// Runs of a case in the two counts whose difference is what it takes. The start of the program and
/// the first run, which finds nothing allocated, are in both.
const TIMES: [usize; 2] = [1, RUNS_MAX];

/// What the processor can do that we run on, as far as it decides which code is run.
pub(crate) fn processor() -> String {
    format!("{} with {}", std::env::consts::ARCH, abilities())
}

#[cfg(target_arch = "x86_64")]
fn abilities() -> String {
    let known = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("sha", std::is_x86_feature_detected!("sha")),
    ];
    let there: Vec<&str> = known.into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
    if there.is_empty() { "nothing".to_owned() } else { there.join(" and ") }
}

#[cfg(not(target_arch = "x86_64"))]
fn abilities() -> String {
    "whatever it has".to_owned()
}

/// [`processor`] as Valgrind has it, on this machine.
pub(crate) fn emulated() -> anyhow::Result<String> {
    let output = callgrind(&["processor"])?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The instructions that `case` takes for one mail.
pub(crate) fn count(case: &Case) -> anyhow::Result<u64> {
    let [few, many] = TIMES;
    let mails = u64::try_from((many - few) * case.mails)?;
    let once = total(case.name, few)?;
    let more = total(case.name, many)?.saturating_sub(once);
    Ok((more + mails / 2) / mails)
}

fn total(case: &str, times: usize) -> anyhow::Result<u64> {
    let output = callgrind(&["run", case, &times.to_string()])?;
    let said = String::from_utf8_lossy(&output.stderr);
    collected(&said).with_context(|| format!("callgrind has not said what it counted:\n{said}"))
}

/// From `==4711== Collected : 71548637`.
fn collected(said: &str) -> Option<u64> {
    let number = said.lines().find_map(|line| line.split_once("Collected : "));
    number?.1.trim().parse().ok()
}

fn callgrind(args: &[&str]) -> anyhow::Result<Output> {
    let ourselves = std::env::current_exe().context("find this program")?;
    // Where each instruction went is kept nowhere: only their number is wanted.
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(ourselves)
        .args(args)
        .output()
        .context("start valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{args:?} under valgrind: {}\n{said}", output.status);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let said = "==1== Callgrind\n==1== Events    : Ir\n==1== Collected : 71548637\n==1== \n";
        assert_eq!(collected(said), Some(71_548_637));
        assert_eq!(collected("==1== Callgrind\n"), None);
    }
}
