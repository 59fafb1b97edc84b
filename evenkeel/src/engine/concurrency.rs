//! Which events do not wait for their conversation.

use std::fmt;

use crate::event::Event;

/// Whether an event does not wait for its conversation. It is asked of each event where a bot has such commands: it runs no code of the
/// author's, and looks at no more of a text than a command can be.
pub(crate) type IsConcurrent = Box<dyn Fn(&Event) -> bool + Send>;

/// See the module.
#[derive(Default)]
pub(super) struct Concurrency(Option<IsConcurrent>);

impl Concurrency {
    pub(super) fn new(is_concurrent: Option<IsConcurrent>) -> Self {
        Self(is_concurrent)
    }

    /// Whether this event is one of them.
    pub(super) fn covers(&self, event: &Event) -> bool {
        self.0.as_ref().is_some_and(|is_concurrent| is_concurrent(event))
    }
}

impl fmt::Debug for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Concurrency").field(&self.0.is_some()).finish()
    }
}
