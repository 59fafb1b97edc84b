//! What a dead letter is about, read when somebody looks at it: a list of many is mostly looked at as a table.

use std::sync::OnceLock;

use super::body::Body;
use super::id::ReplyId;
use crate::event::Event;
use crate::reply::Outbound;

/// The event or the reply of a dead letter.
#[derive(Clone)]
pub(crate) struct Content {
    /// The name of a reply; `None` for an event.
    reply: Option<ReplyId>,
    body: Body<'static>,
    read: OnceLock<Read>,
}

#[derive(Clone)]
pub(super) enum Read {
    Event(Event),
    Reply(Box<Outbound>),
    Unreadable,
}

impl Content {
    pub(super) fn event(body: Body<'static>) -> Self {
        Self { reply: None, body, read: OnceLock::new() }
    }

    pub(super) fn reply(id: ReplyId, body: Body<'static>) -> Self {
        Self { reply: Some(id), body, read: OnceLock::new() }
    }

    #[cfg(all(test, feature = "sqlite"))]
    pub(super) fn is_read(&self) -> bool {
        self.read.get().is_some()
    }

    pub(super) fn read(&self) -> &Read {
        self.read.get_or_init(|| {
            let body = self.body.clone();
            match self.reply {
                None => body.into_event().map_or(Read::Unreadable, Read::Event),
                Some(id) => body.into_reply(id).map_or(Read::Unreadable, |reply| Read::Reply(reply.into())),
            }
        })
    }
}

impl From<Event> for Content {
    fn from(event: Event) -> Self {
        Self::event(Body::Event(std::borrow::Cow::Owned(event)))
    }
}

impl From<Outbound> for Content {
    fn from(reply: Outbound) -> Self {
        Self::reply(reply.key.into(), Body::Kept(Box::new(reply)))
    }
}
