//! What follows once an entry is in the journal.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Machine, Output};
use crate::error::{Error, Result};
use crate::journal::{Acceptance, Answer, Dead, Entry, Job, Written};
use crate::serve::outbox::Letter;

/// What follows once the entry of the same place is in the journal.
#[derive(Debug)]
pub(super) enum After {
    Nothing,
    /// Tell the transport, and start the handler or queue the event.
    Accepted {
        told: Option<oneshot::Sender<Acceptance>>,
        lane: Arc<str>,
        begins: bool,
    },
    /// Start the handler of the job, or queue it.
    Fired {
        lane: Arc<str>,
        begins: bool,
    },
    /// Run the handler.
    Begun(u64),
    /// Send the reply that the entry holds.
    SendPromised(Box<str>),
    /// Send this reply.
    Send(Box<Letter>),
    /// Tell the handler that its step is kept.
    Kept(oneshot::Sender<()>),
    /// Give the handler what was recalled.
    Recalled(oneshot::Sender<Option<Bytes>>),
    /// Fire what is due.
    Due,
    /// Forget the schedules that are not among these.
    Schedules(Vec<String>),
    JobsListed(oneshot::Sender<Vec<Job>>),
    Cancelled(oneshot::Sender<bool>),
    Listed(oneshot::Sender<Vec<Dead>>),
    Counted(oneshot::Sender<u64>),
    Replayed(Option<oneshot::Sender<u64>>),
    Discarded(oneshot::Sender<u64>),
}

impl Machine {
    /// Events may run and replies may leave whose entries are written.
    pub(super) fn written(&mut self, Written { batch, answers }: Written) -> Result<()> {
        let following = self.following.take().unwrap_or_default();
        if batch.len() != answers.len() || following.len() != answers.len() {
            return Err(Error::new("the journal answered something else than it was asked"));
        }
        for ((entry, answer), after) in batch.into_iter().zip(answers).zip(following) {
            self.follow(entry, answer, after);
        }
        Ok(())
    }

    fn follow(&mut self, entry: Entry, answer: Answer, after: After) {
        match (after, entry, answer) {
            (
                After::Accepted { told, lane, begins },
                Entry::Accept { event, .. },
                Answer::Accepted(acceptance),
            ) => {
                self.accepted(event, lane, begins, acceptance);
                if let Some(told) = told {
                    // The transport may have stopped waiting.
                    let _heard = told.send(acceptance);
                }
            }
            (After::Fired { lane, begins }, Entry::Fire { event: Some(event), .. }, answer) => {
                self.fired(event, lane, begins, &answer);
            }
            (After::Due, _, Answer::Due { jobs, next_ms }) => self.jobs_due(&jobs, next_ms),
            (After::Schedules(names), _, Answer::Due { jobs, .. }) => self.forget_schedules(&names, jobs),
            (After::JobsListed(answer), _, Answer::Due { jobs, .. }) => drop(answer.send(jobs)),
            (After::Cancelled(told), _, Answer::Count(count)) => drop(told.send(count > 0)),
            (After::Begun(sequence), ..) => self.start(sequence),
            (After::SendPromised(command), Entry::Promise { outbound, .. }, _) => {
                self.outputs.push(Output::Send(Letter::new(outbound, command)));
            }
            (After::Send(letter), ..) => self.outputs.push(Output::Send(*letter)),
            (After::Kept(answer), entry, _) => {
                if let Entry::Begin { sequence } = entry {
                    self.runs(sequence);
                }
                // Whoever asked may have gone.
                let _heard = answer.send(());
            }
            (After::Recalled(answer), _, Answer::Recalled(value)) => drop(answer.send(value)),
            (After::Listed(answer), _, Answer::Dead(dead)) => drop(answer.send(dead)),
            (After::Counted(answer), _, Answer::Count(count)) => drop(answer.send(count)),
            (After::Replayed(told), _, Answer::Replayed(replayed)) => self.replayed(replayed, told),
            (After::Discarded(told), _, Answer::Discarded { count, unparked }) => {
                unparked.into_iter().for_each(|sequence| self.unpark(sequence, false));
                // Whoever asked may have gone.
                let _heard = told.send(count);
            }
            _ => {}
        }
    }
}
