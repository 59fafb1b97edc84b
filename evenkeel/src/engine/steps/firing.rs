//! Jobs that are due become events.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::batch::Continuation;
use crate::engine::functions::JobFunctions;
use crate::engine::job::JobBody;
use crate::engine::port::Now;
use crate::journal::{Entry, Job};
use crate::schedule::Firings;

impl Engine {
    /// Begins with the schedules of the router, and forgets those that it has no more. Looks which jobs were planned for functions that
    /// are not among these.
    pub(crate) fn plan(&mut self, schedules: &[(String, JobBody)], functions: &Arc<JobFunctions>) {
        self.unknown.look(Arc::clone(functions), self.jobs.has_any(), &mut self.effects);
        self.jobs.plan(schedules, self.now, &mut self.effects);
    }

    /// The journal has said which schedules it has.
    pub(super) fn schedules_listed(&mut self, names: &[String], kept: Vec<Job>) {
        let Self { jobs, unknown, effects, .. } = self;
        jobs.forget_schedules(names, kept, |function| unknown.present(function), effects);
    }

    /// The journal has said which jobs it has, or some of them.
    pub(super) fn jobs_looked(&mut self, jobs: &[Job]) {
        self.unknown.looked(jobs, !self.is_draining, &mut self.effects);
    }

    /// How many jobs wait for each function that the bot has not.
    pub(crate) fn unknown_jobs(&self) -> &BTreeMap<String, u64> {
        self.unknown.counts()
    }

    /// The journal has said what is due.
    pub(super) fn jobs_due(&mut self, jobs: &[Job], next_ms: Option<u64>) {
        self.jobs.answered(next_ms);
        for job in jobs {
            if !self.budget.allows_jobs() {
                // It stays in the journal, and is asked for again.
                return self.jobs.expect(Some(job.due_ms));
            }
            if let Some((body, firings)) = self.jobs.read(job, self.now, &mut self.effects) {
                self.fire(job, &body, &firings);
            }
        }
    }

    fn fire(&mut self, job: &Job, body: &JobBody, Firings { fire, next_ms, .. }: &Firings) {
        let Now { wall_ms: now_ms, .. } = self.now;
        let overlaps = body.skips_overlap() && !self.attempts.is_free(&JobBody::lane(job));
        if overlaps {
            tracing::info!(job = job.id, "a job was skipped: it still runs, or waits to");
        }
        if overlaps || fire.is_empty() || self.unknown.passes_over(job, body) {
            return self.jobs.skip(job, *next_ms, self.now, &mut self.effects);
        }
        let mut due_ms = job.due_ms;
        let mut times = fire.iter().peekable();
        while let Some(time_ms) = times.next() {
            let event = body.event(job, *time_ms);
            self.budget.take(&event);
            let lane = event.lane();
            let begins = self.takes_lane(&lane, &event);
            let next_ms = times.peek().map(|next| **next).or(*next_ms);
            let fire = Entry::Fire { job: job.id, due_ms, event: Some(event), begins, next_ms, now_ms };
            self.effects.append_then(fire, Continuation::Fired { lane, begins });
            due_ms = next_ms.unwrap_or(due_ms);
        }
    }
}
