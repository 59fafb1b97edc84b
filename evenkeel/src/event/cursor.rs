//! How far a source of events has been read.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// How far a source of events has been read: a position that only its transport understands, such as the number of the last
/// event of a session together with the session's name. Cloning is cheap.
///
/// An event [carries](crate::Event::with_cursor) the position behind it. It is kept with the event, in one transaction, and the
/// next start finds it in [`Inbox::cursor`](crate::transport::Inbox::cursor).
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    source: Arc<str>,
    position: Bytes,
}

impl Cursor {
    /// A position in the one source that a transport reads.
    pub fn new(position: impl Into<Bytes>) -> Self {
        Self::of("", position)
    }

    /// A position in one of several sources, which the transport names: a shard, for example.
    pub fn of(source: impl Into<Arc<str>>, position: impl Into<Bytes>) -> Self {
        Self { source: source.into(), position: position.into() }
    }

    /// The source's name within its transport; empty for the only one.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The position, as the transport wrote it.
    pub fn position(&self) -> &Bytes {
        &self.position
    }

    pub(crate) fn into_parts(self) -> (Arc<str>, Bytes) {
        (self.source, self.position)
    }
}

/// A position may name a session, which is a secret.
impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({:?}, {} bytes)", self.source, self.position.len())
    }
}
