//! What another chance means for a dead letter.

use std::borrow::Cow;

use super::known::{Changes, Known, SENT};
use super::recover::{facts, pending_event};
use crate::event::Event;
use crate::journal::body::Body;
use crate::journal::id::{EventId, ReplyId};
use crate::journal::left::{CompletedEffect, PendingEvent, PendingReply};
use crate::journal::row::{EventRow, EventStage, EventState, NewRow, Parts, ReplyStage, ReplyState};
use crate::reply::Outbound;

/// What is done with a dead event that gets another chance.
#[derive(Debug)]
pub(in crate::journal) enum Revived {
    /// It keeps its number and its place.
    Unparked,
    /// It comes again at the end of its lane, under a new number. These dead replies of its went with it: its handler runs
    /// again, and has them to send itself.
    Anew { event: Box<Anew>, replies: Vec<u32> },
}

/// An event that comes again, and what goes into the store for it.
#[derive(Debug)]
pub(in crate::journal) struct Anew {
    pub(in crate::journal) event: Event,
    state: EventState,
    facts: Vec<CompletedEffect>,
}

impl Anew {
    pub(in crate::journal) fn row(&self) -> NewRow<'_> {
        let (body, state) = (Body::Event(Cow::Borrowed(&self.event)), self.state);
        let (mut steps, mut replies) = (Vec::new(), Vec::new());
        for fact in &self.facts {
            match fact {
                CompletedEffect::Step { name, value } => steps.push((name.clone(), value.clone())),
                CompletedEffect::Sent { index, id } => replies.push((*index, SENT, id.clone())),
                // Left out when it was revived.
                CompletedEffect::DeadLettered { .. } => {}
            }
        }
        NewRow::Event { body, state, steps, replies }
    }

    /// Once it has its number.
    pub(in crate::journal) fn pending(self, id: EventId) -> (PendingEvent, Known) {
        let known = Known::again(self.state, &self.facts);
        (pending_event(id, self.event, self.state, self.facts), known)
    }
}

/// Gives a dead event another chance; `None` where it is not dead or cannot be read, and stays as it is.
pub(in crate::journal) fn revive(
    known: &mut Known,
    parts: Parts,
    id: EventId,
    out: &mut Changes<'_>,
) -> Option<Revived> {
    let facts = facts(&parts)
        .into_iter()
        .filter(|fact| !matches!(fact, CompletedEffect::DeadLettered { .. }))
        .collect();
    let EventRow { state, body, .. } = parts.event.filter(|event| event.state.stage.is_dead())?;
    let event = body.into_event()?;
    let fresh = EventState { stage: EventStage::Ready, attempts: 0, crashes: 0, due_ms: 0, ..state };
    if state.stage == EventStage::Parked {
        known.stands(id, fresh, out);
        return Some(Revived::Unparked);
    }
    let replies = known.dead_replies();
    known.finish_with_the_dead(id, out);
    Some(Revived::Anew { event: Box::new(Anew { event, state: fresh, facts }), replies })
}

/// A dead reply that comes again under a new number.
#[derive(Debug)]
pub(in crate::journal) struct Resent {
    outbound: Outbound,
    state: ReplyState,
    command: String,
}

impl Resent {
    pub(in crate::journal) fn row(&self) -> NewRow<'_> {
        let (body, command) = (Body::Reply(&self.outbound), Cow::Borrowed(&*self.command));
        NewRow::Reply { body, state: self.state, command, more: Vec::new() }
    }

    pub(in crate::journal) fn conversation(&self) -> &str {
        self.outbound.conversation.key()
    }

    /// Once it has its number.
    pub(in crate::journal) fn pending(mut self, event: EventId) -> (PendingReply, Known) {
        let id = ReplyId { event, index: 0 };
        self.outbound.key = id.into();
        let known = Known::of_replies([self.state]);
        let (outbound, command) = (self.outbound, self.command);
        (PendingReply { outbound, command, is_unknown: false, attempts: 0, due_ms: 0 }, known)
    }
}

/// Gives a dead reply another chance; `None` where it is not dead or cannot be read, and stays as it is.
pub(in crate::journal) fn resend(
    known: &mut Known,
    parts: Parts,
    id: ReplyId,
    out: &mut Changes<'_>,
) -> Option<Resent> {
    // It may have gone with its event a moment ago.
    if !known.is_dead_reply(id.index) {
        return None;
    }
    let row = parts.replies.into_iter().find(|reply| reply.id == id)?;
    let state = ReplyState { stage: ReplyStage::Pending, attempts: 0, due_ms: 0, ..row.state };
    let outbound = row.body.into_reply(id)?;
    known.take_dead_reply(id, out);
    Some(Resent { outbound, state, command: row.command })
}
