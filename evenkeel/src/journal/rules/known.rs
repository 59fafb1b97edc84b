//! What the owner of an event knows of it, and what each happening makes of that.

use bytes::Bytes;

use crate::event::MessageId;
use crate::journal::body::Body;
use crate::journal::given_up::Reason;
use crate::journal::id::{EventId, ReplyId};
use crate::journal::left::CompletedEffect;
use crate::journal::row::{
    Change, Death, EventStage, EventState, Key, Mark, Parts, ReplyStage, ReplyState, Row,
};
use crate::reply::Outbound;

/// What is known of an event without its body: how it and its replies stand, and which steps it has done.
#[derive(Debug, Clone, Default)]
pub(in crate::journal) struct Known {
    /// `None` when it is done, or was never there.
    event: Option<EventState>,
    /// By number.
    replies: Vec<(u32, ReplyState)>,
    /// By name.
    steps: Vec<String>,
}

/// The changes that follow, in order.
pub(in crate::journal) type Changes<'a> = Vec<Change<'a>>;

/// How a new event stands; where its handler starts as soon as it is kept, it runs.
pub(in crate::journal) fn accepted(begins: bool) -> EventState {
    let new = EventState { stage: EventStage::Ready, attempts: 0, crashes: 0, has_begun: false, due_ms: 0 };
    if begins { begun(new) } else { new }
}

/// How a new reply stands; where it is sent as soon as it is kept, it is being sent.
pub(in crate::journal) fn promised(outbound: &Outbound, begins: bool) -> ReplyState {
    let (stage, attempts) = if begins { (ReplyStage::Sending, 1) } else { (ReplyStage::Pending, 0) };
    ReplyState { stage, attempts, due_ms: 0, has_files: !outbound.action.files().is_empty() }
}

/// What was suspended goes on; anything else begins another attempt.
fn begun(state: EventState) -> EventState {
    let attempts = state.attempts + u32::from(state.stage != EventStage::Suspended);
    EventState { stage: EventStage::Running, attempts, has_begun: true, ..state }
}

/// The attempt was cut short through no fault of its own, and does not count.
pub(super) fn given_back(state: EventState) -> EventState {
    EventState { stage: EventStage::Ready, attempts: state.attempts.saturating_sub(1), ..state }
}

impl Known {
    /// A new event.
    pub(in crate::journal) fn new(event: EventState) -> Self {
        Self { event: Some(event), ..Self::default() }
    }

    /// Whether its owner has to know it: it is not done, or one of its replies is not sent. Of a dead event that is not
    /// parked, nothing follows but what the operator asks for.
    pub(in crate::journal) fn is_alive(&self) -> bool {
        self.event.is_some_and(|event| event.stage != EventStage::Dead)
            || self.replies.iter().any(|(_, reply)| reply.stage.is_unsent())
    }

    /// Whether its conversation waits for the operator.
    pub(in crate::journal) fn is_parked(&self) -> bool {
        self.event.is_some_and(|event| event.stage == EventStage::Parked)
    }

    /// One that comes again with these facts. Of its replies, only those that were sent come along.
    pub(super) fn again(event: EventState, facts: &[CompletedEffect]) -> Self {
        let mut known = Self::new(event);
        for fact in facts {
            match fact {
                CompletedEffect::Step { name, .. } => known.steps.push(name.clone()),
                CompletedEffect::Sent { index, .. } | CompletedEffect::DeadLettered { index } => {
                    known.replies.push((*index, SENT));
                }
            }
        }
        known
    }

    /// Replies without an event, from the first on.
    pub(in crate::journal) fn of_replies(states: impl IntoIterator<Item = ReplyState>) -> Self {
        Self { replies: (0..).zip(states).collect(), ..Self::default() }
    }

    /// The numbers of its dead replies.
    pub(super) fn dead_replies(&self) -> Vec<u32> {
        let dead = self.replies.iter().filter(|(_, reply)| reply.stage == ReplyStage::Dead);
        dead.map(|(index, _)| *index).collect()
    }

    pub(super) fn is_dead_reply(&self, index: u32) -> bool {
        self.dead_replies().contains(&index)
    }

    /// It stands otherwise from now on.
    pub(super) fn stands(&mut self, id: EventId, state: EventState, out: &mut Changes<'_>) {
        if self.event != Some(state) {
            self.event = Some(state);
            out.push(Change::Mark(Mark::Event(id, state, None)));
        }
    }

    /// Its dead replies go with it.
    pub(super) fn finish_with_the_dead(&mut self, id: EventId, out: &mut Changes<'_>) {
        self.finish(id, out);
        self.drop_replies(id, |stage| stage == ReplyStage::Dead, out);
    }

    pub(in crate::journal) fn begin(&mut self, id: EventId, out: &mut Changes<'_>) {
        self.mark_alive(id, begun, out);
    }

    pub(in crate::journal) fn suspend(&mut self, id: EventId, out: &mut Changes<'_>) {
        self.mark_alive(id, |state| EventState { stage: EventStage::Suspended, ..state }, out);
    }

    pub(in crate::journal) fn retry(&mut self, id: EventId, due_ms: u64, out: &mut Changes<'_>) {
        self.mark_alive(id, |state| EventState { stage: EventStage::Ready, due_ms, ..state }, out);
    }

    pub(in crate::journal) fn give_back(&mut self, id: EventId, out: &mut Changes<'_>) {
        self.mark_alive(id, given_back, out);
    }

    /// The event is done, or discarded. With it go its steps, and the facts of its replies; what is not sent stays, and so do
    /// dead letters.
    pub(in crate::journal) fn finish(&mut self, id: EventId, out: &mut Changes<'_>) {
        if self.event.take().is_none() {
            return;
        }
        out.push(Change::Delete(Key::Event(id)));
        self.drop_steps(id, out);
        self.drop_replies(id, ReplyStage::is_fact, out);
    }

    pub(in crate::journal) fn give_up<'a>(&mut self, id: EventId, death: Death<'a>, out: &mut Changes<'a>) {
        let Some(state) = &mut self.event else { return };
        state.stage = if death.reason == Reason::Parked { EventStage::Parked } else { EventStage::Dead };
        out.push(Change::Mark(Mark::Event(id, *state, Some(death))));
    }

    /// A step that has a result already keeps it.
    pub(in crate::journal) fn step<'a>(
        &mut self,
        id: EventId,
        name: &'a str,
        value: &'a Bytes,
        out: &mut Changes<'a>,
    ) {
        if self.event.is_none() {
            return;
        }
        if let Err(place) = self.steps.binary_search_by(|known| known.as_str().cmp(name)) {
            self.steps.insert(place, name.to_owned());
            out.push(Change::Put(Row::Step(id, name, value)));
        }
    }

    /// A reply that is known already is left as it is.
    pub(in crate::journal) fn promise<'a>(
        &mut self,
        outbound: &'a Outbound,
        command: &'a str,
        begins: bool,
        out: &mut Changes<'a>,
    ) {
        let id = ReplyId::from(outbound.key);
        match self.replies.binary_search_by_key(&id.index, |(index, _)| *index) {
            Ok(_) if begins => self.sending(id, out),
            Ok(_) => {}
            Err(place) => {
                let state = promised(outbound, begins);
                self.replies.insert(place, (id.index, state));
                let (body, conversation) = (Body::Reply(outbound), outbound.conversation.key());
                out.push(Change::Put(Row::Reply { id, state, conversation, command, sent_id: None, body }));
            }
        }
    }

    pub(in crate::journal) fn sending(&mut self, id: ReplyId, out: &mut Changes<'_>) {
        self.mark_unsent(
            id,
            |state| (state.stage, state.attempts) = (ReplyStage::Sending, state.attempts + 1),
            out,
        );
    }

    pub(in crate::journal) fn postpone(&mut self, id: ReplyId, due_ms: u64, out: &mut Changes<'_>) {
        self.mark_unsent(id, |state| (state.stage, state.due_ms) = (ReplyStage::Pending, due_ms), out);
    }

    /// While its event is not done, the fact is kept for another attempt.
    pub(in crate::journal) fn sent<'a>(
        &mut self,
        id: ReplyId,
        sent_id: Option<&'a MessageId>,
        out: &mut Changes<'a>,
    ) {
        if self.event.is_none() {
            return self.forget(id, out);
        }
        let Some(state) = self.reply(id.index) else { return };
        if std::mem::take(&mut state.has_files) {
            out.push(Change::Delete(Key::Files(id)));
        }
        state.stage = ReplyStage::Sent;
        out.push(Change::Put(bare(id, *state, sent_id)));
    }

    pub(in crate::journal) fn give_up_reply<'a>(
        &mut self,
        id: ReplyId,
        death: Death<'a>,
        out: &mut Changes<'a>,
    ) {
        if let Some(state) = self.reply(id.index).filter(|state| state.stage.is_unsent()) {
            state.stage = ReplyStage::Dead;
            out.push(Change::Mark(Mark::Reply(id, *state, Some(death))));
        }
    }

    /// The reply is neither sent nor kept.
    pub(in crate::journal) fn forget(&mut self, id: ReplyId, out: &mut Changes<'_>) {
        self.drop_replies_where(id.event, |index, _| index == id.index, out);
    }

    /// A dead reply is taken away, to be replayed or for good. While its event is not done or dead, its next attempt has to
    /// know.
    pub(in crate::journal) fn take_dead_reply(&mut self, id: ReplyId, out: &mut Changes<'_>) {
        let is_awaited = self.event.is_some_and(|event| event.stage != EventStage::Dead);
        match self.reply(id.index) {
            Some(state) if is_awaited => {
                if state.has_files {
                    out.push(Change::Delete(Key::Files(id)));
                }
                *state = ReplyState { stage: ReplyStage::Decided, attempts: 0, due_ms: 0, has_files: false };
                out.push(Change::Put(bare(id, *state, None)));
            }
            _ => self.forget(id, out),
        }
    }

    fn reply(&mut self, index: u32) -> Option<&mut ReplyState> {
        let place = self.replies.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        self.replies.get_mut(place).map(|(_, state)| state)
    }

    fn mark_alive(
        &mut self,
        id: EventId,
        change: impl FnOnce(EventState) -> EventState,
        out: &mut Changes<'_>,
    ) {
        if let Some(state) = self.event.as_mut().filter(|state| !state.stage.is_dead()) {
            *state = change(*state);
            out.push(Change::Mark(Mark::Event(id, *state, None)));
        }
    }

    fn mark_unsent(&mut self, id: ReplyId, change: impl FnOnce(&mut ReplyState), out: &mut Changes<'_>) {
        if let Some(state) = self.reply(id.index).filter(|state| state.stage.is_unsent()) {
            change(state);
            out.push(Change::Mark(Mark::Reply(id, *state, None)));
        }
    }

    fn drop_steps(&mut self, id: EventId, out: &mut Changes<'_>) {
        if !std::mem::take(&mut self.steps).is_empty() {
            out.push(Change::Delete(Key::Steps(id)));
        }
    }

    fn drop_replies(&mut self, id: EventId, which: fn(ReplyStage) -> bool, out: &mut Changes<'_>) {
        self.drop_replies_where(id, |_, state| which(state.stage), out);
    }

    fn drop_replies_where(
        &mut self,
        event: EventId,
        which: impl Fn(u32, &ReplyState) -> bool,
        out: &mut Changes<'_>,
    ) {
        self.replies.retain(|(index, state)| {
            let goes = which(*index, state);
            if goes {
                let id = ReplyId { event, index: *index };
                out.push(Change::Delete(Key::Reply(id)));
                if state.has_files {
                    out.push(Change::Delete(Key::Files(id)));
                }
            }
            !goes
        });
    }
}

impl From<&Parts> for Known {
    fn from(parts: &Parts) -> Self {
        Self {
            event: parts.event.as_ref().map(|event| event.state),
            replies: parts.replies.iter().map(|reply| (reply.id.index, reply.state)).collect(),
            steps: parts.steps.iter().map(|(name, _)| name.clone()).collect(),
        }
    }
}

/// How a reply stands of which only the fact that it was sent is kept.
pub(super) const SENT: ReplyState =
    ReplyState { stage: ReplyStage::Sent, attempts: 0, due_ms: 0, has_files: false };

/// What is left of a reply when only the fact counts.
fn bare<'a>(id: ReplyId, state: ReplyState, sent_id: Option<&'a MessageId>) -> Row<'a> {
    Row::Reply { id, state, conversation: "", command: "", sent_id, body: Body::Empty }
}
