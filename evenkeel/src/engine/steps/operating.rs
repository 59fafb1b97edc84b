//! What the operator wants of dead letters and of jobs.

use crate::engine::Engine;
use crate::engine::batch::Continuation;
use crate::engine::port::Ended;
use crate::journal::{Entry, OperatorEntry, PendingReply, Query, Replayed};
use crate::operator::OperatorCommand;

impl Engine {
    pub(in crate::engine) fn commanded(&mut self, command: OperatorCommand) {
        let now_ms = self.now.wall_ms;
        let (entry, continuation) = match command {
            OperatorCommand::List(filter, told) => {
                (Entry::Query(Query::ListDead(filter)), Continuation::DeadListed(told))
            }
            OperatorCommand::Count(filter, told) => {
                (Entry::Query(Query::CountDead(filter)), Continuation::DeadCounted(told))
            }
            OperatorCommand::Replay(filter, told) => (
                Entry::Operator(OperatorEntry::Replay { filter, now_ms }),
                Continuation::Replayed(Some(told)),
            ),
            OperatorCommand::Discard(filter, told) => {
                (Entry::Operator(OperatorEntry::Discard(filter)), Continuation::Discarded(told))
            }
            OperatorCommand::Jobs { conversation, after, limit, answer } => {
                (Entry::Query(Query::ListJobs { conversation, after, limit }), Continuation::JobsRead(answer))
            }
            OperatorCommand::Cancel(name, told) => {
                (Entry::Cancel { name, conversation: None }, Continuation::JobCancelled(told))
            }
            OperatorCommand::Adopt => (Entry::Operator(OperatorEntry::Adopt), Continuation::Replayed(None)),
        };
        self.effects.append_then(entry, continuation);
    }

    /// Takes up what the operator has replayed. Answers how much that is.
    pub(super) fn replayed(&mut self, replayed: Replayed) -> u64 {
        let Replayed { events, replies, anew, unparked, discarded } = replayed;
        let count = (events.len() + replies.len() + anew.len() + unparked.len()) as u64;
        discarded.into_iter().for_each(|sequence| self.discard_parked(sequence));
        for event in events {
            self.budget.take(&event.event);
            let lane = self.lane_of(&event.event);
            self.attempts.replay(event, lane, self.now);
        }
        if self.loading.is_over() {
            self.take_up_replayed(replies, unparked);
        } else {
            self.loading.hold(replies, unparked);
        }
        count
    }

    /// Replies come again at the end of their conversations, and parked events in their places.
    pub(super) fn take_up_replayed(&mut self, replies: Vec<PendingReply>, unparked: Vec<u64>) {
        replies.into_iter().for_each(|reply| self.take_up_reply(reply));
        for sequence in unparked {
            if self.attempts.replay_parked(sequence, self.now) {
                self.begin(sequence);
            }
        }
    }

    /// A parked event is forgotten, and its lane goes on.
    pub(super) fn discard_parked(&mut self, sequence: u64) {
        let event = self.attempts.discard_parked(sequence, self.now);
        self.release(event, Ended::Silent);
    }
}
