//! The wire thread's loop: it carries out what the engine says on the networks, and tells the driver how that went.
//!
//! It runs no author's code, waits for no disk, and holds the engine's lock for a moment when somebody asks how the bot is.

mod answering;
mod deferring;
mod downloads;
mod notices;
mod edge;
mod ending;
mod turn;

use std::time::Duration;

use evenkeel_guard::Executor;
use tokio::sync::mpsc;

pub(super) use self::edge::{Beside, Edge, Edges};
use self::ending::Cut;
use super::core::Shared;
use super::foreign;
use super::link::{Link, ToDriver};
use super::receiving::Opened;
use crate::engine::Download;
use crate::error::Result;
use crate::route::App;
use crate::status::Question;
use crate::transport::Due;

/// The channels that end at the wire.
pub(super) struct Ends {
    pub(super) questions: mpsc::Receiver<Question>,
    /// One message for each request to stop: the first drains, the second ends at once.
    pub(super) stops: mpsc::Receiver<()>,
    pub(super) downloads: mpsc::UnboundedReceiver<Download>,
    /// Answers that the networks want in time. Bounded by the events that are handed over.
    pub(super) due: mpsc::UnboundedReceiver<Due>,
    /// Networks that were not open when the bot began. Bounded by the networks.
    pub(super) opened: mpsc::UnboundedReceiver<Opened>,
}

/// A running bot, as far as the networks see it.
pub(super) struct Wire {
    pub(super) edges: Edges,
    pub(super) link: Link,
    pub(super) core: Shared,
    pub(super) executor: Executor,
    /// Whether the journal outlives the process.
    pub(super) is_kept: bool,
    /// How long a stop may take.
    pub(super) drain: Duration,
    pub(super) stopping: Stopping,
}

/// How far a stop has come.
#[derive(Default)]
pub(super) struct Stopping {
    is_draining: bool,
    /// What was cut short at the end.
    cut: Cut,
}

impl Wire {
    /// Runs until told to stop and drained, or until the drain's deadline. The journal has a little more, see `finish`.
    ///
    /// # Errors
    ///
    /// When the journal fails, when a transport gives up without which the bot does not go on, or when what was left at the end is lost
    /// or has to be repeated.
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
