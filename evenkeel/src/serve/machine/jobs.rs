//! Jobs: asked for when they are due, and turned into events.

use std::sync::Arc;
use std::time::Duration;

use super::{After, Machine};
use crate::engine::{JobBody, SCHEDULES};
use crate::event::Event;
use crate::journal::{Answer, Entry, Job, NewJob};

/// Jobs that are listed at once.
pub(super) const LISTED: usize = 1_000;
/// Jobs that are taken from the journal at once.
const TAKEN: usize = 256;
/// After so long a job that cannot be read is looked at again.
const UNREADABLE_MS: u64 = 3_600_000;
/// While a job waits, the clocks are compared this often: the wall clock may be set.
const LOOK: Duration = Duration::from_secs(1);

impl Machine {
    /// Begins with the schedules of the router, and forgets those that it has no more.
    pub(in crate::serve) fn plan(&mut self, schedules: &[(String, JobBody)]) {
        for (name, body) in schedules {
            let (Some(due_ms), Ok(bytes)) = (body.first_ms(self.now.wall_ms), body.to_bytes()) else {
                tracing::warn!("a schedule never comes, or cannot be written");
                continue;
            };
            let (name, conversation) = (name.clone(), SCHEDULES.to_owned());
            self.change(Entry::Schedule(NewJob { name, conversation, due_ms, body: bytes, keeps_due: true }));
        }
        let names = schedules.iter().map(|(name, _)| name.clone()).collect();
        // All of them: a router has as many as it has lines.
        let entry = Entry::Jobs { conversation: Some(SCHEDULES.to_owned()), after: None, limit: 1_000_000 };
        self.enter(entry, After::Schedules(names));
    }

    pub(super) fn forget_schedules(&mut self, names: &[String], kept: Vec<Job>) {
        for job in kept.into_iter().filter(|job| !names.contains(&job.name)) {
            self.enter(Entry::Cancel { name: job.name, conversation: None }, After::Nothing);
        }
    }

    /// Enters what a handler promised.
    pub(super) fn change(&mut self, entry: Entry) {
        if let Entry::Schedule(job) = &entry {
            let next_ms = self.next_job_ms.unwrap_or(u64::MAX);
            self.next_job_ms = Some(next_ms.min(job.due_ms));
        }
        self.enter(entry, After::Nothing);
    }

    /// Asks the journal once something is due.
    pub(super) fn look_for_jobs(&mut self) {
        let is_due = self.next_job_ms.is_some_and(|due_ms| due_ms <= self.now.wall_ms);
        if is_due && !self.is_asking && self.has_room_for_jobs() {
            self.is_asking = true;
            self.next_job_ms = None;
            self.enter(Entry::Due { until_ms: self.now.wall_ms, limit: TAKEN }, After::Due);
        }
    }

    /// When to look at the clocks again.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let wait = Duration::from_millis(self.next_job_ms?.saturating_sub(self.now.wall_ms));
        let is_busy = self.is_asking || !self.has_room_for_jobs();
        Some(self.now.elapsed + if is_busy { LOOK } else { wait.min(LOOK) })
    }

    pub(super) fn jobs_due(&mut self, jobs: &[Job], next_ms: Option<u64>) {
        self.is_asking = false;
        self.comes(next_ms);
        for job in jobs {
            if !self.room.is_there_for_jobs() {
                // It stays in the journal, and is asked for again.
                self.comes(Some(job.due_ms));
                return;
            }
            match JobBody::read(job) {
                Some(body) => self.fire(job, &body),
                None => self.put_off(job),
            }
        }
    }

    /// A job that cannot be read may be one of a newer version, or name a time zone that this one does not know. It stays
    /// until the operator cancels it, or a version that can read it comes.
    fn put_off(&mut self, job: &Job) {
        tracing::error!(
            job = job.id,
            "a job cannot be read, and stays: `evenkeel jobs` lists and cancels it"
        );
        let (due_ms, now_ms) = (job.due_ms, self.now.wall_ms);
        let next_ms = Some(now_ms + UNREADABLE_MS);
        self.comes(next_ms);
        let entry = Entry::Fire { job: job.id, due_ms, event: None, begins: false, next_ms, now_ms };
        self.enter(entry, After::Nothing);
    }

    fn fire(&mut self, job: &Job, body: &JobBody) {
        let now_ms = self.now.wall_ms;
        let firings = body.firings(job.due_ms, now_ms);
        if let Some(skipped) = firings.skipped {
            let (first_ms, last_ms) = (skipped.first_ms, skipped.last_ms);
            tracing::info!(job = job.id, first_ms, last_ms, "firings of a job were missed");
        }
        self.comes(firings.next_ms);
        let overlaps = body.skips_overlap() && !self.lanes.is_free(&JobBody::lane(job));
        let mut due_ms = job.due_ms;
        let mut times = firings.fire.iter().peekable();
        if overlaps {
            tracing::info!(job = job.id, "a job was skipped: it still runs, or waits to");
        }
        if overlaps || times.peek().is_none() {
            let next_ms = firings.next_ms;
            let entry = Entry::Fire { job: job.id, due_ms, event: None, begins: false, next_ms, now_ms };
            self.enter(entry, After::Nothing);
            return;
        }
        while let Some(time_ms) = times.next() {
            let event = body.event(job, *time_ms);
            self.room.take(&event);
            let lane = event.lane();
            let begins = self.takes_lane(&lane, &event);
            let next_ms = times.peek().map(|next| **next).or(firings.next_ms);
            let entry = Entry::Fire { job: job.id, due_ms, event: Some(event), begins, next_ms, now_ms };
            self.enter(entry, After::Fired { lane, begins });
            due_ms = next_ms.unwrap_or(due_ms);
        }
    }

    /// A job has become an event, unless it was cancelled in between.
    pub(super) fn fired(&mut self, event: Event, lane: Arc<str>, begins: bool, answer: &Answer) {
        match answer {
            Answer::Accepted(acceptance) => self.accepted(event, lane, begins, *acceptance),
            _ => self.not_accepted(&event, &lane, begins),
        }
    }

    fn has_room_for_jobs(&self) -> bool {
        self.has_room() && self.room.is_there_for_jobs()
    }

    fn comes(&mut self, at_ms: Option<u64>) {
        self.next_job_ms = self.next_job_ms.into_iter().chain(at_ms).min();
    }
}
