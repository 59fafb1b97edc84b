//! What the wire and the driver tell each other, and where the driver runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Delivery, Ended};
use crate::error::{Error, Result};
use crate::event::{Conversation, ReplyToken};
use crate::journal::Interrupt;
use crate::transport::{SendError, Sent};

/// What the wire tells the driver. Bounded by the sends under way, and by who asks.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all that is told is the end of a send, and a box for each costs more"
)]
pub(super) enum ToDriver {
    /// Something that was to be sent has ended one way or the other.
    Sent(SendEnd),
    /// From now on something can be sent on the network of this name in the record.
    Opened(Arc<str>),
    /// Somebody waits until there is nothing to do.
    Idle(oneshot::Sender<()>),
    /// The bot is to stop within this time: take nothing new up.
    Drain(Duration),
    /// The same, once all is taken up that the transport has handed over: it receives no more.
    Received(Duration),
    /// It is to end now, whatever runs.
    End,
    /// All that was to be sent has ended or was taken back, and nothing else is told: the answer to [`ToWire::Cut`].
    AllBack,
}

/// How something ended that was to be sent.
pub(super) enum SendEnd {
    Delivered(Delivery, std::result::Result<Sent, SendError>),
    /// A best-effort action has ended on the network of this name in the record, or was let go.
    Notified(Option<(Arc<str>, std::result::Result<Sent, SendError>)>),
    /// It certainly was not sent: the bot ends.
    TakenBack(Delivery),
}

/// What the driver tells the wire. Bounded by the sends that the network wants at once, and by the notices that handlers give.
pub(super) enum ToWire {
    Send(Delivery),
    Notify(Delivery),
    /// An event of this conversation has ended that has this.
    Ended(Conversation, ReplyToken, Ended),
    /// A hook at the start has failed: the bot is to stop.
    NotStarted(Error),
    /// What ran is cancelled, and nothing more is to be sent: the bot was told to end, or has nothing left to do.
    Cut,
    /// The journal has all that it has to know, and is closed now.
    Flushed,
}

/// The wire's end. Dropping it ends the driver, and waits until it is gone with its journal.
pub(super) struct Link {
    /// Goes before the place, which waits for the driver: it ends when this is gone.
    pub(super) to_driver: mpsc::UnboundedSender<ToDriver>,
    pub(super) from_driver: mpsc::UnboundedReceiver<ToWire>,
    pub(super) place: Driving,
}

/// The driver's end.
type DriverEnd = (mpsc::UnboundedSender<ToWire>, mpsc::UnboundedReceiver<ToDriver>);

/// Where the driver runs. As a future: its end.
pub(super) enum Driving {
    /// Where the wire is polled.
    Here(Pin<Box<dyn Future<Output = Result<()>> + Send>>),
    /// On a thread of its own.
    Thread(Thread),
    /// It has ended, and has said how.
    Ended,
}

pub(super) struct Thread {
    ended: oneshot::Receiver<Result<()>>,
    /// Makes the journal give up what it waits for.
    interrupt: Interrupt,
    handle: Option<JoinHandle<()>>,
}

/// Two ends of one link; where the driver runs is said later.
pub(super) fn link() -> (mpsc::UnboundedSender<ToDriver>, mpsc::UnboundedReceiver<ToWire>, DriverEnd) {
    let (to_driver, from_wire) = mpsc::unbounded_channel();
    let (to_wire, from_driver) = mpsc::unbounded_channel();
    (to_driver, from_driver, (to_wire, from_wire))
}

impl Link {
    pub(super) fn tell(&self, what: ToDriver) {
        // A driver that has ended has said why.
        let _told = self.to_driver.send(what);
    }
}

impl Driving {
    /// Where the wire is: for journals that never block, on a runtime of the author's.
    pub(super) fn here(driving: impl Future<Output = Result<()>> + Send + 'static) -> Self {
        Self::Here(Box::pin(driving))
    }

    /// On a thread with nothing else to do. It ends with the driver.
    pub(super) fn thread(
        driving: impl Future<Output = Result<()>> + Send + 'static,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Error::from(error).context("starting the runtime of the engine"))?;
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("evenkeel-engine".to_owned());
        let handle = thread.spawn(move || {
            // A wire that is gone does not ask how it went.
            let _heard = end.send(runtime.block_on(driving));
        });
        let handle =
            handle.map_err(|error| Error::from(error).context("starting the thread of the engine"))?;
        Ok(Self::Thread(Thread { ended, interrupt, handle: Some(handle) }))
    }
}

impl Future for Driving {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = match &mut *self {
            Self::Here(driving) => ready!(driving.as_mut().poll(cx)),
            Self::Thread(thread) => {
                let ended = ready!(thread.ended.poll_unpin(cx));
                ended.unwrap_or_else(|_| Err(Error::new("the engine's thread has ended")))
            }
            Self::Ended => Ok(()),
        };
        *self = Self::Ended;
        Poll::Ready(ended)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        (self.interrupt)();
        if let Some(handle) = self.handle.take() {
            // What it said at its end was heard, or nobody is there to hear it.
            let _ended = handle.join();
        }
    }
}
