//! A handler and its time.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use evenkeel_guard::Wait;
use tokio::time::timeout;

use crate::error::Error;
use crate::progress::Progress;
use crate::reply::TOO_LONG;

/// How long a handler may take, unless told.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);
/// How long it is asked where it waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many waits are named.
const NAMED: usize = 3;

/// A handler that took longer than it may, and was let go.
pub(super) struct Overdue {
    limit: Duration,
    /// Where it waited when its time was over, as far as it could be learned.
    waits: Vec<Wait>,
}

/// Runs a handler until its time is over. It is then dropped where it waits; one that does not wait, because it blocks its
/// thread, is dropped at its next `.await`.
pub(super) async fn limited<F: Future>(
    handler: F,
    limit: Duration,
    progress: &Progress,
) -> Result<F::Output, Overdue> {
    let mut handler = pin!(progress.asker.attach(handler));
    // What it has waited for in quarantine is not its own.
    progress.stopwatch.restart();
    tokio::select! {
        biased;
        done = &mut handler => return Ok(done),
        () = progress.stopwatch.reaches(limit) => {}
    }
    tokio::select! {
        biased;
        // It may end in the last moment.
        done = &mut handler => Ok(done),
        waits = timeout(PATIENCE, progress.asker.ask()) => {
            Err(Overdue { limit, waits: waits.ok().flatten().unwrap_or_default() })
        }
    }
}

impl Overdue {
    /// What is said of it: one attempt more would take as long, so there is none unless the author wants it for any error.
    pub(super) fn into_error(self) -> Error {
        let Self { limit, waits } = self;
        let mut text = format!("it took longer than its limit of {limit:?}");
        for (index, wait) in waits.iter().take(NAMED).enumerate() {
            text += if index == 0 { ": it waits " } else { ", and " };
            text += &wait.to_string();
        }
        if waits.len() > NAMED {
            text += &format!(", and in {} more places", waits.len() - NAMED);
        }
        if waits.iter().all(|wait| wait.path.iter().all(|frame| frame.line.is_none())) {
            text += " (lines need `debug = \"line-tables-only\"` under `[profile.release]`)";
        }
        Error::new(text).with_user_message(TOO_LONG).permanent().with_hint(
            "give what is awaited a time of its own (`tokio::time::timeout`), or the command more: `Trigger::within(..)`",
        )
    }
}
