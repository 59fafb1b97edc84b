//! What was given up, and what the operator does about it.
//!
//! An event whose handler failed for good and a reply that could not be sent become dead letters: they are kept, with the
//! reason, until somebody replays or discards them.

use tokio::sync::{mpsc, oneshot};

use crate::journal::{Dead, DeadFilter};

/// Lists, replays and discards the dead letters of a running bot. Cloning is cheap.
///
/// ```no_run
/// use evenkeel::{Bot, Router, journal::{DeadFilter, Reason}, sandbox::Sandbox};
///
/// # async fn again() {
/// let bot = Bot::new(Sandbox::new(), Router::new());
/// let letters = bot.dead_letters();
/// tokio::spawn(bot.serve());
/// let failed = DeadFilter { reason: Some(Reason::Failed), ..DeadFilter::default() };
/// let count = letters.replay(failed).await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// The wire holds the other end; a stopped bot has dropped it.
    wishes: mpsc::Sender<Wish>,
}

/// What an operator may want of dead letters.
#[derive(Debug)]
pub(crate) enum Wish {
    List(DeadFilter, oneshot::Sender<Vec<Dead>>),
    Replay(DeadFilter, oneshot::Sender<u64>),
    Discard(DeadFilter, oneshot::Sender<u64>),
    /// To look for what another process has put into the journal.
    Adopt,
}

impl DeadLetters {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Wish>) {
        // A full channel means that 16 askers are waiting already; the next one waits to ask.
        let (wishes, receiver) = mpsc::channel(16);
        (Self { wishes }, receiver)
    }

    /// Those that fit, the oldest first; `None` once the bot has stopped. A long list is better asked for in pages, by
    /// [`DeadFilter::after`] and [`DeadFilter::limit`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn list(&self, filter: DeadFilter) -> Option<Vec<Dead>> {
        let (answer, dead) = oneshot::channel();
        self.wishes.send(Wish::List(filter, answer)).await.ok()?;
        dead.await.ok()
    }

    /// Gives those that fit another chance, all or none: events come after what their conversations hold now, except
    /// parked ones, which keep their place; replies go to the end of the outbox. Answers how many there were; `None` once
    /// the bot has stopped.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled, it may happen although the future is dropped.
    pub async fn replay(&self, filter: DeadFilter) -> Option<u64> {
        let (answer, count) = oneshot::channel();
        self.wishes.send(Wish::Replay(filter, answer)).await.ok()?;
        count.await.ok()
    }

    /// Forgets those that fit, for good. Answers how many there were; `None` once the bot has stopped.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled, it may happen although the future is dropped.
    pub async fn discard(&self, filter: DeadFilter) -> Option<u64> {
        let (answer, count) = oneshot::channel();
        self.wishes.send(Wish::Discard(filter, answer)).await.ok()?;
        count.await.ok()
    }
}
