//! What is said outside of any event, on its way into the outbox.
//!
//! It has no key before it is kept, so it is in no lane until then. Within a conversation it keeps the order in which it came: nothing
//! begins while something that came before is not in its lane yet.

use std::collections::HashMap;
use std::sync::Arc;

use super::Deliveries;
use crate::engine::delivery::Delivery;
use crate::engine::effects::Effects;
use crate::engine::port::Now;
use crate::journal::{Acceptance, PendingReply, Said};
use crate::reply::SendKey;

/// How much is said and not kept yet, by conversation. Bounded by what the engine takes from handles.
#[derive(Debug, Default)]
pub(super) struct Saying {
    unkept: HashMap<Arc<str>, usize>,
    count: usize,
}

impl Saying {
    /// How much there is in all.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn has(&self, conversation: &str) -> bool {
        self.unkept.contains_key(conversation)
    }

    fn add(&mut self, conversation: Arc<str>) {
        *self.unkept.entry(conversation).or_default() += 1;
        self.count += 1;
    }

    fn take(&mut self, conversation: &str) {
        self.count -= 1;
        if let Some(count) = self.unkept.get_mut(conversation) {
            *count -= 1;
            if *count == 0 {
                self.unkept.remove(conversation);
            }
        }
    }
}

/// What follows once something that was said is kept.
#[derive(Debug)]
pub(in crate::engine) enum Kept {
    /// It leaves at once.
    Begun(Delivery),
    /// It waits for its turn.
    Waits(PendingReply),
    /// It was known already: where it had its turn, that is over in this conversation.
    Known(Option<Arc<str>>),
}

impl Deliveries {
    /// Something is about to be written that is said outside of any event. Where it is one message that is in nobody's way, it
    /// leaves as soon as it is kept.
    pub(in crate::engine) fn say(&mut self, said: &mut [Said], may_begin: bool, now: Now) {
        for Said { outbound, begins, .. } in said {
            let Some(first) = outbound.first() else { continue };
            let lane = first.conversation.shared_key();
            let is_alone = outbound.len() == 1 && !self.saying.has(&lane);
            let network = self.network_mut(first.conversation.network());
            *begins = is_alone && may_begin && network.is_some_and(|network| network.start(&lane, now));
            self.saying.add(lane);
        }
    }

    /// The journal has answered what was said.
    pub(in crate::engine) fn said(
        &mut self,
        said: Said,
        command: &str,
        acceptance: Acceptance,
        now: Now,
        effects: &mut Effects,
    ) -> Vec<Kept> {
        let Said { outbound, begins, .. } = said;
        let Some(lane) = outbound.first().map(|first| first.conversation.shared_key()) else {
            return Vec::new();
        };
        self.saying.take(&lane);
        let Acceptance::New(sequence) = acceptance else {
            if begins {
                self.leaves_outbox(&lane, now, effects);
            }
            return vec![Kept::Known(begins.then_some(lane))];
        };
        self.notices.forget(&lane);
        let kept = outbound.into_iter().zip(0..).map(|(mut outbound, index)| {
            outbound.key = SendKey { sequence, index };
            match begins {
                true => Kept::Begun(Delivery::new(outbound, command.into())),
                false => Kept::Waits(PendingReply {
                    outbound,
                    command: command.to_owned(),
                    is_unknown: false,
                    attempts: 0,
                    due_ms: 0,
                }),
            }
        });
        kept.collect()
    }
}
