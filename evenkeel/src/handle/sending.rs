//! What is said by a handle: kept when the answer comes, and sent after that.

use std::future::IntoFuture;
use std::panic::Location;
use std::sync::Arc;

use super::asking::Asking;
use super::line::{Line, RunningBot};
use crate::engine::{OutsideRequest, Saying};
use crate::error::{Error, Result};
use crate::event::Conversation;
use crate::journal::Acceptance;
use crate::reply::{Action, Quoting, Reply, fitted};

/// So much may be said in one call of [`Handle::send_all`](super::Handle::send_all),
pub(super) const MOST: usize = 1_000;
/// and so much of it by one reply.
const MOST_ACTIONS: usize = 1_000;

/// What became of something that was said by a [`Handle`](super::Handle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promised {
    /// It is kept, and will be sent. By this number the journal knows its replies, should they become dead letters
    /// ([`DeadId::Reply`](crate::journal::DeadId::Reply)).
    New(u64),
    /// Something was said before under its id: nothing was added.
    Known,
    /// There was nothing to say.
    Nothing,
}

/// Something to be said in a conversation: nothing happens until it is awaited, [waited for](Self::wait), or handed to
/// [`Handle::send_all`](super::Handle::send_all).
///
/// # Cancel safety
///
/// Once it was polled, it may happen although the future is dropped.
#[must_use = "nothing is said until this is awaited, or `.wait()` is called"]
#[derive(Debug)]
pub struct Sending {
    line: Arc<Line>,
    conversation: Conversation,
    reply: Reply,
    id: Option<String>,
    /// Where it was said.
    place: &'static Location<'static>,
}

/// The same of several, by [`Handle::send_all`](super::Handle::send_all).
#[must_use = "nothing is said until this is awaited, or `.wait()` is called"]
#[derive(Debug)]
pub struct SendingAll {
    line: Arc<Line>,
    all: Vec<Sending>,
    place: &'static Location<'static>,
}

impl Sending {
    pub(super) fn new(
        line: Arc<Line>,
        conversation: Conversation,
        reply: Reply,
        place: &'static Location<'static>,
    ) -> Self {
        Self { line, conversation, reply, id: None, place }
    }

    /// Names it, so that it happens once however often it is said: after an error, after a restart, by two processes one after the other.
    /// Whatever is said under the same id is [known](Promised::Known), be it something else or elsewhere.
    ///
    /// An id is known for as long as the journal knows events again: 30 days on a file, the last 65,536 in memory.
    pub fn with_id(self, id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// Says it, and waits on this thread until it is kept; for code that is not async.
    ///
    /// # Errors
    ///
    /// As [`Asking::wait`].
    pub fn wait(self) -> Result<Promised> {
        self.into_future().wait()
    }

    async fn send(self) -> Result<Promised> {
        let (line, place) = (Arc::clone(&self.line), self.place);
        let mut promised = send_all(&line, vec![self], place).await?;
        Ok(promised.pop().unwrap_or(Promised::Nothing))
    }

    /// As this network can carry it; `None` if there is nothing to say.
    fn into_saying(self, running: &RunningBot) -> Result<Option<Saying>> {
        let Self { conversation, reply, id, place, .. } = self;
        let (actions, failure) = reply.into_parts();
        if let Some(failure) = failure {
            return Err(failure);
        }
        let actions = actions
            .into_iter()
            .map(said_to_nobody)
            .collect::<Result<_>>()
            .map_err(|error| error.at(place))?;
        let found = running.networks.find(&conversation).map_err(|error| error.at(place))?;
        let (conversation, can) = found;
        let actions = fitted(actions, can).map_err(|misfit| misfit.at(place))?;
        if actions.is_empty() {
            return Ok(None);
        }
        let error = match () {
            () if conversation.is_nowhere() => {
                Error::new("there is nobody in the conversation of a schedule")
                    .with_hint("say where it goes: `handle.to(&Conversation::direct(\"..\"))`")
            }
            () if actions.len() > MOST_ACTIONS => Error::new(format!(
                "{} messages of one reply are too many: none of them is sent",
                actions.len()
            ))
            .with_hint(format!("say at most {MOST_ACTIONS} at once")),
            () => return Ok(Some(Saying { conversation, actions, id })),
        };
        Err(error.at(place))
    }
}

impl IntoFuture for Sending {
    type Output = Result<Promised>;
    type IntoFuture = Asking<Promised>;

    fn into_future(self) -> Asking<Promised> {
        Asking::new(Arc::clone(&self.line), self.place, self.send())
    }
}

impl SendingAll {
    pub(super) fn new(line: Arc<Line>, all: Vec<Sending>, place: &'static Location<'static>) -> Self {
        Self { line, all, place }
    }

    /// Says all of it, and waits on this thread until it is kept.
    ///
    /// # Errors
    ///
    /// As [`Asking::wait`].
    pub fn wait(self) -> Result<Vec<Promised>> {
        self.into_future().wait()
    }
}

impl IntoFuture for SendingAll {
    type Output = Result<Vec<Promised>>;
    type IntoFuture = Asking<Vec<Promised>>;

    fn into_future(self) -> Asking<Vec<Promised>> {
        let Self { line, all, place } = self;
        let way = Arc::clone(&line);
        Asking::new(line, place, async move { send_all(&way, all, place).await })
    }
}

/// Says all of it or nothing, and answers what became of each, in order.
async fn send_all(
    line: &Arc<Line>,
    all: Vec<Sending>,
    place: &'static Location<'static>,
) -> Result<Vec<Promised>> {
    if all.len() > MOST {
        let error = Error::new(format!("{} at once are too many: none of them is sent", all.len()));
        return Err(error.with_hint(format!("send at most {MOST} by one call")).at(place));
    }
    if all.iter().any(|one| !Arc::ptr_eq(&one.line, line)) {
        return Err(Error::new("one of these is for another bot: none of them is sent").at(place));
    }
    let running = line.running().await.map_err(|error| error.at(place))?;
    let mut promised = Vec::with_capacity(all.len());
    let mut said = Vec::with_capacity(all.len());
    for one in all {
        let saying = one.into_saying(&running)?;
        promised.push(if saying.is_some() { Promised::Known } else { Promised::Nothing });
        said.extend(saying);
    }
    if said.is_empty() {
        return Ok(promised);
    }
    let answers = running.ask(|answer| OutsideRequest::Say { said, answer }).await;
    let answers = answers.map_err(|error| error.at(place))?;
    let kept = promised.iter_mut().filter(|one| **one == Promised::Known);
    for (one, answer) in kept.zip(answers) {
        if let Acceptance::New(number) = answer {
            *one = Promised::New(number);
        }
    }
    Ok(promised)
}

/// What has no event behind it: nothing is answered by it, and a typing notice is not kept.
fn said_to_nobody(mut action: Action) -> Result<Action> {
    match &mut action {
        Action::Send(draft) | Action::Edit { draft, .. } if draft.quote == Quoting::Asked => {
            draft.quote = Quoting::Nothing;
        }
        Action::Typing { .. } => {
            return Err(Error::new("a typing notice is not kept, so no handle sends one")
                .with_hint("`cx.typing()` of a handler shows it"));
        }
        _ => {}
    }
    Ok(action)
}
