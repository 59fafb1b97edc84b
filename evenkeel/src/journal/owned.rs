//! A journal over any store: a task owns the record, and anyone who writes hands it batches.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::record::Record;
use super::store::Store;
use super::whole::recover_whole;
use super::{Entry, Journal, Recovered, Written};
use crate::error::{Error, Result};
use crate::guarantee::Durability;

/// How many batches may wait for the store; `serve` hands over one at a time. More are refused.
const WAITING: usize = 64;

/// After so long without a batch the store tidies up a little.
const IDLE: Duration = Duration::from_millis(20);

/// Keeps a bot's record in a [`Store`] of one's own.
///
/// A task on the runtime of its maker owns the store; it ends when the journal is closed or dropped, after the batch at
/// hand.
///
/// ```
/// use evenkeel::journal::StoreJournal;
/// use evenkeel::journal::memory::MemoryStore;
/// use evenkeel::sandbox::Sandbox;
/// use evenkeel::{Bot, Router};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let journal = StoreJournal::new(MemoryStore::default());
/// let bot = Bot::new(Router::new().command("!ping", async || "pong")).transport(Sandbox::default()).with_journal(journal);
/// # drop(bot);
/// # }
/// ```
pub struct StoreJournal {
    orders: mpsc::Sender<Order>,
    durability: Durability,
    is_kept: bool,
    is_shared: bool,
    task: JoinHandle<()>,
}

/// What the task is asked for. Each answer goes to one waiter, who may be gone; one that is refused or left behind hears of
/// that by the end of its channel.
enum Order {
    Recover(oneshot::Sender<Result<Recovered>>),
    Write(Vec<Entry>, oneshot::Sender<Result<Written>>),
    Close,
}

impl StoreJournal {
    /// Owns the store from now on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new<S: Store>(store: S) -> Self {
        let (durability, is_kept, is_shared) = (store.durability(), store.is_kept(), store.is_shared());
        let (orders, received) = mpsc::channel(WAITING);
        let task = tokio::spawn(run(Record::new(store), received));
        Self { orders, durability, is_kept, is_shared, task }
    }

    fn order(&self, order: Order) {
        // What is refused is dropped, and with it the waiter's other end: that is the answer.
        let _refused = self.orders.try_send(order);
    }
}

/// Carries out one order after another.
async fn run<S: Store>(mut record: Record<S>, mut orders: mpsc::Receiver<Order>) {
    let mut is_tidy = false;
    loop {
        let order = if is_tidy { Ok(orders.recv().await) } else { timeout(IDLE, orders.recv()).await };
        match order {
            Ok(Some(Order::Recover(answer))) => drop(answer.send(record.start().await)),
            Ok(Some(Order::Write(batch, answer))) => {
                drop(answer.send(record.append(batch).await));
                record.store_mut().settle();
                is_tidy = false;
            }
            Ok(Some(Order::Close)) => return record.into_store().close().await,
            // It was dropped, as at the end of a process.
            Ok(None) => return,
            Err(_) => is_tidy = !record.store_mut().tidy(),
        }
    }
}

impl fmt::Debug for StoreJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreJournal").field("durability", &self.durability).finish_non_exhaustive()
    }
}

impl Journal for StoreJournal {
    type Writing = Writing;

    fn is_kept(&self) -> bool {
        self.is_kept
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn durability(&self) -> Durability {
        self.durability.clone()
    }

    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        recover_whole(self)
    }

    fn recover_in_pages(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        let (waiter, answer) = oneshot::channel();
        self.order(Order::Recover(waiter));
        async { answer.await.unwrap_or_else(|_| Err(gone())) }
    }

    fn write(&mut self, batch: Vec<Entry>) -> Writing {
        let (waiter, answer) = oneshot::channel();
        self.order(Order::Write(batch, waiter));
        Writing(answer)
    }

    async fn close(self) {
        if self.orders.send(Order::Close).await.is_ok() {
            // A task that panicked has nothing more to put in order.
            let _ended = self.task.await;
        }
    }
}

/// A batch on its way to the owner of the record.
#[derive(Debug)]
#[must_use = "whether the batch is written shows only here"]
pub struct Writing(pub(super) oneshot::Receiver<Result<Written>>);

impl Future for Writing {
    type Output = Result<Written>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(answer.unwrap_or_else(|_| Err(gone())))
    }
}

pub(super) fn gone() -> Error {
    Error::new("what owns the journal has ended, or too many batches wait for it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::memory::MemoryStore;
    use crate::journal::{Acceptance, Answer, EventEntry};
    use crate::{Conversation, Event, Message, Sender};

    fn accept(id: &str) -> Entry {
        let message = Message::text(id, "hello");
        let event = Event::new(id, Conversation::direct("alice"), Sender::new("alice"), message);
        Entry::Accept { event, now_ms: 1, begins: false }
    }

    async fn accepted(journal: &mut StoreJournal, id: &str) -> Acceptance {
        match journal.write(vec![accept(id)]).await.unwrap().into_answers()[..] {
            [Answer::Accepted(acceptance)] => acceptance,
            ref other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_of_ones_own_keeps_what_a_bot_accepts() {
        let store = MemoryStore::default();
        let mut journal = StoreJournal::new(store.clone());
        assert!(journal.recover().await.unwrap().events.is_empty());
        assert_eq!(accepted(&mut journal, "a").await, Acceptance::New(1));
        assert_eq!(accepted(&mut journal, "a").await, Acceptance::Duplicate);
        journal.close().await;
        let mut journal = StoreJournal::new(store);
        let left = journal.recover().await.unwrap();
        assert_eq!(left.events.iter().map(|event| event.event.id()).collect::<Vec<_>>(), ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_has_lost_the_store_is_told_so_and_writes_nothing() {
        let store = MemoryStore::default();
        let mut first = StoreJournal::new(store.clone());
        first.recover().await.unwrap();
        accepted(&mut first, "a").await;
        let mut second = StoreJournal::new(store);
        assert_eq!(second.recover().await.unwrap().events.len(), 1);
        let done = first.write(vec![Entry::Event(1, EventEntry::Done)]).await;
        assert!(done.unwrap_err().to_string().contains("another process owns the record"));
        assert_eq!(second.recover().await.unwrap().events.len(), 1, "nothing of it was written");
    }
}
