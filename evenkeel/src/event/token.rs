//! What a network needs to have back with the replies to an event, and by when.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::moment;

/// What a network needs to have back with each reply to an event, as a text that only its transport understands: the token of
/// an interaction, for example. Cloning is cheap.
///
/// It is kept with the event and with its replies, so that they have it after a restart as well, until it is too old. It is a
/// secret: no log, page or export shows it.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReplyToken(Arc<Content>);

#[derive(Clone, Serialize, Deserialize)]
struct Content {
    text: Box<str>,
    /// Milliseconds since 1970; 0 where it does not grow old.
    #[serde(default, skip_serializing_if = "is_zero")]
    until_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ReplyToken {
    /// One that does not grow old.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Content { text: text.into(), until_ms: 0 }))
    }

    /// One that is too old from then on, to the millisecond: replies that are sent later have none.
    #[must_use]
    pub fn valid_until(mut self, until: SystemTime) -> Self {
        Arc::make_mut(&mut self.0).until_ms = moment::to_ms(until).max(1);
        self
    }

    /// The transport's own text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    pub(crate) fn is_valid_at(&self, now_ms: u64) -> bool {
        self.0.until_ms == 0 || now_ms < self.0.until_ms
    }

    pub(super) fn size_bytes(&self) -> usize {
        size_of::<Content>() + self.0.text.len()
    }
}

/// Two are the same if their texts are: an event that comes once more may have another time.
impl PartialEq for ReplyToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for ReplyToken {}

impl Hash for ReplyToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl fmt::Debug for ReplyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyToken(..)")
    }
}

/// By when something must have gone out in answer to an event: after that the network gives the event up.
///
/// The time runs from when the event is handed to the [`Inbox`](crate::transport::Inbox). A [margin](Self::with_margin) before its end the bot has
/// the transport say that it works on it, see [`Transport::defer`](crate::Transport::defer), unless something has gone out:
/// whatever handlers and the journal do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    within: Duration,
    /// `None` for a quarter of that.
    margin: Option<Duration>,
    command: Box<str>,
}

impl Deadline {
    /// Something must go out within this time. Take off what the way to the network may take.
    pub fn within(within: Duration) -> Self {
        Self { within, margin: None, command: Box::default() }
    }

    /// Says how long before the end the network is told that the bot works on it; a quarter of the time unless told.
    #[must_use]
    pub fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = Some(margin);
        self
    }

    /// Names the command that is asked for, as the network spells it, with or without what stands before its first letter: what is
    /// said meanwhile depends on its spec, and no route is looked for.
    #[must_use]
    pub fn for_command(mut self, command: impl Into<Box<str>>) -> Self {
        self.command = command.into();
        self
    }

    pub(crate) fn time(&self) -> Duration {
        self.within
    }

    /// After which time the network is told that the bot works on it.
    pub(crate) fn defer_after(&self) -> Duration {
        self.within.saturating_sub(self.margin.unwrap_or(self.within / 4))
    }

    pub(crate) fn command(&self) -> &str {
        &self.command
    }
}
