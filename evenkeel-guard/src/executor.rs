//! Where futures are spawned: on threads of their own, or on a tokio runtime.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::counters::Counters;
use crate::guest::{Guests, Watched};
use crate::options::Options;
use crate::pool::{Pool, Tag, schedule};
use crate::registry::Quarantined;
use crate::report::{Label, Report};
use crate::reporter::Reports;
use crate::slot::{Admission, Role, here, rename, renamed};
use crate::watchdog::Watch;

/// Polls labelled futures and watches the polls. Cloning is cheap; the threads end with the last clone.
#[derive(Clone)]
pub struct Executor(Kind);

#[derive(Clone)]
enum Kind {
    Threads(Arc<Threads>),
    Tokio(Handle, Option<Arc<Guests>>),
}

/// Closes the pool when the last clone of the executor is gone; its threads hold the pool itself.
struct Threads(Arc<Pool>);

/// A spawned future. Dropping it cancels the future at its next `.await`; [`Task::detach`] lets it run.
#[must_use = "dropping a task cancels its future"]
pub struct Task(Handling);

enum Handling {
    Pool(AbandonOnDrop),
    Tokio(AbortOnDrop),
}

/// Dropping a task of the pool cancels it; the pool learns of it as well, so that it queues for nothing.
struct AbandonOnDrop(Option<async_task::Task<(), Arc<Tag>>>);

struct AbortOnDrop(Option<tokio::task::AbortHandle>);

/// Too many invocations of what was put in quarantine are waiting already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Why [`Executor::run`] has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// Too many invocations wait already; try again later.
    Busy,
    /// The future panicked, or the executor has ended.
    Ended,
}

impl Executor {
    /// Starts `workers` threads (at least one) that poll from one queue, with `runtime` for timers and sockets.
    ///
    /// A thread that is about to block is replaced before it does; one that keeps a core busy, soon after. What
    /// was caught goes on in quarantine.
    pub fn threads(runtime: Handle, workers: usize) -> Self {
        Self::with(runtime, &Options::default().with_workers(workers))
    }

    /// The same, told in detail.
    pub fn with(runtime: Handle, options: &Options) -> Self {
        Self(Kind::Threads(Arc::new(Threads(Pool::start(runtime, options)))))
    }

    /// Spawns on a tokio runtime and watches the polls. Blocking ones are reported, and cannot be worked around.
    pub fn on(runtime: Handle) -> Self {
        Self::on_with(runtime, &Options::default())
    }

    /// The same, told in detail: what is allowed, and when a poll counts as busy.
    pub fn on_with(runtime: Handle, options: &Options) -> Self {
        Self(Kind::Tokio(runtime, Some(Guests::new(options, Role::Guest))))
    }

    /// Spawns on a tokio runtime and watches nothing.
    pub fn unwatched(runtime: Handle) -> Self {
        Self(Kind::Tokio(runtime, None))
    }

    /// Spawns on a tokio runtime and watches strictly, for tests: [`Executor::failures`] says what blocked.
    pub fn strict(runtime: Handle) -> Self {
        Self::strict_with(runtime, &crate::strict::options())
    }

    /// The same, told in detail.
    pub fn strict_with(runtime: Handle, options: &Options) -> Self {
        Self(Kind::Tokio(runtime, Some(Guests::new(options, Role::Strict))))
    }

    /// Begins to poll a future. A panic ends that future only.
    ///
    /// Nothing is refused: what belongs in quarantine waits there without a bound. [`Executor::run`] has one.
    pub fn spawn(&self, label: &Label, future: impl Future<Output = ()> + Send + 'static) -> Task {
        match &self.0 {
            Kind::Threads(threads) => {
                let tag = Tag::new(threads.0.watch().registry.command(label));
                let builder = async_task::Builder::new().metadata(Arc::clone(&tag));
                let (work, task) = builder.spawn(|_| Tagged::new(tag, future), schedule(&threads.0));
                work.schedule();
                Task(Handling::Pool(AbandonOnDrop(Some(task))))
            }
            Kind::Tokio(runtime, None) => Task::of_tokio(&runtime.spawn(future)),
            Kind::Tokio(runtime, Some(guests)) => {
                let (guests, tag) = (Arc::clone(guests), Tag::new(guests.watch.registry.command(label)));
                Task::of_tokio(&runtime.spawn(Watched { guests, tag, future: Box::pin(future) }))
            }
        }
    }

    /// Polls a future here and hands its result back: for a service that wants its handlers guarded and its result
    /// where it is.
    ///
    /// # Errors
    ///
    /// [`RunError::Busy`] when the label is in quarantine and the queue in front of it is full, and while no worker has come
    /// back for a second and no thread is left to replace one; [`RunError::Ended`] when the future panicked or the executor is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the other one at its next `.await`.
    pub async fn run<T: Send + 'static>(
        &self,
        label: Label,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, RunError> {
        if self.watch().is_some_and(|watch| watch.refuses(watch.registry.command(&label))) {
            return Err(RunError::Busy);
        }
        let (done, result) = oneshot::channel();
        let _task = self.spawn(&label, async move {
            // The waiter may be gone.
            let _taken = done.send(future.await);
        });
        result.await.map_err(|_| RunError::Ended)
    }

    /// What was found so far, one report for each place, oldest first. What is being looked into is not in it yet.
    pub fn reports(&self) -> Vec<Report> {
        self.watch().map(|watch| watch.reporter.reports()).unwrap_or_default()
    }

    /// What is found from now on, as it is found.
    pub fn subscribe(&self) -> Reports {
        Reports::new(self.watch().map(|watch| watch.reporter.subscribe()))
    }

    /// What was found that must not be, once everything seen so far has been looked into: all reports but those of
    /// short waits for a lock. Blocks until then, for some milliseconds: for the end of a program, or of a test.
    pub fn failures(&self) -> Vec<Report> {
        let Some(watch) = self.watch() else { return Vec::new() };
        watch.reporter.flush();
        crate::strict::failures(watch.reporter.reports())
    }

    /// What the guard has seen and done so far.
    pub fn counters(&self) -> Counters {
        match &self.0 {
            Kind::Threads(threads) => threads.0.counters(),
            Kind::Tokio(_, Some(guests)) => guests.watch.counters(),
            Kind::Tokio(_, None) => Counters::default(),
        }
    }

    /// What is kept away from the workers at present, by name.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.watch().map(|watch| watch.registry.quarantined()).unwrap_or_default()
    }

    /// Lets everything of this name go from quarantine and forgets its strikes. Answers how many there were.
    pub fn pardon(&self, name: &str) -> usize {
        self.watch().map_or(0, |watch| watch.registry.pardon(name))
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        match &self.0 {
            Kind::Threads(threads) => Some(threads.0.watch()),
            Kind::Tokio(_, guests) => guests.as_ref().map(|guests| &guests.watch),
        }
    }
}

pin_project! {
    /// Keeps the task's tag in step with what the future says that it is.
    pub(crate) struct Tagged<F> {
        tag: Arc<Tag>,
        #[pin]
        future: F,
    }
}

impl<F> Tagged<F> {
    pub(crate) fn new(tag: Arc<Tag>, future: F) -> Self {
        Self { tag, future }
    }
}

impl<F: Future> Future for Tagged<F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = this.future.poll(cx);
        this.tag.note(renamed());
        result
    }
}

/// Says that the future which is being polled goes on as `label`, and takes it where that belongs: into quarantine, if
/// the label was caught blocking. For work whose name is known only once it has begun.
///
/// Outside an [`Executor`] it does nothing.
///
/// # Errors
///
/// [`Busy`] when the label is in quarantine and the queue in front of it is full. The future goes on where it is.
///
/// # Cancel safety
///
/// Dropping the future changes nothing but the label.
pub async fn enter(label: Label) -> Result<(), Busy> {
    poll_fn(|cx| {
        let Some(here) = here() else { return Poll::Ready(Ok(())) };
        let command = here.observer.command(&label);
        let is_new = here.slot.command() != command;
        rename(&here, command);
        match here.observer.admits(&here.slot, command, is_new) {
            Admission::Here => Poll::Ready(Ok(())),
            Admission::Elsewhere => {
                // It is scheduled by its new label.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Admission::Full => Poll::Ready(Err(Busy)),
        }
    })
    .await
}

/// Runs a call that is known to block, right here: on [`Executor::threads`] another thread takes over first, and the
/// call is not reported. On a multi-threaded tokio runtime it is [`tokio::task::block_in_place`].
///
/// ```
/// let here = evenkeel_guard::block_in_place(|| std::fs::read_to_string("Cargo.toml"));
/// assert!(here.is_ok());
/// ```
pub fn block_in_place<T>(call: impl FnOnce() -> T) -> T {
    let Some(here) = here() else { return call() };
    if here.slot.role == Role::Worker {
        here.observer.excuse(&here.slot);
    }
    let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    let is_shared = here.slot.role == Role::Guest && matches!(runtime, Ok(RuntimeFlavor::MultiThread));
    here.slot.outside(|| if is_shared { tokio::task::block_in_place(call) } else { call() })
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Threads(_) => "threads",
            Kind::Tokio(_, Some(_)) => "tokio, watched",
            Kind::Tokio(_, None) => "tokio",
        };
        write!(f, "Executor({kind})")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Task {
    fn of_tokio(task: &tokio::task::JoinHandle<()>) -> Self {
        Self(Handling::Tokio(AbortOnDrop(Some(task.abort_handle()))))
    }

    /// Lets the future run to its end without an owner.
    pub fn detach(self) {
        match self.0 {
            Handling::Pool(mut task) => drop(task.0.take().map(async_task::Task::detach)),
            Handling::Tokio(mut task) => task.0 = None,
        }
    }

    /// Whether the future has ended.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Handling::Pool(task) => task.0.as_ref().is_none_or(async_task::Task::is_finished),
            Handling::Tokio(task) => task.0.as_ref().is_none_or(tokio::task::AbortHandle::is_finished),
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("is_finished", &self.is_finished()).finish()
    }
}

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.metadata().abandon();
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no thread is free for it, and enough is waiting for one")
    }
}

impl Error for Busy {}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => Busy.fmt(f),
            Self::Ended => f.write_str("the future panicked, or its executor has ended"),
        }
    }
}

impl Error for RunError {}
