//! The wire thread's loop: it carries out what the engine says on the network, and tells the driver how that went.
//!
//! It runs no author's code, waits for no disk, and holds the engine's lock for a moment when somebody asks how the bot is.

mod answering;
mod deferring;
mod downloads;
mod ending;
mod notices;
mod turn;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::Executor;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::deferring::Deferring;
use self::downloads::Downloads;
use self::ending::Cut;
use self::notices::Notices;
use super::core::Shared;
use super::foreign;
use super::link::{Link, ToDriver};
use crate::command::CommandSpec;
use crate::engine::Download;
use crate::error::Result;
use crate::guarantee::Guarantees;
use crate::route::App;
use crate::status::Question;
use crate::transport::{AnyTransport, Backlog, Due};

/// A transport that receives; it ends when the transport gives up.
pub(super) type Receiving = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The channels that end at the wire.
pub(super) struct Ends {
    pub(super) questions: mpsc::Receiver<Question>,
    /// One message for each request to stop: the first drains, the second ends at once.
    pub(super) stops: mpsc::Receiver<()>,
    pub(super) downloads: mpsc::UnboundedReceiver<Download>,
    /// Answers that the network wants in time. Bounded by the events that are handed over.
    pub(super) due: mpsc::UnboundedReceiver<Due>,
}

/// A running bot, as far as the network sees it.
pub(super) struct Wire {
    pub(super) transport: AnyTransport,
    pub(super) link: Link,
    pub(super) core: Shared,
    pub(super) backlog: Arc<Backlog>,
    pub(super) executor: Executor,
    pub(super) guarantees: Guarantees,
    /// Whether the journal outlives the process.
    pub(super) is_kept: bool,
    /// How long a stop may take.
    pub(super) drain: Duration,
    /// The transport, as it receives. Dropped when the bot stops receiving; the transport then lets its connection go.
    pub(super) receiving: Option<Receiving>,
    /// What is under way beside replies.
    pub(super) beside: Beside,
}

/// What is under way on the network beside replies.
pub(super) struct Beside {
    notices: Notices,
    downloads: Downloads,
    deferring: Deferring,
    began: Instant,
    is_draining: bool,
    /// What was cut short at the end.
    cut: Cut,
}

impl Beside {
    pub(super) fn new(specs: &[CommandSpec]) -> Self {
        let (notices, downloads, deferring) = (Notices::default(), Downloads::new(), Deferring::new(specs));
        Self { notices, downloads, deferring, began: Instant::now(), is_draining: false, cut: Cut::default() }
    }
}

impl Wire {
    /// Runs until told to stop and drained, or until the drain's deadline. The journal has a little more, see `finish`.
    ///
    /// # Errors
    ///
    /// When the journal fails, when the transport gives up, or when what was left at the end is lost or has to be repeated.
    pub(super) async fn run(mut self, app: App, mut ends: Ends) -> Result<()> {
        let turned = self.turn(&mut ends);
        let ended = match foreign::caught("the wire itself", turned).await {
            Ok(end) => self.finish(end, ends).await,
            // The journal itself has failed: there is nothing to give back to it.
            Err(error) => {
                self.failed().await;
                Err(error)
            }
        };
        foreign::drop_caught(app);
        ended
    }

    fn tell(&self, what: ToDriver) {
        self.link.tell(what);
    }
}
