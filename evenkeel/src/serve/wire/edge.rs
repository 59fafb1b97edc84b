//! One network, as the wire has it: what is under way there beside replies, and how it fares.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio::time::Instant;

use super::deferring::{Deferring, Rung};
use super::downloads::Downloads;
use super::notices::Notices;
use crate::command::CommandSpec;
use crate::error::Result;
use crate::guarantee::Guarantees;
use crate::serve::receiving::Receiving;
use crate::serve::wait::{at, polled};
use crate::status::NetworkState;
use crate::transport::{AnyTransport, Backlog, SendError, Sent};

/// See the module.
pub(in crate::serve) struct Edge {
    /// Its name in the record: empty for the primary one.
    pub(in crate::serve) key: Arc<str>,
    /// What the bot calls it.
    pub(in crate::serve) name: Arc<str>,
    pub(in crate::serve) transport: AnyTransport,
    pub(in crate::serve) backlog: Arc<Backlog>,
    pub(in crate::serve) guarantees: Guarantees,
    /// Whether the bot ends with it.
    pub(in crate::serve) is_essential: bool,
    pub(in crate::serve) state: NetworkState,
    /// The transport, as it receives. Dropped when the bot stops receiving; the transport then lets its connection go.
    pub(in crate::serve) receiving: Option<Receiving>,
    pub(in crate::serve) beside: Beside,
}

/// What is under way on a network beside replies.
pub(in crate::serve) struct Beside {
    pub(super) notices: Notices,
    pub(super) downloads: Downloads,
    pub(super) deferring: Deferring,
    began: Instant,
}

/// What has happened on a network.
pub(super) enum Happened {
    Rung(Rung),
    Notified(Option<std::result::Result<Sent, SendError>>),
    Downloaded(u64),
    Received(Result<()>),
    /// A slot for a download may be free.
    Ticked,
}

impl Beside {
    pub(in crate::serve) fn new(specs: &[CommandSpec]) -> Self {
        let (notices, downloads, deferring) = (Notices::default(), Downloads::new(), Deferring::new(specs));
        Self { notices, downloads, deferring, began: Instant::now() }
    }
}

impl Edge {
    /// Begins with downloads that have their turn.
    pub(super) fn advance_downloads(&mut self) {
        self.beside.downloads.advance(&self.transport, self.beside.began.elapsed());
    }

    /// How long it has been there.
    pub(super) fn elapsed(&self) -> Duration {
        self.beside.began.elapsed()
    }

    /// Waits for the next thing to happen here, for ever if nothing is to come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is under way stays here.
    async fn next(&mut self) -> Happened {
        let Beside { notices, downloads, deferring, began } = &mut self.beside;
        // A moment that no clock can name never comes.
        let alarm = downloads.next_look().and_then(|elapsed| began.checked_add(elapsed));
        tokio::select! {
            biased;
            rung = deferring.next(), if !deferring.is_quiet() => Happened::Rung(rung),
            ended = notices.next() => Happened::Notified(ended),
            slot = downloads.next() => Happened::Downloaded(slot),
            received = polled(&mut self.receiving) => Happened::Received(received),
            () = at(alarm) => Happened::Ticked,
        }
    }
}

/// The networks of a bot. They are few: each is found by looking at all.
pub(in crate::serve) struct Edges {
    all: Vec<Edge>,
    /// Which of several is looked at first.
    turn: usize,
}

impl Edges {
    pub(in crate::serve) fn new(edges: Vec<Edge>) -> Self {
        Self { all: edges, turn: 0 }
    }

    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Edge> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Edge> {
        self.all.iter_mut()
    }

    /// The network of this name in the record.
    pub(super) fn of(&mut self, key: &str) -> Option<&mut Edge> {
        self.all.iter_mut().find(|edge| *edge.key == *key)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Edge> {
        self.all.get_mut(index)
    }

    /// Whether any of them receives.
    pub(super) fn is_receiving(&self) -> bool {
        self.all.iter().any(|edge| edge.receiving.is_some())
    }

    /// All of them stop receiving.
    pub(super) fn stop_receiving(&mut self) {
        self.all.iter_mut().for_each(|edge| edge.receiving = None);
    }

    /// Waits for the next thing to happen on one of them.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is under way stays there.
    pub(super) async fn next(&mut self) -> (usize, Happened) {
        match &mut *self.all {
            [only] => (0, only.next().await),
            several => {
                let count = several.len();
                self.turn = if self.turn + 1 < count { self.turn + 1 } else { 0 };
                let (later, first) = several.split_at_mut(self.turn);
                let all = first.iter_mut().chain(later).map(|edge| edge.next().boxed());
                let (happened, place, _) = select_all(all).await;
                ((place + self.turn) % count, happened)
            }
        }
    }
}
