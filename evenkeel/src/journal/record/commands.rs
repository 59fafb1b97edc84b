//! What the operator does with dead letters and jobs, be it beside the running bot or while it is away.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::{Record, fenced, joined};
use crate::error::{Error, Result};
use crate::journal::rules::{self, Anew, Resent, Revived};
use crate::journal::store::{
    Batch, Change, Committed, EventId, Intake, JobKey, Key, Mark, Partition, ReplyId, Store, Sync, Taken,
    Verdict, Work,
};
use crate::journal::{Answer, DeadFilter, DeadId, OperatorEntry, Replayed};

/// A command of an operator's who has the file: executed beside the bot that is away, or left for the one that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::journal) enum AdminCommand {
    /// Gives dead letters another chance.
    Replay { filter: DeadFilter, now_ms: u64 },
    /// Forgets dead letters for good.
    Discard { filter: DeadFilter },
    /// Forgets the job of this name.
    Cancel { job: String },
}

/// What became of a command of the operator's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Outcome {
    /// Events that have another chance, parked ones included.
    pub events: u64,
    /// Replies that have another chance.
    pub replies: u64,
    /// Dead replies that went with their events: the handlers run again, and have these to send themselves.
    pub anew: Vec<DeadId>,
    /// Dead letters that are gone for good.
    pub discarded: u64,
    /// Whether there was a job to cancel.
    pub cancelled: bool,
    /// Whether the bot has not done it yet: it will, as soon as it can write.
    pub is_waiting: bool,
}

/// What comes again under a new number.
#[expect(
    clippy::large_enum_variant,
    reason = "it is what one command of the operator's takes up, and is read at once"
)]
enum Again {
    Event(Anew),
    Reply(Resent),
}

impl<S: Store> Record<S> {
    /// Does what an entry of the operator's says.
    pub(super) async fn execute(&mut self, entry: &OperatorEntry) -> Result<Answer> {
        Ok(match entry {
            OperatorEntry::Replay { filter, now_ms } => {
                Answer::Replayed(self.replay(filter, *now_ms, None).await?)
            }
            OperatorEntry::Discard(filter) => {
                let (count, unparked) = self.discard(filter, None).await?;
                Answer::Discarded { count, unparked }
            }
            OperatorEntry::Adopt => Answer::Replayed(self.adopt().await?),
        })
    }

    /// Executes what other processes have left, and says what the running bot has to take up.
    async fn adopt(&mut self) -> Result<Replayed> {
        let mut all = Replayed::default();
        for (number, body) in self.store.commands().await? {
            let replayed = match serde_json::from_slice(&body) {
                Ok(command) => self.obey(&command, Some(number)).await?.0,
                Err(error) => {
                    tracing::error!(%error, "a command in the journal cannot be read, and is not executed");
                    let done = Change::Mark(Mark::Command(number, "unreadable".to_owned()));
                    self.commit(Plan::of(vec![done]), Sync::Full).await?;
                    Replayed::default()
                }
            };
            let Replayed { events, replies, anew, unparked, discarded } = replayed;
            all.events.extend(events);
            all.replies.extend(replies);
            all.anew.extend(anew);
            all.unparked.extend(unparked);
            all.discarded.extend(discarded);
        }
        Ok(all)
    }

    /// Executes a command; one that has a number gets its outcome written with what it changes.
    pub(in crate::journal) async fn obey(
        &mut self,
        command: &AdminCommand,
        number: Option<u64>,
    ) -> Result<(Replayed, Outcome)> {
        match command {
            AdminCommand::Replay { filter, now_ms } => {
                let replayed = self.replay(filter, *now_ms, number).await?;
                let outcome = Outcome::of(&replayed);
                Ok((replayed, outcome))
            }
            AdminCommand::Discard { filter } => {
                let (count, discarded) = self.discard(filter, number).await?;
                let outcome = Outcome { discarded: count, ..Outcome::default() };
                Ok((Replayed { discarded, ..Replayed::default() }, outcome))
            }
            AdminCommand::Cancel { job } => {
                let kept = self.store.job(JobKey::Name(job)).await?;
                let outcome = Outcome { cancelled: kept.is_some(), ..Outcome::default() };
                let mut changes: Vec<_> = kept.iter().map(|job| Change::Delete(Key::Job(job.id))).collect();
                changes.extend(outcome.mark(number));
                self.commit(Plan::of(changes), Sync::Full).await?;
                Ok((Replayed::default(), outcome))
            }
        }
    }

    async fn replay(&mut self, filter: &DeadFilter, now_ms: u64, number: Option<u64>) -> Result<Replayed> {
        let mut plan = Plan::default();
        self.saw(now_ms, &mut plan);
        let (mut again, mut replayed) = (Vec::new(), Replayed::default());
        let mut names = self.store.dead_names(filter).await?;
        // Events first: they take their dead replies along, which would be sent twice if they went before.
        names.sort_unstable();
        for name in names {
            let (DeadId::Event(bits) | DeadId::Reply(bits, _)) = name;
            let id = EventId::from_bits(bits);
            let parts = self.store.parts(id).await?;
            let known = self.known.entry(id).or_insert_with(|| rules::Known::from(&parts));
            plan.touched.push(id);
            match name {
                DeadId::Event(_) => match rules::revive(known, parts, id, &mut plan.changes) {
                    Some(Revived::Unparked) => replayed.unparked.push(bits),
                    Some(Revived::Anew { event, replies }) => {
                        replayed.anew.extend(replies.into_iter().map(|index| DeadId::Reply(bits, index)));
                        again.push(Again::Event(*event));
                    }
                    None => {}
                },
                DeadId::Reply(_, index) => {
                    let id = ReplyId { event: id, index };
                    again.extend(rules::resend(known, parts, id, &mut plan.changes).map(Again::Reply));
                }
            }
        }
        let mut outcome = Outcome::of(&replayed);
        outcome.replies = again.iter().filter(|one| matches!(one, Again::Reply(_))).count() as u64;
        outcome.events += again.len() as u64 - outcome.replies;
        plan.changes.extend(outcome.mark(number));
        let taken = self.commit_again(plan, &again).await?;
        for (one, id) in joined(again, taken)? {
            let known = match one {
                Again::Event(event) => {
                    let (event, known) = event.pending(id);
                    replayed.events.push(event);
                    known
                }
                Again::Reply(reply) => {
                    let (letter, known) = reply.pending(id);
                    replayed.replies.push(letter);
                    known
                }
            };
            self.gave(id, known);
        }
        Ok(replayed)
    }

    /// Commits what comes again together with what it replaces, and says under which numbers it does.
    async fn commit_again(&mut self, plan: Plan<'_>, again: &[Again]) -> Result<Vec<EventId>> {
        let Plan { changes, touched, now_ms, .. } = plan;
        let mut taken = Vec::new();
        if !changes.is_empty() {
            let intake = again.iter().map(Again::intake).collect();
            let (partition, epoch) = (Partition::WHOLE, self.epoch);
            let work = vec![Work { partition, epoch, changes, intake, effect: None }];
            let batch = Batch { cursors: Vec::new(), intake: Vec::new(), work, now_ms, sync: Sync::Full };
            let Committed { work, .. } = self.store.commit(&batch).await?;
            match work.into_iter().next() {
                Some(Verdict::Kept(kept)) => taken = kept,
                Some(Verdict::EffectFailed(error)) => return Err(error),
                Some(Verdict::Fenced) | None => return Err(fenced()),
            }
        }
        self.forget_the_dead(&touched);
        let number = |taken: Taken| match taken {
            Taken::New(bits) => Ok(EventId::from_bits(bits)),
            Taken::Known(_) => Err(Error::new("the store knows what comes again")),
        };
        taken.into_iter().map(number).collect()
    }

    async fn discard(&mut self, filter: &DeadFilter, number: Option<u64>) -> Result<(u64, Vec<u64>)> {
        let names = self.store.dead_names(filter).await?;
        let (mut plan, mut unparked) = (Plan::default(), Vec::new());
        for name in &names {
            let (DeadId::Event(bits) | DeadId::Reply(bits, _)) = *name;
            let id = EventId::from_bits(bits);
            let known = self.known(id).await?;
            plan.touched.push(id);
            match *name {
                DeadId::Event(_) => {
                    if known.is_parked() {
                        unparked.push(bits);
                    }
                    known.finish(id, &mut plan.changes);
                }
                DeadId::Reply(_, index) => {
                    known.take_dead_reply(ReplyId { event: id, index }, &mut plan.changes);
                }
            }
        }
        let count = names.len() as u64;
        plan.changes.extend(Outcome { discarded: count, ..Outcome::default() }.mark(number));
        self.commit(plan, Sync::Full).await?;
        Ok((count, unparked))
    }
}

impl Again {
    fn intake(&self) -> Intake<'_> {
        let (conversation, row) = match self {
            Self::Event(anew) => (anew.event.conversation().key(), anew.row()),
            Self::Reply(resent) => (resent.conversation(), resent.row()),
        };
        Intake { conversation: Cow::Borrowed(conversation), dedupe: None, row }
    }
}

impl Outcome {
    fn of(replayed: &Replayed) -> Self {
        let Replayed { events, replies, anew, unparked, .. } = replayed;
        let (events, replies) = ((events.len() + unparked.len()) as u64, replies.len() as u64);
        Self { events, replies, anew: anew.clone(), ..Self::default() }
    }

    fn mark(&self, number: Option<u64>) -> Option<Change<'static>> {
        let text = serde_json::to_string(self).expect("our own types become JSON");
        number.map(|number| Change::Mark(Mark::Command(number, text)))
    }
}

#[cfg(feature = "sqlite")]
impl AdminCommand {
    /// As it is left for the owner.
    pub(in crate::journal) fn to_bytes(&self) -> bytes::Bytes {
        serde_json::to_vec(self).expect("our own types become JSON").into()
    }
}
