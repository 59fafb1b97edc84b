//! What follows once entries are in the journal.

use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::engine::batch::{Continuation, wrong_answer};
use crate::engine::delivery::Delivery;
use crate::engine::port::Output;
use crate::error::Result;
use crate::journal::{Answer, Entry, Written};

impl Engine {
    /// Events may run and replies may leave whose entries are written.
    pub(in crate::engine) fn written(&mut self, written: Written) -> Result<()> {
        for (continuation, entry, answer) in self.effects.written(written)? {
            self.follow(continuation, entry, answer)?;
        }
        Ok(())
    }

    fn follow(&mut self, continuation: Continuation, entry: Entry, answer: Answer) -> Result<()> {
        match (continuation, answer, entry) {
            (Continuation::Nothing, Answer::Noted | Answer::Scheduled(_) | Answer::Count(_), _) => {}
            (
                Continuation::Accepted { told, lane, begins },
                Answer::Accepted(acceptance),
                Entry::Accept { event, .. },
            ) => {
                self.accepted(event, lane, begins, acceptance);
                if let Some(told) = told {
                    tell(told, acceptance);
                }
            }
            (Continuation::Fired { lane, begins }, answer, Entry::Fire { event: Some(event), .. }) => {
                match answer {
                    Answer::Accepted(acceptance) => self.accepted(event, lane, begins, acceptance),
                    // It was cancelled in between.
                    Answer::Count(0) => {
                        self.attempts.refuse(&lane, begins, self.now);
                        self.budget.release(event);
                    }
                    _ => return Err(wrong_answer()),
                }
            }
            (Continuation::Start(sequence), Answer::Noted, _) => self.start(sequence),
            (Continuation::GoOn(sequence, told), Answer::Noted, _) => {
                self.runs(sequence);
                tell(told, ());
            }
            (Continuation::SendPromised(command), Answer::Noted, Entry::Promise { outbound, .. }) => {
                self.dispatch(Delivery::new(outbound, command));
            }
            (Continuation::Said(told), Answer::Said(answers), Entry::Say { said, command, .. }) => {
                self.said(said, &command, &answers)?;
                tell(told, Ok(answers));
            }
            (Continuation::Send(delivery), Answer::Noted, _) => self.dispatch(*delivery),
            (Continuation::Loaded, Answer::Loaded(page), _) => self.loaded(page),
            (Continuation::JobsDue, Answer::Due { jobs, next_ms }, _) => self.jobs_due(&jobs, next_ms),
            (Continuation::Schedules(names), Answer::Due { jobs, .. }, _) => {
                self.schedules_listed(&names, jobs);
            }
            (Continuation::JobsLooked, Answer::Due { jobs, .. }, _) => self.jobs_looked(&jobs),
            (continuation, answer, _) => return self.answer(continuation, answer),
        }
        Ok(())
    }

    /// A reply leaves, without a token that is too old.
    pub(super) fn dispatch(&mut self, mut delivery: Delivery) {
        delivery.outbound.token = delivery.outbound.token.filter(|token| token.is_valid_at(self.now.wall_ms));
        self.effects.output(Output::Send(delivery));
    }

    /// Tells a handler or the operator what they have asked for.
    fn answer(&mut self, continuation: Continuation, answer: Answer) -> Result<()> {
        match (continuation, answer) {
            (Continuation::Planned(told), Answer::Scheduled(_)) => tell(told, Ok(true)),
            (Continuation::Cancelled(told), Answer::Count(count)) => tell(told, Ok(count > 0)),
            (Continuation::StepKept(told), Answer::Noted) => tell(told, ()),
            (Continuation::CancelledOthers(told, count), Answer::Noted) => tell(told, count),
            (Continuation::Recalled(told), Answer::Recalled(value)) => tell(told, value),
            (Continuation::JobsListed(told), Answer::Due { jobs, .. }) => tell(told, jobs),
            (Continuation::JobCancelled(told), Answer::Count(count)) => tell(told, count > 0),
            (Continuation::DeadListed(told), Answer::Dead(dead)) => tell(told, dead),
            (Continuation::DeadCounted(told), Answer::DeadCount(count)) => tell(told, count),
            (Continuation::JobsRead(told), Answer::Jobs(jobs)) => tell(told, jobs),
            (Continuation::Replayed(told), Answer::Replayed(replayed)) => {
                let count = self.replayed(replayed);
                if let Some(told) = told {
                    tell(told, count);
                }
            }
            (Continuation::Discarded(told), Answer::Discarded { count, unparked }) => {
                unparked.into_iter().for_each(|sequence| self.discard_parked(sequence));
                tell(told, count);
            }
            _ => return Err(wrong_answer()),
        }
        Ok(())
    }
}

/// Tells somebody who may have gone.
fn tell<T>(told: oneshot::Sender<T>, what: T) {
    let _heard = told.send(what);
}
