//! What time it is. A clock of the author's is code of the author's: it runs where handlers run, not where the driver does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evenkeel_guard::{Executor, Label, Task};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::error::panic_message;
use crate::moment;

/// Tells the time in milliseconds since 1970.
pub(super) type Clock = Box<dyn Fn() -> u64 + Send>;

/// How often an author's clock is read; in between, time goes on by the monotonic clock.
const EVERY: Duration = Duration::from_secs(1);

/// How long the start waits for the first reading.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the time comes from.
pub(super) enum Source {
    /// A function that neither panics nor blocks: the system's clock.
    Own(Clock),
    /// Such a one that goes with tokio's clock and that nobody sets: that of the testing kit.
    Steady(Clock),
    Authors(Clock),
}

impl Source {
    pub(super) fn system() -> Self {
        Self::Own(Box::new(moment::now_ms))
    }

    /// Begins to tell the time.
    pub(super) async fn start(self, executor: &Executor) -> WallClock {
        match self {
            Self::Own(clock) => WallClock::Own(clock),
            Self::Steady(clock) => WallClock::Steady(clock),
            Self::Authors(clock) => WallClock::read(clock, executor).await,
        }
    }
}

/// The clock that the driver looks at. It neither panics nor blocks.
pub(super) enum WallClock {
    Own(Clock),
    Steady(Clock),
    /// The last reading of an author's clock, and the task that takes the readings and ends with this.
    Read {
        last: Arc<Mutex<Reading>>,
        _reader: Task,
    },
}

#[derive(Clone, Copy)]
pub(super) struct Reading {
    wall_ms: u64,
    at: Instant,
}

impl Reading {
    fn new(wall_ms: u64) -> Self {
        Self { wall_ms, at: Instant::now() }
    }
}

impl WallClock {
    async fn read(clock: Clock, executor: &Executor) -> Self {
        let last = Arc::new(Mutex::new(Reading::new(moment::now_ms())));
        let (first, has_read) = oneshot::channel();
        let reader = executor.spawn(&Label::new("clock"), keep_reading(clock, Arc::clone(&last), first));
        if timeout(PATIENCE, has_read).await.is_err() {
            tracing::error!(
                "the clock of `Bot::with_clock` does not answer: the system's clock is used until it does"
            );
        }
        Self::Read { last, _reader: reader }
    }

    /// Whether nobody sets it: who waits for a time need not look again before.
    pub(super) fn is_steady(&self) -> bool {
        matches!(self, Self::Steady(_))
    }

    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        match self {
            Self::Own(clock) | Self::Steady(clock) => clock(),
            Self::Read { last, .. } => {
                let Reading { wall_ms, at } = *last.lock().unwrap_or_else(PoisonError::into_inner);
                wall_ms.saturating_add(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
        }
    }
}

async fn keep_reading(clock: Clock, last: Arc<Mutex<Reading>>, first: oneshot::Sender<()>) {
    let (mut first, mut has_panicked) = (Some(first), false);
    loop {
        match catch_unwind(AssertUnwindSafe(&clock)) {
            Ok(wall_ms) => *last.lock().unwrap_or_else(PoisonError::into_inner) = Reading::new(wall_ms),
            Err(panic) => {
                let error = panic_message(panic);
                if !std::mem::replace(&mut has_panicked, true) {
                    tracing::error!(
                        error,
                        "the clock of `Bot::with_clock` panicked: time goes on by its last reading"
                    );
                }
            }
        }
        if let Some(first) = first.take() {
            // The start may have stopped waiting.
            let _heard = first.send(());
        }
        sleep(EVERY).await;
    }
}
