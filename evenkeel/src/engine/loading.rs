//! What an earlier run left, as it comes from the journal page by page.
//!
//! While there may be more of it, nothing that is new begins: something older may be about to come that goes before it.

use std::fmt;

use super::batch::Continuation;
use super::effects::Effects;
use crate::event::Event;
use crate::journal::{Entry, PendingReply, Query};

/// The first page has this many events, so that work begins soon, or fewer where they are large.
const EVENTS: usize = 512;
const BYTES: usize = 1 << 20;
/// Each page is twice as large as the one before, so often: what is new waits for the last one, and what is written together with a
/// page waits until that is read.
const DOUBLINGS: u32 = 3;

/// Names what handles an event.
pub(crate) type NameCommand = Box<dyn Fn(&Event) -> String + Send>;

/// See the module.
#[derive(Default)]
pub(super) struct Loading {
    stage: Stage,
    /// How many pages were asked for.
    pages: u32,
    /// Held until all is here.
    name_command: Option<NameCommand>,
    held: Deferred,
    /// Events and replies that came so far.
    events: usize,
    replies: usize,
}

/// What the operator replayed, and waits for what goes before it: replies, and parked events, of whose own replies nothing may be
/// known yet.
type Deferred = (Vec<PendingReply>, Vec<u64>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// All is here.
    #[default]
    Over,
    /// There may be more.
    Open,
    /// The journal has been asked for the next page.
    Asked,
}

impl Loading {
    pub(super) fn begin(&mut self, name_command: NameCommand) {
        (self.stage, self.name_command) = (Stage::Open, Some(name_command));
    }

    /// Whether all that an earlier run left is here.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Asks the journal for the next page, if there may be one and there is room for this many bytes.
    pub(super) fn ask(&mut self, room_bytes: usize, effects: &mut Effects) {
        if self.stage == Stage::Open && room_bytes > 0 {
            let factor = 1 << self.pages.min(DOUBLINGS);
            (self.stage, self.pages) = (Stage::Asked, self.pages + 1);
            let (limit, limit_bytes) = (EVENTS * factor, room_bytes.min(BYTES * factor));
            effects.append_then(Entry::Query(Query::Load { limit, limit_bytes }), Continuation::Loaded);
        }
    }

    /// A page has come and is taken up. Answers what was held, where it was the last one.
    pub(super) fn taken_up(&mut self, events: usize, replies: usize, has_more: bool) -> Option<Deferred> {
        self.events += events;
        self.replies += replies;
        if has_more {
            self.stage = Stage::Open;
            return None;
        }
        let Self { events, replies, held, .. } = std::mem::take(self);
        if events + replies > 0 {
            tracing::info!(events, replies, "what an earlier run left is taken up");
        }
        Some(held)
    }

    /// What handles an event.
    pub(super) fn command(&self, event: &Event) -> String {
        self.name_command.as_ref().map_or_else(String::new, |name| name(event))
    }

    /// The operator has replayed these while there may be more.
    pub(super) fn hold(&mut self, replies: Vec<PendingReply>, unparked: Vec<u64>) {
        self.held.0.extend(replies);
        self.held.1.extend(unparked);
    }

    /// Replies that are held.
    pub(super) fn replies_held(&self) -> usize {
        self.held.0.len()
    }
}

impl fmt::Debug for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loading")
            .field("stage", &self.stage)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
