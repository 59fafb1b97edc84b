//! What a dead letter is about, read when somebody looks at it: a list of many is mostly looked at as a table.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::event::Event;
use crate::reply::{Outbound, SendKey};

/// The event or the reply of a dead letter.
#[derive(Clone)]
pub(crate) struct Content {
    /// As it lies in a journal; `None` where it is read already.
    written: Option<Written>,
    read: OnceLock<Read>,
}

/// What an event or a reply was written as.
#[derive(Clone)]
#[cfg_attr(
    not(feature = "sqlite"),
    expect(dead_code, reason = "only a journal on a file has anything written")
)]
pub(super) struct Written {
    /// That of a reply; of an event, its number.
    pub(super) key: SendKey,
    pub(super) text: Box<[u8]>,
    /// What the journal keeps apart from the text, if there is any.
    pub(super) files: Bytes,
    pub(super) read: fn(&Written) -> Read,
}

#[derive(Clone)]
pub(super) enum Read {
    Event(Event),
    Reply(Box<Outbound>),
    Unreadable,
}

impl From<Event> for Content {
    fn from(event: Event) -> Self {
        Self { written: None, read: OnceLock::from(Read::Event(event)) }
    }
}

impl From<Outbound> for Content {
    fn from(reply: Outbound) -> Self {
        Self { written: None, read: OnceLock::from(Read::Reply(Box::new(reply))) }
    }
}

impl From<Written> for Content {
    fn from(written: Written) -> Self {
        Self { written: Some(written), read: OnceLock::new() }
    }
}

impl Content {
    #[cfg(all(test, feature = "sqlite"))]
    pub(super) fn is_read(&self) -> bool {
        self.read.get().is_some()
    }

    pub(super) fn read(&self) -> &Read {
        self.read.get_or_init(|| match &self.written {
            Some(written) => (written.read)(written),
            None => Read::Unreadable,
        })
    }
}
