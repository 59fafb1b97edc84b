//! What is planned by a handle.

use std::future::IntoFuture;
use std::panic::Location;
use std::sync::Arc;

use super::asking::Asking;
use super::line::Line;
use crate::engine::{Due, OutsideRequest, Planned};
use crate::error::{Error, Result};
use crate::job::JobId;
use crate::reserved;

/// A job to be planned: nothing happens until it is awaited, or [waited for](Self::wait).
///
/// # Cancel safety
///
/// Once it was polled, it may happen although the future is dropped.
#[must_use = "nothing is planned until this is awaited, or `.wait()` is called"]
#[derive(Debug)]
pub struct Planning {
    line: Arc<Line>,
    planned: Result<Planned>,
    place: &'static Location<'static>,
}

impl Planning {
    pub(super) fn new(line: Arc<Line>, planned: Result<Planned>, place: &'static Location<'static>) -> Self {
        Self { line, planned, place }
    }

    /// Names it, in any conversation: where a job of this id waits, this one takes its place. Once that has run, the next one is another.
    pub fn with_id(mut self, id: impl AsRef<str>) -> Self {
        if let Ok(planned) = &mut self.planned {
            planned.name = reserved::planned(id.as_ref());
        }
        self
    }

    /// Plans it, and waits on this thread until it is kept.
    ///
    /// # Errors
    ///
    /// As [`Asking::wait`].
    pub fn wait(self) -> Result<JobId> {
        self.into_future().wait()
    }
}

impl IntoFuture for Planning {
    type Output = Result<JobId>;
    type IntoFuture = Asking<JobId>;

    fn into_future(self) -> Asking<JobId> {
        let Self { line, planned, place } = self;
        let way = Arc::clone(&line);
        Asking::new(line, place, async move { plan(&way, planned?).await.map_err(|error| error.at(place)) })
    }
}

async fn plan(line: &Line, mut planned: Planned) -> Result<JobId> {
    let running = line.running().await?;
    planned.body = planned.body.on(&running.networks)?;
    let id = JobId::new(planned.name.clone());
    let (due, again) = (planned.due, planned.body.again.clone());
    let comes = running.ask(|answer| OutsideRequest::Plan { planned, answer }).await?;
    match again {
        Some(again) if !comes && matches!(due, Due::First) => {
            Err(Error::new(format!("`{}` never comes", again.schedule)))
        }
        _ if !comes => Err(Error::new("the job cannot be written down")),
        _ => Ok(id),
    }
}
