//! The bot of a chat, and what outlives it.

use std::future::{Future, pending};

use evenkeel_guard::Executor;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::Result;
use crate::handle::{Handle, LineEnd};
use crate::journal::memory::{MemoryJournal, MemoryStore};
use crate::journal::{Entry, Journal, Recovered};
use crate::operator::Jobs;
use crate::route::App;
use crate::serve::Bot;
use crate::status::Status;
use crate::testing::network::Network;

/// When each chat begins: 2026-01-01, 12:00 UTC.
const BEGAN_MS: u64 = 1_767_268_800_000;

/// What outlives a bot within its chat.
#[derive(Debug)]
pub(super) struct Home {
    app: App,
    store: MemoryStore,
    /// Those of the first bot, which each one after it goes on with.
    handles: Option<(Handle, LineEnd)>,
    /// When the chat began: noon of the first day of 2026, by a clock that goes on with tokio's, paused or not.
    began: Instant,
}

/// A bot that runs. It ends with this.
#[derive(Debug)]
pub(super) struct Running {
    status: Status,
    jobs: Jobs,
    bot: Stopped,
    /// Tells it to stop, once.
    stop: Option<oneshot::Sender<()>>,
}

impl Home {
    pub(super) fn new(app: App) -> Self {
        Self { app, store: MemoryStore::default(), handles: None, began: Instant::now() }
    }

    /// Speaks for whichever bot runs.
    pub(super) fn handle(&self) -> Option<&Handle> {
        self.handles.as_ref().map(|(handle, _)| handle)
    }

    /// The next bots are of this release.
    pub(super) fn update(&mut self, app: App) {
        self.app = app;
    }

    /// The present time, in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        now_ms(self.began)
    }

    /// Starts a bot on what the one before has left.
    pub(super) fn start(&mut self, networks: &[Network], executor: &Executor) -> Running {
        let (stop, stopped) = oneshot::channel();
        let began = self.began;
        let journal = Lasting(MemoryJournal::over(self.store.clone()));
        let bot = Bot::new(self.app.clone());
        let bot =
            networks.iter().fold(bot, |bot, network| bot.network(network.of_bot())).with_journal(journal);
        // A chat that is dropped stops its bot at once, and does not ask it to.
        let bot = bot.with_executor(executor.clone()).with_shutdown(async {
            if stopped.await.is_err() {
                pending::<()>().await;
            }
        });
        let bot = bot.with_steady_clock(move || now_ms(began)).on_this_runtime();
        let bot = match &self.handles {
            Some(handles) => {
                handles.1.close();
                bot.with_handles(handles.clone())
            }
            None => bot,
        };
        self.handles = Some(bot.handles());
        let (status, jobs) = (bot.status(), bot.jobs());
        Running { status, jobs, bot: Stopped(tokio::spawn(bot.serve())), stop: Some(stop) }
    }
}

fn now_ms(began: Instant) -> u64 {
    BEGAN_MS + u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Running {
    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    pub(super) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    pub(super) fn has_ended(&self) -> bool {
        self.bot.0.is_finished()
    }

    /// Waits until it has stopped, having been told to.
    pub(super) async fn stopped(&mut self) {
        // It may have stopped already.
        let _asked = self.stop.take().map(|stop| stop.send(()));
        // What it could not finish in time is in its journal.
        let _ended = (&mut self.bot.0).await;
    }

    /// Ends it, in the middle of whatever it does.
    pub(super) async fn killed(&mut self) {
        self.bot.0.abort();
        let _ended = (&mut self.bot.0).await;
    }
}

/// A journal that outlives its bot, for the time of a test.
struct Lasting(MemoryJournal);

impl Journal for Lasting {
    type Writing = <MemoryJournal as Journal>::Writing;

    /// Time that passes shows in tests.
    fn gathers(&self) -> bool {
        false
    }

    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        self.0.recover()
    }

    fn recover_in_pages(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        self.0.recover_in_pages()
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        self.0.write(batch)
    }
}

/// Ends the bot with its chat.
#[derive(Debug)]
struct Stopped(JoinHandle<Result<()>>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.abort();
    }
}
