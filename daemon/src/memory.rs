//! What is in our memory (a key, tokens, passwords) is not for files, and not for other processes of
//! the same user. Whatever else a system has to say to a request is no reason not to work.

use rustix::process::{Resource, Rlimit, setrlimit};

/// No core, whatever becomes of us; on Linux no debugger, either, and no look into our environment by
/// `/proc`, but by root. What we open by `/proc/self/fd` stays open to us: the kernel lets a process
/// through to its own.
pub fn keep_private() {
    // For a program that the kernel hands cores to and that asks for the limit.
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Gives the system back what has been freed, also where something that is in use lies above it. A
/// program that is at rest after much work is then as small as before. Does nothing where the C library
/// is not glibc.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "nobody else offers it, and it touches only what is free")]
    // SAFETY: malloc_trim(3) takes no pointer, may be called at any time, and by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn anonymous_kb() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn what_is_free_below_something_in_use_is_given_back() {
        let mut blocks: Vec<Vec<u8>> = (0..32_000).map(|_| vec![1; 1024]).collect();
        let in_use = blocks.pop();
        drop(blocks);
        let kept = anonymous_kb();
        give_back();
        assert!(anonymous_kb() + 16_000 < kept, "{kept} KB, and {} KB", anonymous_kb());
        drop(in_use);
    }
}
