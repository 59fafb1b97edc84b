//! How batches get to the writer's thread and answers back: the protocol of the journal, without the journal.
//!
//! Whoever waits holds one end of a oneshot whose other end goes where the batch goes, so that it hears of it wherever the
//! batch is lost: refused by a full queue, or left in one whose writer has ended. `tests/loom.rs` runs every
//! interleaving of this file.

use std::io;
use std::time::Duration;

use super::sync::Arc;
use super::sync::atomic::{AtomicBool, Ordering};
use super::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use super::sync::oneshot;
use super::sync::thread::{Builder, JoinHandle};

/// After so long without a batch the writer tidies up a little.
const IDLE: Duration = Duration::from_millis(20);

/// What the writer's thread does.
pub(super) trait Work: Send + 'static {
    /// What is handed over,
    type Batch: Send;
    /// and what is said of it.
    type Written: Send;
    /// What an earlier run left.
    type Recovered: Send;

    fn recover(&mut self) -> Self::Recovered;

    fn write(&mut self, batch: Self::Batch) -> Self::Written;

    /// Does what has to follow a batch, once whoever waited for it has been told.
    fn settle(&mut self);

    /// Does a little of what can wait; whether there is more of it.
    fn tidy(&mut self) -> bool;

    /// The last thing that is asked for, if the journal is closed and not only dropped.
    fn close(&mut self);
}

/// What the writer is asked to do. Each answer goes to one waiter, who may be gone.
enum Order<W: Work> {
    Recover(oneshot::Sender<W::Recovered>),
    Write(W::Batch, oneshot::Sender<W::Written>),
}

/// The owner's end. Dropping it waits until the writer has done what was handed over.
pub(super) struct Handover<W: Work> {
    /// `None` once nothing more comes: the writer ends when it has done the rest.
    orders: Option<SyncSender<Order<W>>>,
    /// `None` once somebody has it who waits for the end.
    closed: Option<oneshot::Receiver<()>>,
    /// Set before `orders` is let go of, and read by the writer after that.
    is_closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<W: Work> Handover<W> {
    /// Starts the writer's thread; so many orders may wait for it.
    pub(super) fn start(name: &str, places: usize, work: W) -> io::Result<Self> {
        let (orders, receiver) = sync_channel(places);
        let (ended, closed) = oneshot::channel();
        let is_closing = Arc::new(AtomicBool::new(false));
        let writer = Writer { work, orders: receiver, is_closing: Arc::clone(&is_closing), ended };
        let thread = Builder::new().name(name.to_owned()).spawn(|| writer.run())?;
        Ok(Self { orders: Some(orders), closed: Some(closed), is_closing, thread: Some(thread) })
    }

    /// Asks for what an earlier run left. The answer fails when the writer is gone or has too much to do.
    pub(super) fn recover(&self) -> oneshot::Receiver<W::Recovered> {
        let (waiter, answer) = oneshot::channel();
        self.order(Order::Recover(waiter));
        answer
    }

    /// Hands a batch over. The answer fails when the writer is gone or has too much to do, and then nobody has the batch.
    pub(super) fn write(&self, batch: W::Batch) -> oneshot::Receiver<W::Written> {
        let (waiter, answer) = oneshot::channel();
        self.order(Order::Write(batch, waiter));
        answer
    }

    /// Lets the writer do what was handed over, close and end. It is refused by no full queue.
    ///
    /// The answer comes after all before it; it fails when the writer ended without closing.
    pub(super) fn close(&mut self) -> Option<oneshot::Receiver<()>> {
        self.is_closing.store(true, Ordering::Release);
        self.orders = None;
        self.closed.take()
    }

    fn order(&self, order: Order<W>) {
        if let Some(orders) = &self.orders {
            // What is refused is dropped, and with it the waiter's other end: that is the answer.
            let _ = orders.try_send(order);
        }
    }
}

impl<W: Work> Drop for Handover<W> {
    fn drop(&mut self) {
        // Before the thread is waited for: it ends because of this.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

/// The thread's end. When it is dropped, by a panic too, so is whatever waits in `orders`, and each waiter hears of it.
struct Writer<W: Work> {
    work: W,
    orders: Receiver<Order<W>>,
    is_closing: Arc<AtomicBool>,
    ended: oneshot::Sender<()>,
}

impl<W: Work> Writer<W> {
    fn run(mut self) {
        let mut is_tidy = false;
        loop {
            let order = if is_tidy {
                self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.orders.recv_timeout(IDLE)
            };
            match order {
                Ok(Order::Recover(waiter)) => {
                    let recovered = self.work.recover();
                    let _ = waiter.send(recovered);
                }
                Ok(Order::Write(batch, waiter)) => {
                    let written = self.work.write(batch);
                    let _ = waiter.send(written);
                    self.work.settle();
                    is_tidy = false;
                }
                Err(RecvTimeoutError::Timeout) => is_tidy = !self.work.tidy(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.is_closing.load(Ordering::Acquire) {
            self.work.close();
            let _ = self.ended.send(());
        }
    }
}
