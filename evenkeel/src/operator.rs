//! What the operator does about what was given up, and about what is planned.
//!
//! An event whose handler failed for good and a reply that could not be sent become dead letters: they are kept, with the
//! reason, until somebody replays or discards them. Jobs wait for their time, in whatever conversation they were planned.

use http::Extensions;
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;
use crate::journal::{Dead, DeadFilter, Job, Listing};
use crate::status::Status;

/// Lists, replays and discards the dead letters of a running bot. Cloning is cheap.
///
/// ```no_run
/// use evenkeel::{Bot, Router, journal::{DeadFilter, Reason}, sandbox::Sandbox};
///
/// # async fn again() {
/// let bot = Bot::new(Router::new()).transport(Sandbox::new());
/// let letters = bot.dead_letters();
/// tokio::spawn(bot.on_this_runtime().serve());
/// let failed = DeadFilter { reason: Some(Reason::Failed), ..DeadFilter::default() };
/// let count = letters.replay(failed).await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// The driver holds the other end; a stopped bot has dropped it.
    commands: mpsc::Sender<OperatorCommand>,
}

/// Lists and cancels the jobs of a running bot, those of all conversations. Cleaning up is the operator's: people cancel
/// their own by [`Context::cancel`](crate::Context::cancel). Cloning is cheap.
///
/// ```
/// use std::time::Duration;
/// use evenkeel::{Bot, Context, Job, Result, Router, job::Waiting, sandbox::Sandbox};
///
/// async fn remind(cx: Context) -> Result<&'static str> {
///     cx.after(Duration::from_secs(3600), ring, ("tea".to_owned(),))?;
///     Ok("I will")
/// }
/// async fn ring(Job((what,)): Job<(String,)>) -> String { what }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let sandbox = Sandbox::new();
/// let bot = Bot::new(Router::new().command("!remind", remind).job(ring)).transport(sandbox.clone()).in_memory();
/// let bot = bot.with_shutdown(std::future::pending());
/// let (jobs, status) = (bot.jobs(), bot.status());
/// tokio::spawn(bot.on_this_runtime().serve());
/// sandbox.say("alice", "alice", "!remind").expect("Alice is there");
/// while status.snapshot().await.expect("the bot runs").handled == 0 {
///     tokio::task::yield_now().await;
/// }
/// let found = jobs.list(None, None, 100).await.expect("the bot runs");
/// let waiting = Waiting::read(&found[0]).expect("it is of this version");
/// assert!(waiting.function.ends_with("ring") && waiting.schedule.is_none());
/// assert_eq!(jobs.cancel(&found[0].name).await, Some(true));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Jobs {
    /// As that of [`DeadLetters`].
    commands: mpsc::Sender<OperatorCommand>,
}

/// What an operator may want.
#[derive(Debug)]
pub(crate) enum OperatorCommand {
    List(DeadFilter, oneshot::Sender<Listing<Vec<Dead>>>),
    Count(DeadFilter, oneshot::Sender<Listing<u64>>),
    Replay(DeadFilter, oneshot::Sender<u64>),
    Discard(DeadFilter, oneshot::Sender<u64>),
    Jobs {
        conversation: Option<String>,
        after: Option<(u64, u64)>,
        limit: usize,
        answer: oneshot::Sender<Listing<Vec<Job>>>,
    },
    Cancel(String, oneshot::Sender<bool>),
    /// To look for what another process has put into the journal.
    Adopt,
}

/// The operator's handles of one bot.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) letters: DeadLetters,
    pub(crate) jobs: Jobs,
}

impl Operator {
    pub(crate) fn new() -> (Self, mpsc::Receiver<OperatorCommand>) {
        // A full channel means that 16 askers are waiting already; the next one waits to ask.
        let (commands, receiver) = mpsc::channel(16);
        (Self { letters: DeadLetters { commands: commands.clone() }, jobs: Jobs { commands } }, receiver)
    }

    /// What a transport may ask of the bot that it belongs to, by type.
    pub(crate) fn handles(self, status: Status) -> Extensions {
        let mut handles = Extensions::new();
        handles.insert(status);
        handles.insert(self.letters);
        handles.insert(self.jobs);
        handles
    }
}

impl DeadLetters {
    /// Those that fit, the oldest first; `None` once the bot has stopped, and where the journal cannot be read, which the log tells.
    /// However many there are, no message waits for the list. A long one is better asked for in pages, by [`DeadFilter::after`] and
    /// [`DeadFilter::limit`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn list(&self, filter: DeadFilter) -> Option<Vec<Dead>> {
        let (answer, dead) = oneshot::channel();
        self.commands.send(OperatorCommand::List(filter, answer)).await.ok()?;
        read(dead.await.ok()?).await
    }

    /// How many fit, at most as many as [`DeadFilter::limit`] says; `None` as in [`DeadLetters::list`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn count(&self, filter: DeadFilter) -> Option<u64> {
        let (answer, count) = oneshot::channel();
        self.commands.send(OperatorCommand::Count(filter, answer)).await.ok()?;
        read(count.await.ok()?).await
    }

    /// Gives those that fit another chance, all or none: events come after what their conversations hold now, except
    /// parked ones, which keep their place; replies go to the end of the outbox. A dead event takes its own dead replies
    /// along, which its handler sends anew. Answers how many there were; `None` once the bot has stopped.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled, it may happen although the future is dropped.
    pub async fn replay(&self, filter: DeadFilter) -> Option<u64> {
        let (answer, count) = oneshot::channel();
        self.commands.send(OperatorCommand::Replay(filter, answer)).await.ok()?;
        count.await.ok()
    }

    /// Forgets those that fit, for good. Answers how many there were; `None` once the bot has stopped.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled, it may happen although the future is dropped.
    pub async fn discard(&self, filter: DeadFilter) -> Option<u64> {
        let (answer, count) = oneshot::channel();
        self.commands.send(OperatorCommand::Discard(filter, answer)).await.ok()?;
        count.await.ok()
    }
}

impl Jobs {
    /// Those that wait, the earliest first, at most `limit`: of the conversation with this id, or of all, after the job
    /// that is due then and has this number ([`Job::due_ms`], [`Job::id`]). `None` as in [`DeadLetters::list`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn list(
        &self,
        conversation: Option<&str>,
        after: Option<(u64, u64)>,
        limit: usize,
    ) -> Option<Vec<Job>> {
        let (answer, jobs) = oneshot::channel();
        let conversation = conversation.map(str::to_owned);
        self.commands.send(OperatorCommand::Jobs { conversation, after, limit, answer }).await.ok()?;
        read(jobs.await.ok()?).await
    }

    /// Forgets the job of this name ([`Job::name`]), whosever it is. Answers whether there was one; `None` once the bot
    /// has stopped. A schedule that the program has comes back with its next start.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled, it may happen although the future is dropped.
    pub async fn cancel(&self, name: impl Into<String>) -> Option<bool> {
        let (answer, was_there) = oneshot::channel();
        self.commands.send(OperatorCommand::Cancel(name.into(), answer)).await.ok()?;
        was_there.await.ok()
    }
}

/// Reads what was asked for, as the one who asked. That it cannot be read costs nobody else anything.
async fn read<T>(listing: Listing<T>) -> Option<T> {
    let read: Result<T> = listing.await;
    if let Err(error) = &read {
        tracing::error!(error = error.chain(), "the journal cannot be read for the operator");
    }
    read.ok()
}
