//! What is done later: after a command, at a time, again and again. Jobs are kept in the journal and survive restarts.
//!
//! A job is a call of a registered function with arguments that serde can write. When it is due it becomes an event like
//! any other: it runs at least once, is tried again after a failure that may pass, and becomes a dead letter otherwise.
//! Jobs run beside conversations, not in their lanes.
//!
//! ```
//! use std::time::Duration;
//! use evenkeel::{Args, Context, Job, Result, Router, testing};
//!
//! async fn remind(cx: Context, Args((minutes, text)): Args<(u64, String)>) -> Result<&'static str> {
//!     cx.after(Duration::from_secs(60 * minutes), ring, (text,))?;
//!     Ok("I will")
//! }
//!
//! async fn ring(Job((text,)): Job<(String,)>) -> String {
//!     format!("you wanted to {text}")
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! let mut chat = testing::chat(Router::new().command("!remind", remind).job(ring));
//! assert_eq!(chat.say("!remind 10 drink tea").await, ["I will"]);
//! tokio::time::sleep(Duration::from_secs(601)).await;
//! assert_eq!(chat.replies().await, ["you wanted to drink tea"]);
//! # }); Ok::<(), std::io::Error>(())
//! ```

mod function;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::context::Context;
use crate::engine::{Again, HandlerRequest, JobBody};
use crate::error::{Error, Result};
use crate::extract::{FromEvent, Rejection};
use crate::journal::{Entry, Job as Kept, NewJob};
use crate::moment;
use crate::schedule::{Misfire, Overlap, Schedule};
use crate::trigger::{Kind, Trigger};
pub(crate) use function::name_of;
pub use function::{JobFunction, Unspoken};

/// The arguments of a job, as they were given to [`Context::after`] and its siblings: the last argument of its function.
///
/// *Shape*: whatever was given, read back from JSON: `(city, 3)` -> `Job<(String, u32)>`. Where the arguments of an older
/// version of the bot do not fit any more, the job becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job<T>(pub T);

/// The name of a job, for [`Context::cancel`]. It can be kept as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

/// A job that is waiting. What it prints as holds no arguments: people may have written them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Its name.
    pub id: JobId,
    /// The function, as the compiler names it: `my_bot::ring`.
    pub function: String,
    /// When it is due next.
    pub due: SystemTime,
    /// When it comes again, as schedules are written: `daily 09:00 Europe/Berlin`; `None` if it does not.
    pub schedule: Option<String>,
    /// JSON.
    args: String,
}

impl JobId {
    pub(crate) fn new(name: String) -> Self {
        Self(name)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Waiting {
    /// Reads what a journal keeps of a job; `None` when that cannot be read.
    pub fn read(kept: &Kept) -> Option<Self> {
        let body = JobBody::read(kept)?;
        Some(Self {
            id: JobId(kept.name.clone()),
            function: body.function,
            due: moment::from_ms(kept.due_ms),
            args: body.args,
            schedule: body.again.map(|again| again.schedule.to_string()),
        })
    }

    /// The arguments, as [`Job`] would give them to the function.
    ///
    /// ```
    /// use evenkeel::{Context, Result};
    ///
    /// /// The reminders of this conversation, all of which were planned as `cx.after(pause, ring, (text,))`.
    /// async fn reminders(cx: Context) -> Result<String> {
    ///     let texts = cx.jobs().await?.into_iter().map(|job| job.args().map(|(text,): (String,)| text));
    ///     Ok(texts.collect::<Result<Vec<_>>>()?.join("\n"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When they do not fit a `T`: where a conversation has jobs of several functions, ask
    /// [`function`](Self::function) first.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T> {
        read_args(&self.function, &self.args)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, function, due, schedule, args: _ } = self;
        f.debug_struct("Waiting")
            .field("id", id)
            .field("function", function)
            .field("due", due)
            .field("schedule", schedule)
            .finish_non_exhaustive()
    }
}

fn read_args<T: DeserializeOwned>(function: &str, args: &str) -> Result<T> {
    serde_json::from_str(args).map_err(|error| {
        // The message may quote an argument.
        let column = error.column();
        Error::new(format!("the arguments of `{function}` do not fit its `Job`, from column {column} on"))
            .with_hint("an earlier version of the bot planned it: read the older shape as well (`#[serde(default)]`, `#[serde(untagged)]`), then replay the dead letter")
            .permanent()
    })
}

/// When a job happens again, and what becomes of a firing that comes too early or too late.
///
/// ```
/// use evenkeel::job::Repeat;
/// use evenkeel::schedule::{Misfire, Overlap};
///
/// # fn example() -> evenkeel::Result<()> {
/// let nightly = Repeat::new("daily 03:00 Europe/Berlin".parse()?)
///     .with_overlap(Overlap::Queue)
///     .with_misfire(Misfire::Skip);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    pub(crate) schedule: Schedule,
    pub(crate) overlap: Overlap,
    pub(crate) misfire: Misfire,
}

impl Repeat {
    /// By this schedule; a firing that comes while the last one runs is skipped, and one stands for all that were missed.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, overlap: Overlap::default(), misfire: Misfire::default() }
    }

    /// What becomes of a firing that comes while the last one runs.
    #[must_use]
    pub fn with_overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// What becomes of firings that were missed while the bot was down.
    #[must_use]
    pub fn with_misfire(mut self, misfire: Misfire) -> Self {
        self.misfire = misfire;
        self
    }

    /// As the journal keeps it, with intervals counted from this time.
    pub(crate) fn counted_from(self, anchor_ms: u64) -> Again {
        let Self { schedule, overlap, misfire } = self;
        Again { schedule, anchor_ms, overlap, misfire }
    }
}

impl From<Schedule> for Repeat {
    fn from(schedule: Schedule) -> Self {
        Self::new(schedule)
    }
}

impl Context {
    /// Calls `function` with `args` once this handler has succeeded: kept in the same transaction as its end.
    ///
    /// # Errors
    ///
    /// When the function is not registered with [`Router::job`](crate::Router::job), or the arguments cannot be written
    /// as JSON. Neither passes by itself, so the event is not tried again. No router can know what its handlers plan before
    /// they do: a test that runs the command once does.
    #[track_caller]
    pub fn defer<F, A, T>(&self, function: F, args: T) -> Result<JobId>
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        self.at(SystemTime::UNIX_EPOCH, function, args)
    }

    /// Calls `function` with `args` after this time, counted from now; kept once this handler has succeeded.
    ///
    /// # Errors
    ///
    /// As [`Context::defer`].
    #[track_caller]
    pub fn after<F, A, T>(&self, pause: Duration, function: F, args: T) -> Result<JobId>
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        let due_ms = self.now_ms().saturating_add(millis(pause));
        self.plan(due_ms, function, args, None)
    }

    /// Calls `function` with `args` at this time, or at once where it is past; kept once this handler has succeeded.
    ///
    /// Where the clock of the system was set back, jobs go by the time before until the clock has caught up with it, so that
    /// none fires twice: what is in between counts as past. [`Context::after`] does not depend on that.
    ///
    /// # Errors
    ///
    /// As [`Context::defer`].
    #[track_caller]
    pub fn at<F, A, T>(&self, time: SystemTime, function: F, args: T) -> Result<JobId>
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        self.plan(moment::to_ms(time), function, args, None)
    }

    /// Calls `function` with `args` again and again; kept once this handler has succeeded, until it is cancelled.
    ///
    /// # Errors
    ///
    /// As [`Context::defer`], and when the schedule never comes.
    #[track_caller]
    pub fn repeat<F, A, T>(&self, repeat: impl Into<Repeat>, function: F, args: T) -> Result<JobId>
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        let (repeat, now_ms) = (repeat.into(), self.now_ms());
        let Some(due_ms) = repeat.schedule.next_ms_after(now_ms, now_ms) else {
            return Err(Error::new(format!("`{}` never comes", repeat.schedule)));
        };
        self.plan(due_ms, function, args, Some(repeat))
    }

    /// Forgets a job of this conversation once this handler has succeeded; nothing happens if there is none any more, or
    /// if it belongs to another conversation: people may write what they like.
    pub fn cancel(&self, id: &JobId) {
        let conversation = Some(self.event().conversation().key().to_owned());
        self.change(Entry::Cancel { name: id.0.clone(), conversation });
    }

    /// The jobs that were planned in this conversation and wait, the earliest first, at most a thousand.
    ///
    /// # Errors
    ///
    /// When the bot is stopping.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    #[track_caller]
    pub fn jobs(&self) -> impl Future<Output = Result<Vec<Waiting>>> {
        let line = Location::caller();
        async move {
            let (answer, jobs) = oneshot::channel();
            let conversation = self.event().conversation().key().to_owned();
            self.request(HandlerRequest::Jobs { conversation, answer });
            let jobs = jobs.await.map_err(|_| Error::new("the bot is stopping").at(line))?;
            Ok(jobs.iter().filter_map(Waiting::read).map(|job| self.with_present_name(job)).collect())
        }
    }

    /// A job that was planned for a function of another name, with the present one.
    fn with_present_name(&self, job: Waiting) -> Waiting {
        match self.present_job(&job.function) {
            Some(function) if function != job.function => Waiting { function: function.to_owned(), ..job },
            _ => job,
        }
    }

    #[track_caller]
    fn plan<F, A, T>(&self, due_ms: u64, _: F, args: T, repeat: Option<Repeat>) -> Result<JobId>
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        let (function, args) = call::<F, A, T>(|function| self.knows_job(function), &args)?;
        let anchor_ms = self.now_ms();
        let again = repeat.map(|repeat| repeat.counted_from(anchor_ms));
        let body = JobBody::new(function, args, self.event(), again);
        let (name, conversation) = (self.next_job_name(), self.event().conversation().key().to_owned());
        let (id, body) = (JobId(name.clone()), body.to_bytes()?);
        self.change(Entry::Schedule(NewJob { name, conversation, due_ms, body, keeps_due: false }));
        Ok(id)
    }
}

/// The name of a function that is planned, and its arguments in JSON.
///
/// # Errors
///
/// As [`Context::defer`].
#[track_caller]
pub(crate) fn call<F, A, T>(is_known: impl FnOnce(&str) -> bool, args: &T) -> Result<(&'static str, String)>
where
    F: JobFunction<A, T>,
    T: Serialize,
{
    let function = name_of::<F>();
    if !is_known(function) {
        let name = function.rsplit("::").next().unwrap_or(function);
        return Err(Error::new(format!("`{function}` was planned, and is not a job of this bot"))
            .with_hint(format!("add `.job({name})` to the router"))
            .permanent());
    }
    let args = serde_json::to_string(args)
        .map_err(|error| Error::from(error).context(format!("writing the arguments of `{function}`")))?;
    Ok((function, args))
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl<S: Sync, T: DeserializeOwned + Send> FromEvent<S> for Job<T> {
    fn from_event(cx: &Context, _: &S) -> impl Future<Output = Result<Self, Rejection>> + Send {
        let taken = match cx.event().job() {
            None => Err(Rejection::silent("the event is no job")),
            Some(job) => read_args(job.function(), job.args()).map(Self).map_err(Rejection::failed),
        };
        std::future::ready(taken)
    }

    fn fits(trigger: Option<&Trigger>) -> Result<(), String> {
        match trigger.map(|trigger| &trigger.kind) {
            None | Some(Kind::Job { is_scheduled: false }) => Ok(()),
            Some(Kind::Job { is_scheduled: true }) => match serde_json::from_str::<T>("null") {
                Ok(_) => Ok(()),
                Err(_) => {
                    Err("a schedule has no arguments for its `Job`: leave it out, or take `Job<()>`".into())
                }
            },
            Some(_) => Err("`Job` has arguments only where the function is a job: use `.job(..)`".into()),
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobId {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}
