//! A memory cgroup: version 1 or 2, where we may make one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

const V2: &str = "/sys/fs/cgroup/cgroup.controllers";
/// How long its last process may take to be gone.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Cgroup {
    dir: PathBuf,
    v2: bool,
}

impl Cgroup {
    /// One whose processes have so many bytes together, kernel memory included, and no swap.
    pub(super) fn new(bytes: u64) -> anyhow::Result<Cgroup> {
        let v2 =
            fs::read_to_string(V2).is_ok_and(|all| all.split_whitespace().any(|c| c == "memory"));
        let root = Path::new(if v2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" });
        ensure!(root.is_dir(), "there is no memory controller at {}", root.display());
        if v2 {
            // Fails where it is in force already, too; what counts is whether the limit can be set.
            _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        let dir = root.join(format!("mailroom-bench-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
        let cgroup = Cgroup { dir, v2 };
        let bytes = bytes.to_string();
        let limit = if v2 { "memory.max" } else { "memory.limit_in_bytes" };
        cgroup.write(limit, &bytes)?;
        if v2 {
            cgroup.write("memory.swap.max", "0")?;
        } else {
            cgroup.write("memory.swappiness", "0")?;
            // Not every kernel counts swap.
            _ = cgroup.write("memory.memsw.limit_in_bytes", &bytes);
        }
        Ok(cgroup)
    }

    /// For `sh -c`: goes into it and becomes the program that is its `$0`.
    pub(super) fn script(&self) -> String {
        format!("echo $$ >'{}/cgroup.procs' && exec \"$0\" \"$@\"", self.dir.display())
    }

    /// The most bytes that were in use; what of it was page cache could have been given back.
    pub(super) fn peak(&self) -> u64 {
        let file = if self.v2 { "memory.peak" } else { "memory.max_usage_in_bytes" };
        self.read(file).trim().parse().unwrap_or_default()
    }

    pub(super) fn oom_kills(&self) -> u64 {
        let events = self.read(if self.v2 { "memory.events" } else { "memory.oom_control" });
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|kills| kills.trim().parse().ok()).unwrap_or_default()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap_or_default()
    }

    fn write(&self, file: &str, value: &str) -> anyhow::Result<()> {
        let path = self.dir.join(file);
        fs::write(&path, value).with_context(|| format!("write {}", path.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + EMPTY_WITHIN;
        while fs::remove_dir(&self.dir).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
