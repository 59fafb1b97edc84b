//! What a start makes of what an earlier run left.

use std::borrow::Cow;

use super::known::{Changes, Known, given_back};
use crate::event::Event;
use crate::journal::given_up::Reason;
use crate::journal::id::EventId;
use crate::journal::left::{CompletedEffect, PendingEvent, PendingReply};
use crate::journal::row::{Death, EventRow, EventStage, EventState, Parts, ReplyRow, ReplyStage};

/// What an earlier run left of an event.
#[derive(Debug)]
pub(in crate::journal) struct Recovered {
    pub(in crate::journal) event: Option<PendingEvent>,
    pub(in crate::journal) replies: Vec<PendingReply>,
    pub(in crate::journal) known: Known,
}

/// Takes up what an earlier run left: counts a crash against what was running, and makes a dead letter of what cannot be read.
/// A dead event that has nothing to send is not taken up.
pub(in crate::journal) fn recover(parts: Parts, now_ms: u64, out: &mut Changes<'static>) -> Recovered {
    let mut known = Known::from(&parts);
    let facts = facts(&parts);
    let replies = parts.replies.into_iter().filter(|reply| reply.state.stage.is_unsent());
    let replies = replies.filter_map(|reply| {
        let id = reply.id;
        match pending_reply(reply) {
            Ok(reply) => Some(reply),
            Err(command) => {
                tracing::error!(sequence = %id.event, command, "a reply in the journal cannot be read: it is a dead letter now");
                known.give_up_reply(id, unreadable(command, now_ms), out);
                None
            }
        }
    });
    let replies = replies.collect();
    let event = parts.event.and_then(|row| take_up(row, &mut known, facts, now_ms, out));
    Recovered { event, replies, known }
}

fn take_up(
    row: EventRow,
    known: &mut Known,
    facts: Vec<CompletedEffect>,
    now_ms: u64,
    out: &mut Changes<'static>,
) -> Option<PendingEvent> {
    let EventRow { id, state, body } = row;
    if state.stage == EventStage::Dead {
        return None;
    }
    let Some(event) = body.into_event() else {
        tracing::error!(sequence = %id, "an event in the journal cannot be read: it is a dead letter now");
        known.give_up(id, unreadable(String::new(), now_ms), out);
        return None;
    };
    let state = match state.stage {
        EventStage::Running => EventState { stage: EventStage::Ready, crashes: state.crashes + 1, ..state },
        EventStage::Suspended => given_back(state),
        _ => state,
    };
    known.stands(id, state, out);
    Some(pending_event(id, event, state, facts))
}

fn unreadable(command: String, at_ms: u64) -> Death<'static> {
    let error = Cow::Borrowed("the record cannot be read: another version has written it, or it is damaged");
    Death { reason: Reason::Unreadable, error, command: Cow::Owned(command), at_ms }
}

/// What earlier attempts of an event left: steps by name, then replies by number.
pub(super) fn facts(parts: &Parts) -> Vec<CompletedEffect> {
    let steps = parts
        .steps
        .iter()
        .map(|(name, value)| CompletedEffect::Step { name: name.clone(), value: value.clone() });
    let replies = parts.replies.iter().filter_map(|reply| {
        let index = reply.id.index;
        match reply.state.stage {
            ReplyStage::Sent => Some(CompletedEffect::Sent { index, id: reply.sent_id.clone() }),
            ReplyStage::Dead | ReplyStage::Decided => Some(CompletedEffect::DeadLettered { index }),
            ReplyStage::Pending | ReplyStage::Sending => None,
        }
    });
    steps.chain(replies).collect()
}

pub(super) fn pending_event(
    id: EventId,
    event: Event,
    state: EventState,
    facts: Vec<CompletedEffect>,
) -> PendingEvent {
    PendingEvent {
        sequence: id.bits(),
        event,
        attempts: state.attempts,
        crashes: state.crashes,
        has_begun: state.has_begun,
        due_ms: state.due_ms,
        is_parked: state.stage == EventStage::Parked,
        facts,
    }
}

/// The error is the command of one that cannot be read.
fn pending_reply(row: ReplyRow) -> Result<PendingReply, String> {
    let ReplyRow { id, state, command, body, .. } = row;
    let Some(outbound) = body.into_reply(id) else { return Err(command) };
    let is_unknown = state.stage == ReplyStage::Sending;
    Ok(PendingReply { outbound, command, is_unknown, attempts: state.attempts, due_ms: state.due_ms })
}
