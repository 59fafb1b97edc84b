//! What a handler leaves.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::judge::judge;
use super::{Context, Promised};
use crate::engine::{APOLOGY, Ending, HandlerOutcome, free_index};
use crate::error::Error;
use crate::event::Conversation;
use crate::journal::Reason;
use crate::reply::{Action, Outbound, Reply, SendKey};
use crate::retry::Retry;

/// How many actions one attempt may promise.
const MOST_PROMISED: usize = 10_000;
/// And how many of them in one conversation.
const MOST_IN_ONE: usize = 1_000;

impl Context {
    /// What the handler promised so far, followed by what it returned. After a failure, only the latter.
    pub(crate) fn finish(&self, reply: Reply, reason: Reason, retry: Retry) -> HandlerOutcome {
        let (mut actions, mut failure) = self.resolved(reply);
        let mut promised = std::mem::take(&mut *self.promised());
        if let Some(misfit) = promised.misfit.take().filter(|_| failure.is_none()) {
            (actions, failure) = self.resolved(Reply::failed(misfit));
        }
        if failure.is_none()
            && let Some(error) = too_many(&promised.actions, actions.len())
        {
            (actions, failure) = self.resolved(Reply::failed(error));
        }
        let failure = failure.or_else(|| {
            let mut elsewhere = promised.actions.iter().map(|(conversation, _)| conversation);
            let is_here = !actions.is_empty() && self.event.conversation().is_nowhere();
            (is_here || elsewhere.any(Conversation::is_nowhere)).then(nowhere)
        });
        if failure.is_some() {
            promised = Promised::default();
        }
        let first = if failure.is_some() { self.free_index().max(APOLOGY) } else { self.free_index() };
        let here = self.event.conversation();
        // Nobody is spoken to who did not speak: what is said after a failure answers a message.
        let is_answer = failure.is_none() || self.event.message().is_some();
        let actions = actions.into_iter().filter(|_| is_answer);
        promised.actions.extend(actions.map(|action| (here.clone(), action)));
        let outbound = promised.actions.into_iter().zip(first..).map(|((conversation, action), index)| {
            let key = SendKey { sequence: self.call.attempt.sequence, index };
            self.with_token(Outbound::new(conversation, action, key))
        });
        let ending = failure.map_or(Ending::Done, |error| Ending::Failed(judge(error, reason, retry)));
        HandlerOutcome {
            sequence: self.call.attempt.sequence,
            command: self.progress().label.get().cloned(),
            outbound: outbound.collect(),
            changes: promised.changes,
            ending,
        }
    }

    /// What is said; of what the network cannot carry, what the person hears of that.
    fn resolved(&self, reply: Reply) -> (Vec<Action>, Option<Error>) {
        self.resolve(reply, self.capabilities()).unwrap_or_else(|misfit| Reply::failed(misfit).into_parts())
    }

    /// The first index that no action of this or an earlier attempt has.
    fn free_index(&self) -> u32 {
        free_index(&self.call.attempt.facts).max(self.call.index.load(Ordering::Relaxed))
    }
}

/// The outbox is everybody's: one handler must not fill it, and a conversation in which so much waits hears nothing else.
fn too_many(promised: &[(Conversation, Action)], returned: usize) -> Option<Error> {
    let count = promised.len() + returned;
    if count <= MOST_IN_ONE {
        return None;
    }
    let mut each = HashMap::new();
    promised.iter().for_each(|(conversation, _)| *each.entry(conversation.key()).or_insert(0) += 1);
    let most = each.into_values().max().unwrap_or(0).max(returned);
    let (count, limit, place) = match (most > MOST_IN_ONE, count > MOST_PROMISED) {
        (true, _) => (most, MOST_IN_ONE, " in one conversation"),
        (_, true) => (count, MOST_PROMISED, ""),
        _ => return None,
    };
    let error = Error::new(format!("{count} replies of one event{place} are too many: none of them is sent"));
    Some(
        error
            .with_hint(format!("promise at most {limit}, and defer a job for the next ones: `cx.defer(..)`")),
    )
}

/// Something was to be said in the conversation of a schedule.
#[track_caller]
pub(super) fn nowhere() -> Error {
    Error::new("there is nobody to reply to: a schedule belongs to no conversation")
        .with_hint("say where it goes: `cx.send(&Conversation::direct(\"..\"), text)`")
}
