//! A bot that ends and begins again on the same file, under a paused clock.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Entry, Journal, Recovered};
use evenkeel::operator::DeadLetters;
use evenkeel::transport::Network;
use evenkeel::{App, Bot, Result, Transport};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::line::{Far, Line, line};

/// 2026-01-01, 12:00 UTC.
pub(crate) const BEGAN_MS: u64 = 1_767_268_800_000;

/// Longer than anything in these tests takes.
const SILENCE: Duration = Duration::from_secs(24 * 3600);

/// A folder that goes with the test, and what time it is there.
pub(crate) struct Home {
    folder: PathBuf,
    began: Instant,
    count: AtomicU32,
}

/// A bot in its home.
pub(crate) struct Stay<'a> {
    home: &'a Home,
    bot: JoinHandle<Result<()>>,
    pub(crate) far: Far,
    pub(crate) dead: DeadLetters,
}

/// How a bot ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Stop,
    /// As the process would end at kill -9: nothing is said to anybody.
    Kill,
}

impl Home {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("evenkeel-serve-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, began: Instant::now(), count: AtomicU32::new(0) }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("journal.db")
    }

    /// By the paused clock, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        now_ms(self.began)
    }

    /// The same for whoever outlives it.
    pub(crate) fn clock(&self) -> impl Fn() -> SystemTime + Send + Sync + use<> {
        let began = self.began;
        move || UNIX_EPOCH + Duration::from_millis(now_ms(began))
    }

    pub(crate) fn bot(&self, transport: Line, app: App) -> Bot<Still> {
        self.any(transport, app)
    }

    /// A bot on any network.
    pub(crate) fn any(&self, transport: impl Transport, app: App) -> Bot<Still> {
        self.on(Network::new(transport), app)
    }

    /// The same on one that has a name.
    pub(crate) fn on(&self, network: Network, app: App) -> Bot<Still> {
        let journal = Still(SqliteJournal::open(self.file()).unwrap());
        Bot::new(app).network(network).with_journal(journal).with_clock(self.clock())
    }

    pub(crate) fn start(&self, app: App) -> Stay<'_> {
        let (transport, far) = line();
        let bot = self.bot(transport, app);
        let dead = bot.dead_letters();
        Stay { home: self, bot: tokio::spawn(bot.on_this_runtime().serve()), far, dead }
    }
}

/// What the bot brings about, unless it has nothing left to do: then the paused clock comes to this end at once.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let line = std::panic::Location::caller();
    async move {
        match timeout(SILENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing happens any more, at {line}"),
        }
    }
}

fn now_ms(began: Instant) -> u64 {
    BEGAN_MS + u64::try_from(began.elapsed().as_millis()).unwrap()
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stay<'_> {
    pub(crate) fn say(&self, who: &str, text: &str) {
        let id = self.home.count.fetch_add(1, Ordering::Relaxed).to_string();
        self.far.repeat(&id, who, text);
    }

    /// The text of the next reply.
    pub(crate) async fn hears(&mut self) -> String {
        soon(self.far.reply()).await.1
    }

    pub(crate) async fn end(self, end: End) {
        match end {
            End::Stop => {
                drop(self.far.hang_up());
                self.bot.await.unwrap().unwrap();
            }
            End::Kill => {
                // What became of a reply is noted within 5 ms; before that, nobody knows it afterwards.
                tokio::time::sleep(std::time::Duration::from_millis(6)).await;
                self.bot.abort();
                assert!(self.bot.await.unwrap_err().is_cancelled());
            }
        }
    }
}

/// A journal on a file that a bot calls where it is itself, and not on a thread: time stands still while the disk is waited for.
pub(crate) struct Still(SqliteJournal);

impl Journal for Still {
    type Writing = <SqliteJournal as Journal>::Writing;

    async fn recover(&mut self) -> Result<Recovered> {
        self.0.recover().await
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        self.0.write(batch)
    }

    async fn close(self) {
        self.0.close().await;
    }
}
