//! Running a future to its end from a place that may itself be inside a runtime.

use std::future::Future;

use anyhow::{Context, anyhow};

/// Runs `future` on a thread and runtime of its own and waits for it. Unlike `block_on` it may be
/// called from within an async test, and from `Drop`.
pub(crate) fn run<T, F>(future: F) -> anyhow::Result<T>
where
    T: Send,
    F: Future<Output = anyhow::Result<T>> + Send,
{
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("testkit-apart".into())
            .spawn_scoped(scope, || runtime()?.block_on(future))
            .context("start a thread")?;
        thread.join().unwrap_or_else(|_| Err(anyhow!("the thread panicked")))
    })
}

/// A runtime for one thread, with time and network.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("build a tokio runtime")
}
