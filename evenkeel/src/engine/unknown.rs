//! Jobs whose function the bot has not: an earlier version of it planned them under a name that has changed or gone.
//!
//! None of them is lost, and none is in the way of others. One that happens once becomes a dead letter at its time. One that happens
//! again stays planned; the first of its firings in each run is a dead letter, and stands for all until the function is back.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::batch::Continuation;
use super::effects::Effects;
use super::functions::JobFunctions;
use super::job::JobBody;
use crate::journal::{Entry, Job, Query};
use crate::reserved;

/// Jobs that are looked at between two batches.
const PAGE: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct UnknownJobs {
    /// `None` in a bot that knows all there are.
    functions: Option<Arc<JobFunctions>>,
    /// How many jobs wait for each function that is missing, as far as was looked.
    counts: BTreeMap<String, u64>,
    /// Jobs that happen again and of which this run has made a dead letter.
    given_up: HashSet<u64>,
}

impl UnknownJobs {
    /// Begins with these functions, and looks through the jobs where there are any.
    pub(super) fn look(&mut self, functions: Arc<JobFunctions>, has_jobs: bool, effects: &mut Effects) {
        self.functions = Some(functions);
        if has_jobs {
            Self::ask(None, effects);
        }
    }

    fn ask(after: Option<(u64, u64)>, effects: &mut Effects) {
        let query = Query::Jobs { conversation: None, after, limit: PAGE };
        effects.append_then(Entry::Query(query), Continuation::JobsLooked);
    }

    /// Some of the jobs: the next ones are asked for, or all that is missing is told.
    pub(super) fn looked(&mut self, jobs: &[Job], goes_on: bool, effects: &mut Effects) {
        for job in jobs.iter().filter(|job| !reserved::is_schedule(&job.name)) {
            if let Some(function) = JobBody::function_of(job).filter(|function| self.lacks(function)) {
                *self.counts.entry(function).or_default() += 1;
            }
        }
        match jobs.last().filter(|_| jobs.len() == PAGE && goes_on) {
            Some(last) => Self::ask(Some((last.due_ms, last.id)), effects),
            None => self.tell(),
        }
    }

    fn tell(&self) {
        if self.counts.is_empty() {
            return;
        }
        let all: Vec<_> =
            self.counts.iter().map(|(function, count)| format!("`{function}` ({count})")).collect();
        tracing::warn!(
            hint = "add `.job(function)` to the router, or name its successor: `App::with_job_alias(\"the_old::name\", function)`",
            "jobs are planned whose functions this bot has not: {}; each becomes a dead letter at its time, and can be replayed once the function is back",
            all.join(", ")
        );
    }

    /// How many jobs wait for each function that is missing, without those that were due since the bot began.
    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// A job is due. Answers whether it is passed over: a dead letter stands for it.
    pub(super) fn passes_over(&mut self, job: &Job, body: &JobBody) -> bool {
        if !self.lacks(&body.function) {
            return false;
        }
        if body.again.is_some() {
            return !self.given_up.insert(job.id);
        }
        if let Some(count) = self.counts.get_mut(&body.function) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&body.function);
            }
        }
        false
    }

    /// The present name of the function that was once kept under this one, if the bot has it.
    pub(super) fn present(&self, function: &str) -> Option<&'static str> {
        self.functions.as_ref()?.present(function)
    }

    fn lacks(&self, function: &str) -> bool {
        self.functions.is_some() && self.present(function).is_none()
    }
}
