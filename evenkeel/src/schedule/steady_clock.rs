//! What time it is, for a program that lives longer than the setting of its clock.

use std::time::Duration;

/// How far the wall clock may lie behind the time already told before time goes slower.
pub const BACKWARD_TOLERANCE: Duration = Duration::from_secs(5);

/// How far the wall clock may move against the monotonic one before that is reported, and before it is believed only when it
/// lasts.
pub const STEP_TOLERANCE: Duration = Duration::from_secs(2);

/// For how long the wall clock has to stay where it was set before it is believed.
pub const CONFIRMATION: Duration = Duration::from_secs(60);

/// A wall clock that lies behind by no more than this is waited for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3_600);

/// Tells the time from readings of the wall clock and of the monotonic one: it follows the wall clock, and no wrong reading.
///
/// | the wall clock was set | the time told |
/// |---|---|
/// | forward by more than [`STEP_TOLERANCE`] | goes on by the monotonic clock, and follows once that has lasted for a [`CONFIRMATION`] |
/// | back by no more than [`BACKWARD_TOLERANCE`] | stands still until it is reached |
/// | back by up to [`LONGEST_WAIT`] | goes slower, nine seconds in ten, until the wall clock has caught up: what was fired is not fired again, and nothing waits for an hour that the clock lost |
/// | back by more | goes on by the monotonic clock, and follows once that has lasted for a [`CONFIRMATION`]: the time before was wrong. This is the only way in which it runs backwards |
///
/// At the first reading a wall clock that is ahead of the record is followed at once: nobody knows for how long the bot was
/// down.
///
/// ```
/// use std::time::Duration;
/// use evenkeel::schedule::{SteadyClock, Step};
///
/// let seconds = Duration::from_secs;
/// let mut clock = SteadyClock::new(0);
/// assert_eq!(clock.read(1_000_000, seconds(0)).now_ms, 1_000_000);
/// let reading = clock.read(410_000, seconds(10)); // set back by ten minutes
/// assert_eq!((reading.now_ms, reading.step), (1_009_000, Some(Step::Back(seconds(600)))));
/// assert_eq!(clock.read(420_000, seconds(20)).now_ms, 1_018_000);
/// assert_eq!(clock.read(1_030_000, seconds(30)).step, Some(Step::Forward(seconds(600))));
/// ```
#[derive(Clone, Debug)]
pub struct SteadyClock {
    /// The latest time told, or known from before.
    latest_ms: u64,
    /// The readings by which further ones are judged: wall clock and monotonic clock.
    reference: Option<(u64, Duration)>,
    /// The monotonic clock at the last reading.
    elapsed: Duration,
    /// From where time goes on while the wall clock is not followed: a time told, and the monotonic clock at it.
    base: (u64, Duration),
    course: Course,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// By the wall clock.
    Followed,
    /// By the monotonic clock, since the wall clock went elsewhere.
    Doubted { since: Duration },
    /// Slower than the monotonic clock, until the wall clock has caught up.
    Slow,
}

/// One reading of [`SteadyClock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The time to go by, in milliseconds since 1970.
    pub now_ms: u64,
    /// Whether the wall clock was set since the last report, for the log.
    pub step: Option<Step>,
    /// How far the wall clock lies behind `now_ms`: zero while it is followed, and where it is ahead.
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

impl SteadyClock {
    /// A clock that starts from the latest time in the record, `0` without one.
    #[must_use]
    pub fn new(latest_ms: u64) -> Self {
        let (base, course) = ((latest_ms, Duration::ZERO), Course::Followed);
        Self { latest_ms, reference: None, elapsed: Duration::ZERO, base, course }
    }

    /// Takes a reading of both clocks: `wall_ms` in milliseconds since 1970, `elapsed` since a fixed point of this run.
    pub fn read(&mut self, wall_ms: u64, elapsed: Duration) -> Reading {
        let elapsed = elapsed.max(self.elapsed);
        if self.reference.is_none() {
            // What was before the first reading is over.
            (self.elapsed, self.base.1) = (elapsed, elapsed);
        }
        let is_first = self.reference.is_none();
        let step = self.step(wall_ms, elapsed);
        let now_ms = self.tell(wall_ms, elapsed, is_first, step.is_some());
        (self.latest_ms, self.elapsed) = (now_ms, elapsed);
        Reading { now_ms, step, behind: Duration::from_millis(now_ms.saturating_sub(wall_ms)) }
    }

    fn tell(&mut self, wall_ms: u64, elapsed: Duration, is_first: bool, is_set: bool) -> u64 {
        let told_ms = self.running(elapsed);
        let ahead = Duration::from_millis(wall_ms.saturating_sub(told_ms));
        let behind = Duration::from_millis(told_ms.saturating_sub(wall_ms));
        let is_far = behind > LONGEST_WAIT || ahead > STEP_TOLERANCE && !is_first;
        let since = match self.course {
            Course::Doubted { since } if !is_set => since,
            _ => elapsed,
        };
        if is_far && elapsed.saturating_sub(since) < CONFIRMATION {
            self.turn(Course::Doubted { since });
            return self.running(elapsed);
        }
        if !is_far && behind > BACKWARD_TOLERANCE {
            self.turn(Course::Slow);
            return self.running(elapsed).max(self.latest_ms);
        }
        let now_ms = if is_far { wall_ms } else { wall_ms.max(self.latest_ms) };
        (self.course, self.base) = (Course::Followed, (now_ms, elapsed));
        now_ms
    }

    /// Goes on in another way from the time told last.
    fn turn(&mut self, course: Course) {
        if std::mem::discriminant(&course) != std::mem::discriminant(&self.course) {
            self.base = (self.latest_ms, self.elapsed);
        }
        self.course = course;
    }

    /// The time by the monotonic clock.
    fn running(&self, elapsed: Duration) -> u64 {
        let (told_ms, at) = self.base;
        let passed = elapsed.saturating_sub(at);
        let passed = if self.course == Course::Slow { passed / 10 * 9 } else { passed };
        told_ms.saturating_add(millis(passed))
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
