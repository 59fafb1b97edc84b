//! What time it is, for a program that lives longer than the setting of its clock.

use std::time::Duration;

/// How far the wall clock may lie behind the time already told before it is no longer followed.
pub const BACKWARD_TOLERANCE: Duration = Duration::from_secs(5);

/// How far the wall clock may move against the monotonic one before that is reported.
pub const STEP_TOLERANCE: Duration = Duration::from_secs(2);

/// Tells a time that never runs backwards, from readings of the wall clock and of the monotonic one.
///
/// It follows the wall clock. Where that was set back behind a time already told, by more than [`BACKWARD_TOLERANCE`],
/// the time goes on from there on the monotonic clock until the wall clock comes near again; where it was set back by
/// less, the time stands still until it is reached. So what was fired is not fired again, and nothing waits for an hour
/// that the clock lost. A clock set forward is followed at once.
///
/// ```
/// use std::time::Duration;
/// use evenkeel::schedule::{Hands, Step};
///
/// let seconds = Duration::from_secs;
/// let mut hands = Hands::new(0);
/// assert_eq!(hands.read(1_000_000, seconds(0)).now_ms, 1_000_000);
/// let reading = hands.read(401_000, seconds(1)); // set back by ten minutes
/// assert_eq!((reading.now_ms, reading.step), (1_001_000, Some(Step::Back(seconds(600)))));
/// assert_eq!(hands.read(402_000, seconds(2)).now_ms, 1_002_000);
/// assert_eq!(hands.read(1_003_000, seconds(3)).step, Some(Step::Forward(seconds(600))));
/// ```
#[derive(Clone, Debug)]
pub struct Hands {
    /// The latest time told, or known from before.
    latest_ms: u64,
    /// The readings by which further ones are judged: wall clock and monotonic clock.
    reference: Option<(u64, Duration)>,
    /// The monotonic clock at the last reading.
    elapsed: Duration,
    /// From where time goes on while the wall clock is behind: a time told, and the monotonic clock at it.
    held: Option<(u64, Duration)>,
}

/// One reading of [`Hands`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The time to go by, in milliseconds since 1970; never less than one told before.
    pub now_ms: u64,
    /// Whether the wall clock was set since the last report, for the log.
    pub step: Option<Step>,
    /// How far the wall clock lies behind `now_ms`: zero while it is followed.
    pub behind: Duration,
}

/// A wall clock that was set, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Forward; also what a machine shows that slept, where its monotonic clock stands still meanwhile.
    Forward(Duration),
    /// Back.
    Back(Duration),
}

impl Hands {
    /// Hands that start from the latest time in the record, `0` without one.
    #[must_use]
    pub fn new(latest_ms: u64) -> Self {
        Self { latest_ms, reference: None, elapsed: Duration::ZERO, held: None }
    }

    /// Takes a reading of both clocks: `wall_ms` in milliseconds since 1970, `elapsed` since a fixed point of this run.
    pub fn read(&mut self, wall_ms: u64, elapsed: Duration) -> Reading {
        let elapsed = elapsed.max(self.elapsed);
        let since = if self.reference.is_none() { elapsed } else { self.elapsed };
        let step = self.step(wall_ms, elapsed);
        let running =
            |(base_ms, base): (u64, Duration)| base_ms.saturating_add(millis(elapsed.saturating_sub(base)));
        let told_ms = self.held.map_or(self.latest_ms, running);
        let now_ms = if wall_ms.saturating_add(millis(BACKWARD_TOLERANCE)) < told_ms {
            running(*self.held.get_or_insert((self.latest_ms, since)))
        } else {
            self.held = None;
            wall_ms.max(self.latest_ms)
        };
        (self.latest_ms, self.elapsed) = (now_ms, elapsed);
        Reading { now_ms, step, behind: Duration::from_millis(now_ms.saturating_sub(wall_ms)) }
    }

    /// Whether the wall clock has moved against the monotonic one since the last report; if so, that is the report.
    fn step(&mut self, wall_ms: u64, elapsed: Duration) -> Option<Step> {
        let (expected_ms, is_first) = match self.reference {
            Some((wall_ms, at)) => (wall_ms.saturating_add(millis(elapsed.saturating_sub(at))), false),
            None => (self.latest_ms, true),
        };
        let difference = Duration::from_millis(wall_ms.abs_diff(expected_ms));
        let is_small = difference <= STEP_TOLERANCE;
        if is_first || !is_small {
            self.reference = Some((wall_ms, elapsed));
        }
        match wall_ms > expected_ms {
            _ if is_small => None,
            // Nobody knows for how long the bot was down: only a clock behind the record has certainly been set.
            true if is_first => None,
            true => Some(Step::Forward(difference)),
            false => Some(Step::Back(difference)),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
