//! What became of something that was asked of a bot that has ended.

use std::fmt;

use crate::error::Error;

/// What a bot has made of something that a [`Handle`](super::Handle) has asked for when it ended: `error.find::<BotEnded>()` tells it.
///
/// ```
/// use evenkeel::handle::{BotEnded, Handle};
/// use evenkeel::{Conversation, Result};
///
/// async fn alarm(handle: &Handle, text: String) -> Result<()> {
///     match handle.to(&Conversation::group("crew")).send(text).await {
///         Err(error) if error.find() == Some(&BotEnded::NothingKept) => Ok(eprintln!("nobody hears of it")),
///         sent => sent.map(drop),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BotEnded {
    /// It certainly keeps nothing of it.
    NothingKept,
    /// It was asked, and has not answered: nobody knows whether it is kept. Where it has an [id](super::Sending::with_id), it may be asked
    /// of the next bot again.
    Unknown,
}

impl BotEnded {
    #[track_caller]
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::NothingKept => Error::new("the bot has ended").caused_by(self),
            Self::Unknown => Error::new("the bot has ended before it answered").caused_by(self).with_hint(
                "say it again to the next bot with the same id, `.with_id(..)`, and it happens once at most",
            ),
        }
    }
}

impl fmt::Display for BotEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingKept => "nothing of what was asked is kept",
            Self::Unknown => "nobody knows whether what was asked is kept",
        })
    }
}

impl std::error::Error for BotEnded {}
