//! How far a running handler is: for how long it has run, and where it waits.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use evenkeel_guard::{Asker, Label};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// The crates whose lines are no author's: reports name the line of the bot that called them, or that they called.
pub(crate) const OWN_CRATES: &[&str] = &["evenkeel"];

/// What others may learn of one attempt while it runs. The driver has it, and so has the attempt.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) asker: Asker,
    /// The command, once its trigger is known.
    pub(crate) label: OnceLock<Label>,
    pub(crate) stopwatch: Stopwatch,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            asker: Asker::new().with_runtime_crates(OWN_CRATES),
            label: OnceLock::new(),
            stopwatch: Stopwatch::new(),
        }
    }
}

/// The time that counts for a handler's limit: it stands still while the handler waits for people, for the network or for the
/// journal, since none of them is its fault.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    began: Instant,
    state: Mutex<State>,
    /// Told when it stands still, and when it goes on.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// What was counted until it stood still last.
    counted: Duration,
    /// Since when it counts; `None` while it stands still.
    since: Option<Instant>,
    /// How many hold it.
    holders: usize,
}

impl Stopwatch {
    fn new() -> Self {
        let began = Instant::now();
        let state = State { counted: Duration::ZERO, since: Some(began), holders: 0 };
        Self { began, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the attempt began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Whether it stands still.
    pub(crate) fn is_held(&self) -> bool {
        self.state().since.is_none()
    }

    /// Stands still until the hold is dropped.
    pub(crate) fn hold(&self) -> Hold<'_> {
        let mut state = self.state();
        state.holders += 1;
        if let Some(since) = state.since.take() {
            state.counted += since.elapsed();
            self.changed.notify_one();
        }
        Hold(self)
    }

    /// Counts from now on: what came before was no time of the handler's.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        state.counted = Duration::ZERO;
        state.since = state.since.is_some().then(Instant::now);
    }

    /// Waits until so much was counted. For one waiter: a holder tells one only.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn reaches(&self, limit: Duration) {
        loop {
            let left = {
                let state = self.state();
                state.since.map(|since| limit.saturating_sub(state.counted + since.elapsed()))
            };
            match left {
                Some(Duration::ZERO) => return,
                Some(left) => tokio::select! {
                    () = sleep(left) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }
}

/// Keeps a stopwatch still.
#[must_use]
pub(crate) struct Hold<'a>(&'a Stopwatch);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.holders -= 1;
        if state.holders == 0 {
            state.since = Some(Instant::now());
            self.0.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_held_does_not_count() {
        let stopwatch = Stopwatch::new();
        let began = Instant::now();
        let work = async {
            sleep(2 * SECOND).await;
            let (one, other) = (stopwatch.hold(), stopwatch.hold());
            sleep(100 * SECOND).await;
            drop(one);
            assert!(stopwatch.is_held());
            sleep(100 * SECOND).await;
            drop(other);
            sleep(SECOND).await;
            drop(stopwatch.hold());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = work => {}
            () = stopwatch.reaches(5 * SECOND) => {}
        }
        assert_eq!(began.elapsed(), 205 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_no_clock_can_name_is_never_reached() {
        let stopwatch = Stopwatch::new();
        let reached = tokio::time::timeout(1_000_000 * SECOND, stopwatch.reaches(Duration::MAX)).await;
        assert!(reached.is_err());
    }
}
