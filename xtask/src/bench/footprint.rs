//! What the kernel says about a process: its memory, its time, its wake-ups.

use std::fs;

use anyhow::{Context, bail};

const KB: f64 = 1024.0;
const MB: f64 = 1024.0 * 1024.0;
/// The kernel's unit of process times on every system of today.
const TICK_US: f64 = 10_000.0;

/// In MB.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) resident: f64,
    pub(super) anonymous: f64,
    /// The most that was ever resident.
    pub(super) peak: f64,
}

pub(super) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = read(&format!("/proc/{pid}/status"))?;
    // Exact, where the status is off by some pages; but only who may trace a process may look.
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let mb = |text: &str, name: &str| kilobytes(text, name).map(|kb| kb * KB / MB);
    Ok(Memory {
        resident: mb(&exact, "Rss:").or_else(|| mb(&status, "VmRSS:")).context("VmRSS")?,
        anonymous: mb(&exact, "Anonymous:")
            .or_else(|| mb(&status, "RssAnon:"))
            .context("RssAnon")?,
        peak: mb(&status, "VmHWM:").context("VmHWM")?,
    })
}

/// How often it went to sleep by itself, which is how often it was woken.
pub(super) fn wake_ups(pid: u32) -> anyhow::Result<f64> {
    let status = read(&format!("/proc/{pid}/status"))?;
    kilobytes(&status, "voluntary_ctxt_switches:").context("voluntary_ctxt_switches")
}

/// User and system time in microseconds.
pub(super) fn cpu_us(pid: u32) -> anyhow::Result<f64> {
    // In nanoseconds, where the kernel was told to keep it, thread by thread.
    let mut ns = 0.0;
    for entry in fs::read_dir(format!("/proc/{pid}/task")).context("read its threads")? {
        let file = entry.context("read its threads")?.path().join("schedstat");
        let text = fs::read_to_string(file).unwrap_or_default();
        ns += text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
    }
    if ns > 0.0 {
        return Ok(ns / 1e3);
    }
    let (_, own, _) = times(pid)?;
    Ok(own * TICK_US)
}

/// Likewise, of a process and of all children that it has or had.
pub(super) fn family_cpu_us(pid: u32) -> anyhow::Result<f64> {
    let (_, own, buried) = times(pid)?;
    let mut ticks = own + buried;
    for entry in fs::read_dir("/proc").context("read /proc")? {
        let name = entry.context("read /proc")?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has gone meanwhile is missed here and found buried the next time.
        if let Ok((parent, own, buried)) = times(child)
            && parent == pid
        {
            ticks += own + buried;
        }
    }
    Ok(ticks * TICK_US)
}

/// The parent; its own ticks, user and system; those of its children that have ended.
fn times(pid: u32) -> anyhow::Result<(u32, f64, f64)> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    // The name in parentheses may have anything in it.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| -> anyhow::Result<f64> {
        fields.get(at).context("/proc/stat is short")?.parse().context("/proc/stat")
    };
    let parent = fields.get(1).context("/proc/stat is short")?.parse().context("/proc/stat")?;
    Ok((parent, number(11)? + number(12)?, number(13)? + number(14)?))
}

fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn read(path: &str) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if !text.is_empty() => Ok(text),
        Ok(_) => bail!("{path} is empty"),
        Err(error) => Err(error).with_context(|| format!("read {path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        let own = std::process::id();
        let memory = memory(own).unwrap();
        assert!(memory.anonymous > 0.0 && memory.resident >= memory.anonymous, "{memory:?}");
        assert!(memory.peak > memory.anonymous, "{memory:?}");
        let (parent, ..) = times(own).unwrap();
        assert_eq!(parent, std::os::unix::process::parent_id());
        assert!(family_cpu_us(own).unwrap() >= 0.0);
        assert!(wake_ups(own).is_ok());
    }
}
