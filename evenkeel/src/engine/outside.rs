//! What handles ask for, outside of any event.

use tokio::sync::oneshot;

use super::job::JobBody;
use crate::event::Conversation;
use crate::journal::Acceptance;
use crate::reply::Action;

/// By this command, what was said outside of any event is known as a dead letter.
pub(super) const COMMAND: &str = "handle";

/// What a handle asks for. Whoever asks waits for the answer, and may have gone when it comes.
#[derive(Debug)]
pub(crate) enum OutsideRequest {
    /// Say these, all of them or nothing; tell what became of each once they are kept.
    Say { said: Vec<Saying>, answer: oneshot::Sender<Told<Vec<Acceptance>>> },
    /// Plan this; tell whether it ever comes, once it is kept.
    Plan { planned: Planned, answer: oneshot::Sender<Told<bool>> },
    /// Forget the job of this name, if it belongs to the conversation with this id; tell whether there was one.
    Cancel { name: String, conversation: String, answer: oneshot::Sender<Told<bool>> },
}

/// What a handle is told. One that is told nothing, for the other end is gone, does not know whether it was kept.
pub(crate) type Told<T> = Result<T, NothingKept>;

/// The bot has ended, and certainly has kept nothing of it.
#[derive(Debug)]
pub(crate) struct NothingKept;

/// What is said at once in one conversation, as the network can carry it.
#[derive(Debug)]
pub(crate) struct Saying {
    pub(crate) conversation: Conversation,
    /// At least one.
    pub(crate) actions: Vec<Action>,
    /// By what it is known when it comes once more.
    pub(crate) id: Option<String>,
}

/// A call that is planned.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) name: String,
    /// What is done, and where; again and again, if it says so.
    pub(crate) body: JobBody,
    pub(crate) due: Due,
}

/// When it is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// In milliseconds since 1970.
    At(u64),
    /// So many milliseconds from now.
    After(u64),
    /// As what it does again and again says, counted from now.
    First,
}

impl OutsideRequest {
    /// How many things it asks for.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Say { said, .. } => said.len(),
            Self::Plan { .. } | Self::Cancel { .. } => 1,
        }
    }

    /// The bot ends, and keeps nothing of it.
    pub(crate) fn refuse(self) {
        match self {
            // Whoever asked may be gone.
            Self::Say { answer, .. } => drop(answer.send(Err(NothingKept))),
            Self::Plan { answer, .. } | Self::Cancel { answer, .. } => drop(answer.send(Err(NothingKept))),
        }
    }
}
