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
