//! Hooks of the author's at the start and at the end of a bot, which run beside the handlers.

use std::future::Future;
use std::pin::Pin;

use evenkeel_guard::{Executor, Label};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::foreign::finished;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::route::Hook;

/// Hooks that run. Dropping it cancels them.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Runs these one after the other, each within its limit, and ends with the first that fails.
///
/// # Errors
///
/// When one fails, panics or takes longer.
pub(super) fn started(hooks: Vec<Hook>, handle: Handle, executor: Executor) -> Running {
    Box::pin(async move {
        for hook in &hooks {
            run(hook, &handle, &executor).await?;
        }
        Ok(())
    })
}

/// The same for hooks of which each has its turn, whatever became of those before it; what goes wrong is logged.
pub(super) fn stopped(hooks: Vec<Hook>, handle: Handle, executor: Executor) -> Running {
    Box::pin(async move {
        for hook in &hooks {
            if let Err(error) = run(hook, &handle, &executor).await {
                tracing::error!(error = error.chain(), "the bot goes on ending");
            }
        }
        Ok(())
    })
}

/// All of it runs on the executor, its first line included.
async fn run(hook: &Hook, handle: &Handle, executor: &Executor) -> Result<()> {
    let (end, ended) = oneshot::channel();
    let (call, handle) = (hook.run.clone(), handle.clone());
    let running = async move {
        let ran = finished(async move { call(handle).await }).await;
        // Nobody listens once its time is over.
        let _heard = end.send(ran);
    };
    // Dropped with this future, which cancels it.
    let _task = executor.spawn(&Label::new(hook.name), running);
    let error = match timeout(hook.limit, ended).await {
        Ok(Ok(Ok(Ok(())))) => return Ok(()),
        Ok(Ok(Ok(Err(error)))) => error.context(format!("{hook} failed")),
        Ok(Ok(Err(panic))) => Error::new(format!("{hook} panicked: {panic}")),
        Ok(Err(_)) => Error::new(format!("{hook} was dropped before its end")),
        Err(_) => Error::new(format!("{hook} did not end within {:?}", hook.limit)).with_hint(format!(
            "give it more time with `{}_within(..)`, or let it start a task for what takes long",
            hook.name
        )),
    };
    Err(error)
}
