//! What is known of one event that is not done.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::event::Event;
use crate::journal::CompletedEffect;

/// An event that was accepted and is not done.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) event: Event,
    pub(super) lane: Arc<str>,
    /// When it came in or was taken up.
    pub(super) since: Duration,
    pub(super) attempts: u32,
    /// How often the process ended in the middle of it.
    pub(super) crashes: u32,
    /// When the first attempt of this process failed.
    pub(super) failing_since: Option<Duration>,
    pub(super) stage: Stage,
    /// Whether its handler has begun, in this process or before.
    pub(super) has_begun: bool,
    pub(super) is_parked: bool,
    /// Whether the operator has replayed it since the start.
    pub(super) is_replayed: bool,
    pub(super) facts: Vec<CompletedEffect>,
    /// Whether it answers nobody's question: those who wait in its lane have seen it, or its handler has begun before.
    pub(super) is_no_answer: bool,
    /// Tells a handler that has waited long enough that it has its lane.
    pub(super) resumes: Option<oneshot::Sender<()>>,
}

impl InFlight {
    pub(super) fn new(event: Event, lane: Arc<str>, facts: Vec<CompletedEffect>, since: Duration) -> Self {
        Self {
            event,
            lane,
            since,
            attempts: 0,
            crashes: 0,
            failing_since: None,
            stage: Stage::Queued,
            has_begun: false,
            is_parked: false,
            is_replayed: false,
            facts,
            is_no_answer: false,
            resumes: None,
        }
    }
}

/// Where the handler of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It does not run.
    Queued,
    /// It runs and has the lane.
    Running,
    /// It waits for somebody; others have the lane.
    Waiting,
    /// It runs beside the lane, because it ceased to wait by itself.
    Beside,
}

impl Stage {
    /// Whether its handler runs, with the lane or beside it.
    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Beside)
    }

    /// Whether its lane goes on when it ends.
    pub(super) fn has_lane(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}
