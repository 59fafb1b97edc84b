//! What the operator should find: dead letters and jobs, kept by other means than the journal's own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::engine::JobBody;
use crate::event::Event;
use crate::journal::{
    Acceptance, Answer, Dead, DeadFilter, DeadId, Entry, Job, Listing, NewJob, OperatorEntry, Query, Reason,
};

/// Why something was given up, and where.
struct Grave {
    at_ms: u64,
    reason: Reason,
    conversation: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Waiting,
    Fired,
    Cancelled,
}

struct Planned {
    name: String,
    conversation: String,
    due_ms: u64,
    plan: Plan,
}

/// What the operator is to hear, in the order of the journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Dead(Vec<DeadId>),
    Count(u64),
    Jobs(Vec<String>),
    Cancelled(bool),
}

/// Where the operator waits for it.
pub(super) enum Asked {
    Dead(oneshot::Receiver<Listing<Vec<Dead>>>),
    Count(oneshot::Receiver<u64>),
    Jobs(oneshot::Receiver<Listing<Vec<Job>>>),
    Cancelled(oneshot::Receiver<bool>),
}

impl Asked {
    /// The answer, if it is there.
    pub(super) fn heard(&mut self) -> Option<Told> {
        match self {
            Self::Dead(answer) => {
                let dead = read(answer.try_recv().ok()?);
                Some(Told::Dead(dead.iter().map(|dead| dead.id).collect()))
            }
            Self::Count(answer) => answer.try_recv().ok().map(Told::Count),
            Self::Jobs(answer) => {
                let jobs = read(answer.try_recv().ok()?);
                Some(Told::Jobs(jobs.into_iter().map(|job| job.name).collect()))
            }
            Self::Cancelled(answer) => answer.try_recv().ok().map(Told::Cancelled),
        }
    }
}

/// What is read in memory is there at once.
fn read<T>(listing: Listing<T>) -> T {
    listing.now_or_never().expect("it is in memory").expect("memory can be read")
}

/// The same answer, which does not change any more.
pub(super) fn read_now(answer: Answer) -> Answer {
    match answer {
        Answer::Dead(dead) => Answer::Dead(read(dead).into()),
        Answer::Jobs(jobs) => Answer::Jobs(read(jobs).into()),
        Answer::DeadCount(count) => Answer::DeadCount(read(count).into()),
        other => other,
    }
}

/// See the module. It outlives the process.
#[derive(Default)]
pub(super) struct Findable {
    dead: BTreeMap<DeadId, Grave>,
    /// By number.
    jobs: BTreeMap<u64, Planned>,
    /// In the order in which the operator hears it.
    told: VecDeque<Told>,
    /// In the order in which the journal finds it out.
    fresh: Vec<Told>,
}

impl Findable {
    pub(super) fn dead_letter(&mut self, id: DeadId, at_ms: u64, reason: Reason, conversation: &str) {
        let grave = Grave { at_ms, reason, conversation: conversation.to_owned() };
        assert!(self.dead.insert(id, grave).is_none(), "{id:?} is dead already");
    }

    /// What was found out and is not yet in its place among the answers.
    pub(super) fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.fresh)
    }

    /// Puts answers in their places.
    pub(super) fn tell(&mut self, told: impl Iterator<Item = Told>) {
        self.told.extend(told);
    }

    /// Those that the filter means, in order.
    pub(super) fn meant(&self, filter: &DeadFilter) -> Vec<DeadId> {
        let fits = |(id, grave): &(&DeadId, &Grave)| {
            filter.id.is_none_or(|wanted| wanted == **id)
                && filter.reason.is_none_or(|wanted| wanted == grave.reason)
                && filter.conversation.as_ref().is_none_or(|wanted| *wanted == grave.conversation)
                && filter.after.is_none_or(|after| after < (grave.at_ms, **id))
        };
        let mut meant: Vec<_> = self.dead.iter().filter(fits).map(|(id, grave)| (grave.at_ms, *id)).collect();
        meant.sort_unstable();
        meant.into_iter().map(|(_, id)| id).take(filter.limit.unwrap_or(usize::MAX)).collect()
    }

    /// The dead replies that a dead event takes along when it is replayed.
    fn goes_along(&self, id: DeadId) -> Vec<DeadId> {
        match id {
            DeadId::Event(sequence) if self.dead[&id].reason != Reason::Parked => {
                let replies = DeadId::Reply(sequence, 0)..=DeadId::Reply(sequence, u32::MAX);
                self.dead.range(replies).map(|(id, _)| *id).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A filter to ask for; `which` picks among those that make sense.
    pub(super) fn filter(&self, which: u8) -> DeadFilter {
        let all = DeadFilter::default();
        let one = usize::from(which / 8).checked_rem(self.dead.len());
        let one = one.and_then(|at| self.dead.iter().nth(at));
        match which % 8 {
            0 => DeadFilter { id: one.map(|(id, _)| *id), ..all },
            1 => DeadFilter { after: one.map(|(id, grave)| (grave.at_ms, *id)), ..all },
            2 => DeadFilter { limit: Some(1), ..all },
            3 => DeadFilter { reason: Some(Reason::Failed), ..all },
            4 => DeadFilter { reason: Some(Reason::Unknown), ..all },
            5 => DeadFilter { conversation: Some("conversation 1".to_owned()), ..all },
            _ => all,
        }
    }

    /// A job, whether or not it still waits; `which` picks among all that there were.
    pub(super) fn job(&self, which: u8) -> Option<&str> {
        let at = usize::from(which).checked_rem(self.jobs.len())?;
        self.jobs.values().nth(at).map(|job| &*job.name)
    }

    /// When the first job is due.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.waiting(None).first().map(|(due_ms, ..)| *due_ms)
    }

    pub(super) fn knows(&self, job: &str) -> bool {
        self.jobs.values().any(|known| known.name == job)
    }

    /// By the time when they are due, then by number.
    fn waiting(&self, of: Option<&str>) -> Vec<(u64, u64, &str)> {
        let waiting = self.jobs.iter().filter(|(_, job)| {
            job.plan == Plan::Waiting && of.is_none_or(|conversation| conversation == job.conversation)
        });
        let mut waiting: Vec<_> = waiting.map(|(id, job)| (job.due_ms, *id, &*job.name)).collect();
        waiting.sort_unstable();
        waiting
    }

    pub(super) fn note(&mut self, entry: &Entry, answer: &Answer) {
        match (entry, answer) {
            (Entry::Query(Query::ListDead(filter)), _) => {
                let meant = self.meant(filter);
                self.fresh.push(Told::Dead(meant));
            }
            (Entry::Operator(OperatorEntry::Replay { filter, .. } | OperatorEntry::Discard(filter)), _) => {
                let mut meant: BTreeSet<_> = self.meant(filter).into_iter().collect();
                if matches!(entry, Entry::Operator(OperatorEntry::Replay { .. })) {
                    let along: Vec<_> = meant.iter().flat_map(|id| self.goes_along(*id)).collect();
                    meant.extend(along);
                }
                meant.iter().for_each(|id| drop(self.dead.remove(id)));
                self.fresh.push(Told::Count(meant.len() as u64));
            }
            (Entry::Schedule(NewJob { name, conversation, due_ms, .. }), Answer::Scheduled(id)) => {
                let (name, conversation) = (name.clone(), conversation.clone());
                let planned = Planned { name, conversation, due_ms: *due_ms, plan: Plan::Waiting };
                assert!(self.jobs.insert(*id, planned).is_none(), "job {id} is planned twice");
            }
            (Entry::Query(Query::ListJobs { conversation, after, limit }), _) => {
                let waiting = self.waiting(conversation.as_deref());
                let rest =
                    waiting.iter().filter(|(due_ms, id, _)| after.is_none_or(|after| after < (*due_ms, *id)));
                let told = rest.take(*limit).map(|(_, _, name)| (*name).to_owned()).collect();
                self.fresh.push(Told::Jobs(told));
            }
            (Entry::Cancel { name, .. }, _) => {
                let waiting =
                    self.jobs.values_mut().find(|job| job.name == *name && job.plan == Plan::Waiting);
                self.fresh.push(Told::Cancelled(waiting.is_some()));
                waiting.into_iter().for_each(|job| job.plan = Plan::Cancelled);
            }
            (Entry::Fire { job, event, now_ms, .. }, answer) => {
                self.fire(*job, event.as_ref(), *now_ms, answer);
            }
            _ => {}
        }
    }

    fn fire(&mut self, job: u64, event: Option<&Event>, now_ms: u64, answer: &Answer) {
        let planned = self.jobs.get_mut(&job).expect("it was planned");
        assert!(event.is_some(), "these jobs come once, and are never put off");
        match answer {
            Answer::Accepted(Acceptance::New(_)) => {
                assert_eq!(planned.plan, Plan::Waiting, "{} is fired, and was not to be", planned.name);
                assert!(planned.due_ms <= now_ms, "{} is fired early", planned.name);
                planned.plan = Plan::Fired;
            }
            _ => assert_ne!(planned.plan, Plan::Waiting, "{} waits, and is not fired", planned.name),
        }
    }

    /// What is to be heard next, if the journal has it.
    pub(super) fn told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// The process has ended, and with it anyone who asked.
    pub(super) fn hang_up(&mut self) {
        self.told.clear();
    }

    /// Nothing waits any more.
    pub(super) fn account(&self) {
        assert!(self.waiting(None).is_empty(), "{:?} never came", self.waiting(None));
        assert!(self.told.is_empty(), "{:?} was told to nobody", self.told);
    }
}

/// A job that a handler promises, due after this many milliseconds.
pub(super) fn job(sequence: u64, index: u8, event: &Event, due_ms: u64) -> NewJob {
    let body = JobBody::new("ring", "null".to_owned(), event, None).to_bytes().expect("it can be written");
    let conversation = event.conversation().id().to_owned();
    NewJob { name: format!("{sequence}-{index}"), conversation, due_ms, body, keeps_due: false }
}
