//! What the promises are tried with.

use std::borrow::Cow;

use bytes::Bytes;

use crate::event::{Conversation, Event, Message, Sender};
use crate::journal::Reason;
use crate::journal::store::{
    Batch, Body, Change, Death, EventId, EventStage, EventState, Intake, Key, Mark, NewRow, ReplyId,
    ReplyStage, ReplyState, Row, Scope, Sync,
};
use crate::reply::{File, Outbound, Reply, SendKey};

/// Whose conversation it is unless something else is said.
pub(super) const ALICE: &str = "alice";

/// A new event.
pub(super) const READY: EventState =
    EventState { stage: EventStage::Ready, attempts: 0, crashes: 0, has_begun: false, due_ms: 0 };

/// A new reply.
pub(super) const PENDING: ReplyState =
    ReplyState { stage: ReplyStage::Pending, attempts: 0, due_ms: 0, has_files: false };

/// The fact that a reply was sent.
pub(super) const SENT: ReplyState = ReplyState { stage: ReplyStage::Sent, ..PENDING };
pub(super) const DECIDED: ReplyState = ReplyState { stage: ReplyStage::Decided, ..PENDING };

/// Nothing, as durable as can be.
pub(super) fn batch<'a>() -> Batch<'a> {
    Batch { cursors: Vec::new(), intake: Vec::new(), work: Vec::new(), now_ms: None, sync: Sync::Full }
}

pub(super) fn event(id: &str, conversation: &str) -> Event {
    let words = format!("what {id} says");
    Event::new(id, Conversation::direct(conversation), Sender::new(conversation), Message::text(id, words))
}

pub(super) fn arrival<'a>(event: &'a Event, dedupe: Option<&'a str>) -> Intake<'a> {
    let body = Body::Event(Cow::Borrowed(event));
    let row = NewRow::Event { body, state: READY, steps: Vec::new(), replies: Vec::new() };
    let dedupe = dedupe.map(Cow::Borrowed);
    Intake { conversation: Cow::Borrowed(event.conversation().key()), dedupe, row }
}

pub(super) fn outbound(text: &str, files: &[(&str, &[u8])]) -> Outbound {
    let file = |(name, bytes): &(&str, &[u8])| File::new(*name, "text/plain", Bytes::copy_from_slice(bytes));
    let reply = files.iter().map(file).fold(Reply::text(text), |reply, one| reply.with_file(one));
    let action = reply.actions().first().cloned().expect("a text is an action");
    Outbound::new(Conversation::direct(ALICE), action, SendKey { sequence: 0, index: 0 })
}

/// A dead reply that comes again.
pub(super) fn resent<'a>(outbound: &'a Outbound, command: &'a str, dedupe: Option<&'a str>) -> Intake<'a> {
    resent_with(outbound, &[], command, dedupe)
}

/// A reply that comes by itself, and what follows it.
pub(super) fn resent_with<'a>(
    outbound: &'a Outbound,
    more: &'a [Outbound],
    command: &'a str,
    dedupe: Option<&'a str>,
) -> Intake<'a> {
    let state =
        |outbound: &Outbound| ReplyState { has_files: !outbound.action.files().is_empty(), ..PENDING };
    let rows = more.iter().map(|one| (Body::Reply(one), state(one))).collect();
    row_of(outbound, rows, command, dedupe, state(outbound))
}

pub(super) fn resent_as<'a>(
    outbound: &'a Outbound,
    command: &'a str,
    dedupe: Option<&'a str>,
    state: ReplyState,
) -> Intake<'a> {
    row_of(outbound, Vec::new(), command, dedupe, state)
}

fn row_of<'a>(
    outbound: &'a Outbound,
    more: Vec<(Body<'a>, ReplyState)>,
    command: &'a str,
    dedupe: Option<&'a str>,
    state: ReplyState,
) -> Intake<'a> {
    let (body, command) = (Body::Reply(outbound), Cow::Borrowed(command));
    let row = NewRow::Reply { body, state, command, more };
    let dedupe = dedupe.map(Cow::Borrowed);
    Intake { conversation: Cow::Borrowed(outbound.conversation.key()), dedupe, row }
}

/// A job of Alice's.
pub(super) fn job<'a>(name: &'a str, due_ms: u64, body: &'a Bytes) -> Intake<'a> {
    job_of(ALICE, name, due_ms, body)
}

pub(super) fn job_of<'a>(conversation: &'a str, name: &'a str, due_ms: u64, body: &'a Bytes) -> Intake<'a> {
    let row = NewRow::Job { name, due_ms, body, keeps_due: false };
    Intake { conversation: Cow::Borrowed(conversation), dedupe: None, row }
}

pub(super) fn command<'a>(body: &'static str) -> Intake<'a> {
    let row = NewRow::Command(Bytes::from_static(body.as_bytes()));
    Intake { conversation: Cow::Borrowed(""), dedupe: None, row }
}

/// A reply that waits to be sent, or is sent, by the command `!pong`.
pub(super) fn put(id: ReplyId, state: ReplyState, outbound: &Outbound) -> Change<'_> {
    let (body, conversation) = (Body::Reply(outbound), outbound.conversation.key());
    let state = ReplyState { has_files: !outbound.action.files().is_empty(), ..state };
    Change::Put(Row::Reply { id, state, conversation, command: "!pong", sent_id: None, body })
}

pub(super) fn value<'a>(scope: Scope<'a>, name: &'a str, value: &'a Bytes) -> Change<'a> {
    Change::Put(Row::Value(scope, name, value))
}

/// Why something was given up.
pub(super) fn died<'a>(reason: Reason, command: &'a str, at_ms: u64) -> Death<'a> {
    Death { reason, error: Cow::Borrowed("no"), command: Cow::Borrowed(command), at_ms }
}

/// An event is given up.
pub(super) fn dead_letter<'a>(id: EventId, death: Death<'a>) -> Change<'a> {
    let stage = if death.reason == Reason::Parked { EventStage::Parked } else { EventStage::Dead };
    Change::Mark(Mark::Event(id, EventState { stage, attempts: 1, ..READY }, Some(death)))
}

/// A reply without files is given up.
pub(super) fn dead_letter_reply<'a>(id: ReplyId, death: Death<'a>) -> Change<'a> {
    let state = ReplyState { stage: ReplyStage::Dead, attempts: 2, ..PENDING };
    Change::Mark(Mark::Reply(id, state, Some(death)))
}

/// A reply goes, and its files with it.
pub(super) fn drop_reply<'a>(id: ReplyId) -> [Change<'a>; 2] {
    [Change::Delete(Key::Reply(id)), Change::Delete(Key::Files(id))]
}
