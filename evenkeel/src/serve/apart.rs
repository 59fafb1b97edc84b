//! A bot on threads of its own: one for the wire with the transport, one for engine and journal, watched ones for handlers, and
//! one for what handlers spawn.

use std::convert::Infallible;
use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::joining::Threads;
use super::leaving::GRACE;
use super::settings::{Guard, Settings};
use super::{Bot, foreign};
use crate::error::{Error, Result};
use crate::journal::Journal;

/// The runtime of the wire, which is driven by the thread that calls.
pub(super) fn runtime_of_wire() -> Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::from(error).context("starting the runtime of the wire"))
}

impl<J: Journal> Bot<J> {
    /// Serves on this thread, which is the wire's from now on, until the bot ends or `until` does: then it ends at once.
    pub(super) fn serve_on(
        mut self,
        ours: Runtime,
        mut settings: Settings,
        until: impl Future<Output = ()>,
    ) -> Result<()> {
        (self.drain, self.threads) = (self.drain.or(settings.drain), Threads::Own);
        let (guard, workers, allow) = (settings.guard, settings.workers, settings.allow.take());
        self.settings = Some(settings);
        if self.executor.is_none() {
            guard.tell(workers);
        }
        // Timers, sockets and tasks of handlers. Under the full guard it polls no handler, so none can hold it up.
        let theirs = Builder::new_multi_thread()
            .worker_threads(if guard == Guard::Full { 1 } else { workers })
            .thread_name("evenkeel-io")
            .enable_all()
            .build()
            .map_err(|error| Error::from(error).context("starting the runtime of the handlers"))?;
        if self.executor.is_none() {
            self.executor = Some(guard.executor(theirs.handle().clone(), workers, allow));
        }
        let app = self.app.clone();
        let result = ours.block_on(async {
            tokio::select! {
                biased;
                result = self.serve_here() => result,
                // Nobody hears how it ended.
                () = until => Ok(()),
            }
        });
        foreign::drop_within(GRACE, theirs.handle().clone(), app);
        // A handler that is stuck must not keep the process, nor must a name look-up of the transport.
        theirs.shutdown_background();
        ours.shutdown_background();
        result
    }

    /// The same on a thread for that, for a caller who waits without blocking.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the bot at once; its thread has then some moments more, for which nobody waits.
    pub(super) async fn serve_apart(mut self) -> Result<()> {
        let settings = self.settings.take().map_or_else(Settings::load, Ok)?;
        let (end, ended) = oneshot::channel();
        // Goes with this future, and says so by that.
        let (_held, gone) = oneshot::channel::<Infallible>();
        let serve = move || {
            let served =
                runtime_of_wire().and_then(|ours| self.serve_on(ours, settings, async { drop(gone.await) }));
            // Nobody listens where the future is gone.
            let _heard = end.send(served);
        };
        let thread = std::thread::Builder::new().name("evenkeel-wire".to_owned()).spawn(serve);
        // It ends with the bot, and says so; a bot that is stuck is not waited for any longer than it waits itself.
        let _thread =
            thread.map_err(|error| Error::from(error).context("starting the thread of the wire"))?;
        ended.await.unwrap_or_else(|_| Err(Error::new("the thread of the wire has ended, see above")))
    }
}
