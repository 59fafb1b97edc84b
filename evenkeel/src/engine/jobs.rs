//! Jobs: when the next one is due, and what the journal is told of those that are.

use std::time::Duration;

use tokio::sync::oneshot;

use super::batch::Continuation;
use super::effects::Effects;
use super::job::JobBody;
use super::outside::{Due, Planned, Told};
use super::port::Now;
use crate::journal::{Entry, Job, NewJob, Query};
use crate::reserved::{self, SCHEDULES};
use crate::schedule::Firings;

/// Jobs that are taken from the journal at once.
const TAKEN: usize = 256;
/// After so long a job that cannot be read is looked at again.
const UNREADABLE_MS: u64 = 3_600_000;
/// While a job waits, the clocks are compared this often: the wall clock may be set. Where nobody sets it, as in tests whose time jumps
/// from one timer to the next, there is nothing to compare.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Jobs {
    /// When the next one is due, in milliseconds since 1970; `None` where none waits.
    next_ms: Option<u64>,
    /// Whether the journal has been asked what is due.
    is_asking: bool,
    /// How far ahead it is looked at most, before the clocks are compared again.
    ahead: Duration,
}

impl Jobs {
    pub(super) fn new(is_clock_steady: bool) -> Self {
        let ahead = if is_clock_steady { Duration::MAX } else { LOOK };
        Self { next_ms: None, is_asking: false, ahead }
    }

    /// Begins with the schedules of the router, and forgets those that it has no more.
    pub(super) fn plan(&mut self, schedules: &[(String, JobBody)], now: Now, effects: &mut Effects) {
        for (name, body) in schedules {
            let (Some(due_ms), Ok(bytes)) = (body.first_ms(now.wall_ms), body.to_bytes()) else {
                tracing::warn!("a schedule never comes, or cannot be written");
                continue;
            };
            let (name, conversation) = (name.clone(), SCHEDULES.to_owned());
            let job = NewJob { name, conversation, due_ms, body: bytes, keeps_due: true };
            self.promise(Entry::Schedule(job), effects);
        }
        let names = schedules.iter().map(|(name, _)| name.clone()).collect();
        // All of them: a router has as many as it has lines.
        let entry = Entry::Query(Query::Jobs {
            conversation: Some(SCHEDULES.to_owned()),
            after: None,
            limit: 1_000_000,
        });
        effects.append_then(entry, Continuation::Schedules(names));
    }

    /// Forgets the schedules of earlier versions of the bot: those that were kept and have not one of these names. One that goes on
    /// under another name, as `present` says, is due when it was.
    pub(super) fn forget_schedules(
        &mut self,
        names: &[String],
        kept: Vec<Job>,
        present: impl Fn(&str) -> Option<&'static str>,
        effects: &mut Effects,
    ) {
        let (kept, gone): (Vec<_>, Vec<_>) = kept.into_iter().partition(|job| names.contains(&job.name));
        for Job { name, due_ms, .. } in gone {
            let successor = reserved::scheduled(&name).and_then(&present).map(reserved::schedule);
            match kept.iter().find(|job| Some(&job.name) == successor.as_ref()) {
                Some(job) if due_ms < job.due_ms => {
                    let (name, conversation) = (job.name.clone(), job.conversation.clone());
                    let body = job.body.clone();
                    let due = NewJob { name, conversation, due_ms, body, keeps_due: false };
                    self.promise(Entry::Schedule(due), effects);
                }
                Some(_) => {}
                None => {
                    let name = &*reserved::shown(&name);
                    tracing::info!(name, "a schedule that this bot has no more is forgotten");
                }
            }
            effects.append(Entry::Cancel { name, conversation: None });
        }
    }

    /// Writes down what a handler promised beside its replies.
    pub(super) fn promise(&mut self, change: Entry, effects: &mut Effects) {
        if let Entry::Schedule(job) = &change {
            self.expect(Some(job.due_ms));
        }
        effects.append(change);
    }

    /// Plans something outside of any event, for somebody who waits to hear that it is kept. Hands that back where it never comes.
    pub(super) fn plan_outside(
        &mut self,
        planned: Planned,
        answer: oneshot::Sender<Told<bool>>,
        now: Now,
        effects: &mut Effects,
    ) -> Option<oneshot::Sender<Told<bool>>> {
        let Planned { name, body, due } = planned;
        let body = body.counted_from(now.wall_ms);
        let due_ms = match due {
            Due::At(due_ms) => Some(due_ms),
            Due::After(pause_ms) => Some(now.wall_ms.saturating_add(pause_ms)),
            Due::First => body.first_ms(now.wall_ms),
        };
        let (Some(due_ms), Ok(bytes)) = (due_ms, body.to_bytes()) else { return Some(answer) };
        self.expect(Some(due_ms));
        let conversation = body.conversation().to_owned();
        let job = NewJob { name, conversation, due_ms, body: bytes, keeps_due: false };
        effects.append_then(Entry::Schedule(job), Continuation::Planned(answer));
        None
    }

    /// Asks the journal once something is due, if there is room for it.
    pub(super) fn ask(&mut self, has_room: bool, now: Now, effects: &mut Effects) {
        let is_due = self.next_ms.is_some_and(|due_ms| due_ms <= now.wall_ms);
        if is_due && !self.is_asking && has_room {
            self.is_asking = true;
            self.next_ms = None;
            let entry = Entry::Query(Query::Due { until_ms: now.wall_ms, limit: TAKEN });
            effects.append_then(entry, Continuation::JobsDue);
        }
    }

    /// When to look at the clocks again.
    pub(super) fn next_look(&self, has_room: bool, now: Now) -> Option<Duration> {
        let wait = now.until(self.next_ms?);
        let is_busy = self.is_asking || !has_room;
        Some(now.elapsed.saturating_add(if is_busy { LOOK } else { wait.min(self.ahead) }))
    }

    /// The journal has said what is due.
    pub(super) fn answered(&mut self, next_ms: Option<u64>) {
        self.is_asking = false;
        self.expect(next_ms);
    }

    /// Whether any may be kept.
    pub(super) fn has_any(&self) -> bool {
        self.next_ms.is_some()
    }

    /// A job is due at this time, if at any.
    pub(super) fn expect(&mut self, at_ms: Option<u64>) {
        self.next_ms = self.next_ms.into_iter().chain(at_ms).min();
    }

    /// What a job that is due wants done, and when; nothing where that cannot be read.
    pub(super) fn read(&mut self, job: &Job, now: Now, effects: &mut Effects) -> Option<(JobBody, Firings)> {
        let Some(body) = JobBody::read(job) else {
            self.put_off(job, now, effects);
            return None;
        };
        let firings = body.firings(job.due_ms, now.wall_ms);
        if let Some(skipped) = firings.skipped {
            let (first_ms, last_ms) = (skipped.first_ms, skipped.last_ms);
            tracing::info!(job = job.id, first_ms, last_ms, "firings of a job were missed");
        }
        self.expect(firings.next_ms);
        Some((body, firings))
    }

    /// A job that cannot be read may be one of a newer version, or name a time zone that this one does not know. It stays
    /// until the operator cancels it, or a version that can read it comes.
    fn put_off(&mut self, job: &Job, now: Now, effects: &mut Effects) {
        let function = JobBody::function_of(job).unwrap_or_else(|| "?".to_owned());
        tracing::error!(
            job = job.name,
            function,
            "a job cannot be read, and stays: `evenkeel jobs` lists and cancels it"
        );
        let next_ms = Some(now.wall_ms + UNREADABLE_MS);
        self.expect(next_ms);
        self.skip(job, next_ms, now, effects);
    }

    /// Moves a job to its next time without an event.
    pub(super) fn skip(&self, job: &Job, next_ms: Option<u64>, now: Now, effects: &mut Effects) {
        let (due_ms, now_ms) = (job.due_ms, now.wall_ms);
        effects.append(Entry::Fire { job: job.id, due_ms, event: None, begins: false, next_ms, now_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_are_compared_only_where_one_of_them_may_be_set() {
        let day = Duration::from_secs(86_400);
        for (is_clock_steady, look) in [(false, LOOK), (true, day)] {
            let mut jobs = Jobs::new(is_clock_steady);
            assert_eq!(jobs.next_look(true, Now::default()), None);
            jobs.expect(Some(86_400_000));
            assert_eq!(jobs.next_look(true, Now::default()), Some(look));
            assert_eq!(jobs.next_look(false, Now::default()), Some(LOOK), "room may come at any time");
        }
    }
}
