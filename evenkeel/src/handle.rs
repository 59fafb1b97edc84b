//! Speaking without having been spoken to: a handle for whatever runs beside the bot.
//!
//! A [`Handle`] belongs to one bot, from before it runs until after it has ended, and may go to any thread. What it says is durable when
//! the answer comes: `Ok` means that it is in the journal, as a reply of a handler is, and leaves in its turn.
//!
//! ```
//! use evenkeel::handle::{Handle, Promised};
//! use evenkeel::{Bot, Conversation, Result, Router, sandbox::Sandbox};
//!
//! /// A thread that watches something: it is not async, and waits.
//! fn watch(handle: &Handle) -> Result<()> {
//!     let crew = handle.to(&Conversation::group("crew"));
//!     crew.send("the oven is hot").with_id("oven 17").wait()?;
//!     assert_eq!(crew.send("the oven is hot").with_id("oven 17").wait()?, Promised::Known);
//!     Ok(())
//! }
//!
//! # fn main() -> Result<()> {
//! let sandbox = Sandbox::new();
//! let bot = Bot::new(Router::new()).transport(sandbox.clone()).in_memory();
//! let handle = bot.handle();
//! let watching = std::thread::spawn(move || watch(&handle));
//! # let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! # let bot = bot.with_shutdown(async { drop(stopped.await) });
//! # let watched = std::thread::spawn(move || { let watched = watching.join(); drop(stop); watched });
//! bot.run()?;
//! # watched.join().unwrap().unwrap()
//! # }
//! ```

mod ended;
mod line;
mod blocking;
mod asking;
mod sending;
mod planning;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::engine::{Due, JobBody, JobFunctions, OutsideRequest, Planned};
use crate::error::Error;
use crate::event::Conversation;
use crate::job::{JobFunction, JobId, Repeat, Waiting, call, millis};
use crate::moment;
use crate::operator::{DeadLetters, Jobs, Operator};
use crate::reply::IntoReply;
use crate::status::Status;
pub use asking::Asking;
pub use ended::BotEnded;
use line::Line;
pub(crate) use line::LineEnd;
pub use planning::Planning;
pub use sending::{Promised, Sending, SendingAll};

/// Jobs that are listed at once.
const LISTED: usize = 1_000;

/// Says something in any conversation of a bot, plans jobs, and asks how it is; see the [module](self). Cloning is cheap.
///
/// Before the bot runs, what it is asked for waits until it does. While the journal cannot follow, as behind a full disk, or while
/// 65,536 replies are not sent, the next call waits: nothing is dropped. Once the bot has been told to stop, what is said is still kept until
/// its handlers and the hooks of its end have finished, and what does not leave in time is sent by the next start; a journal in memory keeps
/// nothing for that. From then on each call fails, and says that nothing was kept ([`BotEnded`]).
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    line: Arc<Line>,
    /// What shows the bot, which in a test is another one after each restart. Held for a clone.
    shown: Mutex<(Status, Operator)>,
    /// The functions that jobs may call.
    functions: Arc<JobFunctions>,
    /// What the names of jobs begin with, so that those of no other process are the same, and how many were given out.
    names: (u64, AtomicU64),
}

/// A conversation, as a [`Handle`] speaks there. Cloning is cheap.
#[derive(Clone)]
pub struct ConversationHandle {
    handle: Handle,
    conversation: Conversation,
}

impl Handle {
    /// A handle for a bot that is shown by these, and has these functions for jobs.
    pub(crate) fn new(shown: (Status, Operator), functions: Arc<JobFunctions>) -> (Self, LineEnd) {
        let (line, end) = Line::new();
        let names = (RandomState::new().hash_one("names of jobs"), AtomicU64::new(0));
        (Self(Arc::new(Shared { line: Arc::new(line), shown: Mutex::new(shown), functions, names })), end)
    }

    /// It belongs to another bot from now on, which is shown by these.
    pub(crate) fn belongs_to(&self, status: Status, operator: Operator) {
        *self.0.shown() = (status, operator);
    }

    /// Speaks in this conversation.
    pub fn to(&self, conversation: &Conversation) -> ConversationHandle {
        ConversationHandle { handle: self.clone(), conversation: conversation.clone() }
    }

    /// Says several things, in as many conversations: one commit, all of it or nothing, and at most a thousand by one call. What became of
    /// each is answered in their order.
    ///
    /// ```
    /// use evenkeel::{Conversation, Result, handle::Handle};
    ///
    /// async fn invite(handle: &Handle, people: &[String]) -> Result<usize> {
    ///     let each = |who: &String| {
    ///         let said = handle.to(&Conversation::direct(&**who)).send("you are invited");
    ///         said.with_id(format!("party {who}"))
    ///     };
    ///     Ok(handle.send_all(people.iter().map(each)).await?.len())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ConversationHandle::send`].
    ///
    /// # Cancel safety
    ///
    /// Once it was polled, it may happen although the future is dropped: all of it or nothing.
    #[track_caller]
    pub fn send_all(&self, all: impl IntoIterator<Item = Sending>) -> SendingAll {
        SendingAll::new(Arc::clone(&self.0.line), all.into_iter().collect(), Location::caller())
    }

    /// Asks the bot how it is, once it runs.
    pub fn status(&self) -> Status {
        self.0.shown().0.clone()
    }

    /// Lists, replays and discards what the bot gave up, once it runs. What handles have said has the command `handle` there.
    pub fn dead_letters(&self) -> DeadLetters {
        self.0.shown().1.letters.clone()
    }

    /// Lists and cancels the jobs of all conversations, once the bot runs.
    pub fn jobs(&self) -> Jobs {
        self.0.shown().1.jobs.clone()
    }
}

impl ConversationHandle {
    /// Says something, as a handler's reply: a text, a [`File`](crate::File), a [`Reply`](crate::Reply). All of one reply is kept together,
    /// and leaves in order, after what was said or promised there before. Nobody is slowed down for saying the same again.
    ///
    /// # Errors
    ///
    /// Awaiting it fails when the network cannot carry what is said, when what is said is a failure itself, and when the bot has ended
    /// ([`BotEnded`]).
    #[track_caller]
    pub fn send(&self, reply: impl IntoReply) -> Sending {
        let (line, conversation) = (Arc::clone(&self.handle.0.line), self.conversation.clone());
        Sending::new(line, conversation, reply.into_reply(), Location::caller())
    }

    /// Calls `function` with `args` as soon as it can: kept when this is awaited.
    ///
    /// # Errors
    ///
    /// When the function is not registered with [`Router::job`](crate::Router::job), when the arguments cannot be written as JSON, and when
    /// the bot has ended ([`BotEnded`]).
    #[track_caller]
    pub fn defer<F, A, T>(&self, function: F, args: T) -> Planning
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        self.plan(Due::At(0), function, args, None)
    }

    /// Calls `function` with `args` after this time, counted from when the bot hears of it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use evenkeel::{Conversation, Job, JobId, Result, handle::Handle};
    ///
    /// async fn remind(Job((what,)): Job<(String,)>) -> String { format!("do not forget: {what}") }
    ///
    /// async fn expires(handle: &Handle, crew: &Conversation) -> Result<JobId> {
    ///     let in_a_day = Duration::from_secs(86_400);
    ///     handle.to(crew).after(in_a_day, remind, ("the certificate".to_owned(),)).with_id("certificate").await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ConversationHandle::defer`].
    #[track_caller]
    pub fn after<F, A, T>(&self, pause: Duration, function: F, args: T) -> Planning
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        self.plan(Due::After(millis(pause)), function, args, None)
    }

    /// Calls `function` with `args` at this time, or at once where it is past.
    ///
    /// # Errors
    ///
    /// As [`ConversationHandle::defer`].
    #[track_caller]
    pub fn at<F, A, T>(&self, time: SystemTime, function: F, args: T) -> Planning
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        self.plan(Due::At(moment::to_ms(time)), function, args, None)
    }

    /// Calls `function` with `args` again and again, until it is cancelled.
    ///
    /// # Errors
    ///
    /// As [`ConversationHandle::defer`], and when the schedule never comes.
    #[track_caller]
    pub fn repeat<F, A, T>(&self, repeat: impl Into<Repeat>, function: F, args: T) -> Planning
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        self.plan(Due::First, function, args, Some(repeat.into()))
    }

    /// Forgets a job of this conversation, whoever has planned it; answers whether there was one.
    ///
    /// # Errors
    ///
    /// Awaiting it fails when the bot has ended ([`BotEnded`]).
    #[track_caller]
    pub fn cancel(&self, id: &JobId) -> Asking<bool> {
        let (name, conversation) = (id.as_str().to_owned(), self.conversation.clone());
        let (line, place) = (Arc::clone(&self.handle.0.line), Location::caller());
        let way = Arc::clone(&line);
        Asking::new(line, place, async move {
            let running = way.running().await.map_err(|error| error.at(place))?;
            let (conversation, _) = running.networks.find(&conversation).map_err(|error| error.at(place))?;
            let conversation = conversation.key().to_owned();
            let asked = running.ask(|answer| OutsideRequest::Cancel { name, conversation, answer }).await;
            asked.map_err(|error| error.at(place))
        })
    }

    /// The jobs that wait in this conversation, the earliest first, at most a thousand.
    ///
    /// # Errors
    ///
    /// Awaiting it fails when the bot has ended, and when its journal cannot be read, which the log tells.
    #[track_caller]
    pub fn jobs(&self) -> Asking<Vec<Waiting>> {
        let (jobs, conversation) = (self.handle.jobs(), self.conversation.clone());
        let place = Location::caller();
        let line = Arc::clone(&self.handle.0.line);
        let way = Arc::clone(&line);
        Asking::new(line, place, async move {
            let running = way.running().await.map_err(|error| error.at(place))?;
            let (conversation, _) = running.networks.find(&conversation).map_err(|error| error.at(place))?;
            let found = jobs.list(Some(conversation.key()), None, LISTED).await;
            let found =
                found.ok_or_else(|| Error::new("the bot has ended, or cannot read its jobs").at(place))?;
            Ok(found.iter().filter_map(Waiting::read).collect())
        })
    }

    #[track_caller]
    fn plan<F, A, T>(&self, due: Due, _: F, args: T, repeat: Option<Repeat>) -> Planning
    where
        F: JobFunction<A, T>,
        T: Serialize,
    {
        let shared = &self.handle.0;
        let called = call::<F, A, T>(|function| shared.functions.has(function), &args);
        let planned = called.map(|(function, args)| {
            // The bot counts from when it hears of it.
            let again = repeat.map(|repeat| repeat.counted_from(0));
            let body = JobBody::outside(function, args, self.conversation.clone(), again);
            Planned { name: shared.next_name(), body, due }
        });
        Planning::new(Arc::clone(&shared.line), planned, Location::caller())
    }

    /// Where it speaks.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }
}

impl Shared {
    fn shown(&self) -> MutexGuard<'_, (Status, Operator)> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for a job.
    fn next_name(&self) -> String {
        let (beginning, count) = &self.names;
        format!("{beginning:016x}.{}", count.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

impl fmt::Debug for ConversationHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationHandle").field("conversation", &self.conversation).finish_non_exhaustive()
    }
}
