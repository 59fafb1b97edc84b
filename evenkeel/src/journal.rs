//! The record of events and replies: what was accepted is answered or accounted for.

pub mod memory;

use std::future::Future;

use crate::error::Result;
use crate::event::Event;
use crate::transport::{Acceptance, Outbound, SendKey};

/// A record of what was accepted, what was promised, and what was kept.
///
/// `serve` hands it one [`Batch`] at a time and collects the next while it is being written, so that a journal
/// that syncs to disk commits in groups without knowing it.
pub trait Journal: Send + 'static {
    /// A batch being written. Dropping it leaves open whether it was.
    type Writing: Future<Output = Result<Written>> + Send + 'static;

    /// What an earlier run left unfinished, in order. Called once, before anything else.
    ///
    /// # Errors
    ///
    /// When the record cannot be read; the bot does not start.
    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send;

    /// Writes a batch in one transaction and hands it back with what became of its events.
    ///
    /// # Errors
    ///
    /// When nothing of the batch is certain to be kept; the bot accepts nothing more.
    fn write(&mut self, batch: Batch) -> Self::Writing;
}

/// What is written together.
#[derive(Debug, Default)]
pub struct Batch {
    /// New events, in order of arrival.
    pub events: Vec<Event>,
    /// Events that are done, with the replies that they promised.
    pub commits: Vec<Commit>,
    /// Replies whose fate is known; losing one of these costs no message.
    pub confirms: Vec<SendKey>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.commits.is_empty() && self.confirms.is_empty()
    }
}

/// An event that is done.
#[derive(Debug)]
pub struct Commit {
    /// The event's number.
    pub sequence: u64,
    /// What it promised; the outbox may send it once the commit is written.
    pub outbound: Vec<Outbound>,
}

/// A batch that was written.
#[derive(Debug)]
pub struct Written {
    /// The batch, handed back so that nothing needs copying.
    pub batch: Batch,
    /// For each of its events, whether it is new.
    pub acceptances: Vec<Acceptance>,
}

/// What an earlier run left unfinished.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Events that were accepted and not done, with their numbers.
    pub events: Vec<(u64, Event)>,
    /// Replies that were promised and not sent.
    pub outbound: Vec<Outbound>,
}
