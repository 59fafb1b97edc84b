//! Platforms on which no thread's stack can be had.

use super::Taken;
use crate::sys::ThreadId;

pub(super) struct Capture;

impl Capture {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn take(&mut self, _thread: ThreadId, _still: &dyn Fn() -> bool) -> Option<Taken> {
        None
    }
}

pub(super) fn is_refused() -> bool {
    false
}

/// Nothing is copied, so nothing is refused.
pub(super) fn can_read_memory() -> bool {
    true
}
