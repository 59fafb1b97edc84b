//! Where futures are spawned: on threads of their own, or on a tokio runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use crate::pool::Pool;
use crate::report::{Label, Report};
use crate::watch::{Name, Watch};

/// Polls labelled futures and watches the polls. Cloning is cheap; the threads end with the last clone.
#[derive(Clone)]
pub struct Executor(Kind);

#[derive(Clone)]
enum Kind {
    Threads(Arc<Threads>),
    Tokio(Handle, Option<Arc<Watching>>),
}

/// Closes the pool when the last clone of the executor is gone; its threads hold the pool itself.
struct Threads(Arc<Pool>);

struct Watching(Arc<Watch>);

/// A spawned future. Dropping it cancels the future at its next `.await`; [`Task::detach`] lets it run.
#[must_use = "dropping a task cancels its future"]
pub struct Task(Handling);

enum Handling {
    Pool(async_task::Task<(), Arc<Name>>),
    Tokio(AbortOnDrop),
}

struct AbortOnDrop(Option<tokio::task::AbortHandle>);

impl Executor {
    /// Starts `workers` threads (at least one) that poll from one queue, with `runtime` for timers and sockets.
    ///
    /// A thread whose poll lasts longer than 10 ms is replaced, so that the other futures go on; a poll of more
    /// than 100 ms is reported.
    pub fn threads(runtime: Handle, workers: usize) -> Self {
        Self(Kind::Threads(Arc::new(Threads(Pool::start(runtime, workers.max(1))))))
    }

    /// Spawns on a tokio runtime and watches the polls. Blocking ones are reported, and cannot be worked around.
    pub fn on(runtime: Handle) -> Self {
        let watch = Watch::start(|| false);
        Self(Kind::Tokio(runtime, Some(Arc::new(Watching(watch)))))
    }

    /// Spawns on a tokio runtime and watches nothing, for tests that want no thread beside their own.
    pub fn unwatched(runtime: Handle) -> Self {
        Self(Kind::Tokio(runtime, None))
    }

    /// Begins to poll a future. A panic ends that future only.
    pub fn spawn(&self, label: Label, future: impl Future<Output = ()> + Send + 'static) -> Task {
        match &self.0 {
            Kind::Threads(threads) => {
                let pool = Arc::downgrade(&threads.0);
                // A closed pool drops what is woken after its end, and with it the future.
                let schedule = move |work| {
                    if let Some(pool) = pool.upgrade() {
                        pool.push(work);
                    }
                };
                let builder = async_task::Builder::new().metadata(Name::new(label));
                let (work, task) = builder.spawn(|_| future, schedule);
                work.schedule();
                Task(Handling::Pool(task))
            }
            Kind::Tokio(runtime, None) => Task::of_tokio(&runtime.spawn(future)),
            Kind::Tokio(runtime, Some(watching)) => {
                let (watch, name) = (Arc::clone(&watching.0), Name::new(label));
                Task::of_tokio(&runtime.spawn(Watched { watch, name, future: Box::pin(future) }))
            }
        }
    }

    /// The last 64 reports, oldest first.
    pub fn reports(&self) -> Vec<Report> {
        match &self.0 {
            Kind::Threads(threads) => threads.0.watch().map(|watch| watch.reports()).unwrap_or_default(),
            Kind::Tokio(_, Some(watching)) => watching.0.reports(),
            Kind::Tokio(_, None) => Vec::new(),
        }
    }
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

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Task {
    fn of_tokio(task: &tokio::task::JoinHandle<()>) -> Self {
        Self(Handling::Tokio(AbortOnDrop(Some(task.abort_handle()))))
    }

    /// Lets the future run to its end without an owner.
    pub fn detach(self) {
        match self.0 {
            Handling::Pool(task) => task.detach(),
            Handling::Tokio(mut task) => task.0 = None,
        }
    }

    /// Whether the future has ended.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Handling::Pool(task) => task.is_finished(),
            Handling::Tokio(task) => task.0.as_ref().is_none_or(tokio::task::AbortHandle::is_finished),
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("is_finished", &self.is_finished()).finish()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// A future on a tokio runtime whose polls are watched.
struct Watched<F> {
    watch: Arc<Watch>,
    name: Arc<Name>,
    future: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let slot = self.watch.slot_of_this_thread();
        let name = Arc::clone(&self.name);
        let mut result = Poll::Pending;
        slot.polling(&name, || result = self.future.as_mut().poll(cx));
        result
    }
}
