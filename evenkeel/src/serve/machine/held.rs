//! An event that was accepted and is not done.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::event::Event;
use crate::journal::Fact;

/// An event that was accepted and is not done.
#[derive(Debug)]
pub(in crate::serve) struct Held {
    pub(in crate::serve) event: Event,
    pub(super) lane: Arc<str>,
    pub(in crate::serve) at: Duration,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    /// When the first attempt of this process failed.
    pub(super) failing_since: Option<Duration>,
    pub(super) place: Place,
    pub(super) is_parked: bool,
    /// Whether the operator has replayed it since the start.
    pub(super) is_replayed: bool,
    pub(super) facts: Vec<Fact>,
    /// Whether it answers nobody's question: those who wait in its lane have seen it, or its handler has begun before.
    pub(super) is_no_answer: bool,
    /// Tells a handler that has waited long enough that it has its lane.
    pub(super) resumes: Option<oneshot::Sender<()>>,
}

/// Where the handler of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It does not run.
    Queued,
    /// It runs and has the lane.
    Running,
    /// It waits for somebody; others have the lane.
    Waiting,
    /// It runs beside the lane, because it ceased to wait by itself.
    Loose,
}

impl Place {
    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Loose)
    }
}
