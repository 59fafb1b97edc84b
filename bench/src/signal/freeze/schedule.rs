//! Who writes what, and when: made before the run, so that no answer can hold a message up.

use std::time::Duration;

use crate::random::Random;

/// The rate of the healthy and the bad together, unless the scene is about something else.
const PER_SECOND: f64 = 500.0;
/// The healthy write from this many conversations, in turn.
const HEALTHY_CONVERSATIONS: u32 = 1_000;
/// Handlers of a burst that sleep.
const ASLEEP: usize = 200;
const FROZEN: usize = 16;
/// Messages that nobody measures, before a rate: this many at this rate, and then this many at once.
const WARM_PER_SECOND: f64 = 3_000.0;
const WARM: Duration = Duration::from_millis(1_500);
const BURST: u32 = 100;
/// From one handler that blocks for a second to the next.
const LULL_PERIOD: Duration = Duration::from_millis(1_250);

/// A message and its time from the start.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Duration,
    pub(crate) command: &'static str,
    /// The number of the person who writes it.
    pub(crate) person: u32,
    pub(crate) part: Part,
}

/// What a message is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Written, and not counted.
    WarmUp,
    /// Somebody who does nothing wrong, and whose wait is measured.
    Healthy,
    /// Keeps a thread.
    Bad,
}

/// How much of each scene is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    pub(crate) warm_up: Duration,
    /// Of the scenes that are a steady mixture.
    pub(crate) steady: Duration,
    /// Of the scenes in which many handlers block at once.
    pub(crate) bursts: u32,
    /// `!freeze` takes five seconds, which the short form has not.
    pub(crate) freeze: (&'static str, Duration),
    /// Differs from run to run, and is the same for all contenders of one.
    pub(crate) seed: u64,
}

impl Length {
    /// They come one at a time, so there are more of them than of the bursts.
    fn lulls(&self) -> u32 {
        2 * self.bursts - 1
    }
}

/// The messages of a run, in the order of their times.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) lines: Vec<Line>,
    bad: u32,
    healthy: u32,
}

/// Healthy messages alone, at the common rate.
pub(crate) fn calm(length: &Length) -> Schedule {
    blocks(length, 0)
}

/// `percent` of the messages block for 200 ms; which ones is random, or they would never meet.
pub(crate) fn blocks(length: &Length, percent: u64) -> Schedule {
    let mut schedule = Schedule::default();
    let mut random = Random(length.seed);
    let total = length.warm_up + length.steady;
    for at in ticks(PER_SECOND, Duration::ZERO, total) {
        if at >= length.warm_up && random.below(100) < percent {
            schedule.bad(at, "!block");
        } else {
            schedule.ping(at, length);
        }
    }
    schedule
}

/// Sixteen handlers freeze at once, and everybody else goes on.
pub(crate) fn freeze(length: &Length) -> Schedule {
    let (command, time) = length.freeze;
    let mut schedule = Schedule::default();
    (0..FROZEN).for_each(|_| schedule.bad(length.warm_up, command));
    schedule.pings(200.0, length.warm_up + time + time / 5, length);
    schedule.sorted()
}

/// Two hundred handlers sleep for a second, again and again.
pub(crate) fn asleep(length: &Length) -> Schedule {
    bursts(length, "!nap", ASLEEP, Duration::from_secs(2), PER_SECOND)
}

/// Two handlers for each core compute for a second, again and again: on N cores that takes two seconds.
pub(crate) fn hogs(length: &Length) -> Schedule {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    bursts(length, "!spin", 2 * cores, Duration::from_millis(2_500), PER_SECOND)
}

/// Hardly anything to do: one message in 25 ms.
pub(crate) fn idle(length: &Length) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.pings(40.0, length.warm_up + LULL_PERIOD * length.lulls(), length);
    schedule
}

/// Hardly anything to do, and one handler that waits for a timer and then sleeps for a second.
pub(crate) fn driver(length: &Length) -> Schedule {
    let mut schedule = idle(length);
    for n in 0..length.lulls() {
        // Between two pings, so that the bot is idle when it comes.
        schedule.bad(length.warm_up + LULL_PERIOD * n + Duration::from_millis(10), "!lull");
    }
    schedule.sorted()
}

/// `count` bad messages at once, every `period`, among healthy ones.
fn bursts(
    length: &Length,
    command: &'static str,
    count: usize,
    period: Duration,
    per_second: f64,
) -> Schedule {
    let mut schedule = Schedule::default();
    for n in 0..length.bursts {
        (0..count).for_each(|_| schedule.bad(length.warm_up + period * n, command));
    }
    schedule.pings(per_second, length.warm_up + period * length.bursts, length);
    schedule.sorted()
}

/// A steady rate, which begins when a burst has been answered, on a bot whose journal has been round its log once.
pub(crate) fn after_burst(per_second: f64, time: Duration) -> Schedule {
    let burst = WARM + Duration::from_millis(300);
    let start = burst + Duration::from_millis(100);
    let length = Length { warm_up: start, steady: time, bursts: 0, freeze: ("", Duration::ZERO), seed: 0 };
    let mut schedule = Schedule::default();
    ticks(WARM_PER_SECOND, Duration::ZERO, WARM).for_each(|at| schedule.ping(at, &length));
    (0..BURST).for_each(|_| schedule.ping(burst, &length));
    ticks(per_second, start, start + time).for_each(|at| schedule.ping(at, &length));
    schedule
}

impl Schedule {
    fn pings(&mut self, per_second: f64, end: Duration, length: &Length) {
        ticks(per_second, Duration::ZERO, end).for_each(|at| self.ping(at, length));
    }

    fn ping(&mut self, at: Duration, length: &Length) {
        let part = if at < length.warm_up { Part::WarmUp } else { Part::Healthy };
        let person = self.healthy % HEALTHY_CONVERSATIONS;
        self.healthy += 1;
        self.lines.push(Line { at, command: "!ping", person, part });
    }

    /// Each from a conversation of its own, which has to wait for it and nobody else's has.
    fn bad(&mut self, at: Duration, command: &'static str) {
        let person = HEALTHY_CONVERSATIONS + self.bad;
        self.bad += 1;
        self.lines.push(Line { at, command, person, part: Part::Bad });
    }

    fn sorted(mut self) -> Self {
        self.lines.sort_by_key(|line| line.at);
        self
    }

    /// Returns how many people write.
    pub(crate) fn people(&self) -> u32 {
        HEALTHY_CONVERSATIONS + self.bad
    }
}

fn ticks(per_second: f64, start: Duration, end: Duration) -> impl Iterator<Item = Duration> {
    let count = ((end - start).as_secs_f64() * per_second) as u32;
    (0..count).map(move |n| start + Duration::from_secs_f64(f64::from(n) / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Length = Length {
        warm_up: Duration::from_secs(1),
        steady: Duration::from_secs(20),
        bursts: 3,
        freeze: ("!freeze", Duration::from_secs(5)),
        seed: 1,
    };

    fn count(schedule: &Schedule, part: Part) -> usize {
        schedule.lines.iter().filter(|line| line.part == part).count()
    }

    #[test]
    fn the_rate_holds_and_the_share_of_the_bad_is_near_what_was_asked() {
        for percent in [0, 1, 5] {
            let schedule = blocks(&LENGTH, percent);
            assert_eq!(schedule.lines.len(), 21 * 500);
            let (bad, wanted) = (count(&schedule, Part::Bad), 100 * percent as usize);
            assert!(bad.abs_diff(wanted) <= wanted / 3, "{percent} %: {bad}");
        }
    }

    #[test]
    fn every_schedule_is_in_order_and_no_bad_message_shares_a_conversation() {
        for schedule in [calm, freeze, asleep, hogs, idle, driver].map(|schedule| schedule(&LENGTH)) {
            assert!(schedule.lines.is_sorted_by_key(|line| line.at));
            let mut bad: Vec<u32> =
                schedule.lines.iter().filter(|line| line.part == Part::Bad).map(|line| line.person).collect();
            assert!(bad.iter().all(|person| (HEALTHY_CONVERSATIONS..schedule.people()).contains(person)));
            let count = bad.len();
            bad.dedup();
            assert_eq!(bad.len(), count);
        }
    }

    #[test]
    fn a_rate_counts_from_when_the_burst_before_it_is_over() {
        let schedule = after_burst(20.0, Duration::from_secs(5));
        assert!(schedule.lines.is_sorted_by_key(|line| line.at));
        assert_eq!(count(&schedule, Part::Healthy), 100);
        let first = schedule.lines.iter().find(|line| line.part == Part::Healthy).expect("a line");
        let burst = schedule.lines.iter().filter(|line| line.at + Duration::from_millis(100) == first.at);
        assert_eq!(burst.count(), 100);
    }

    #[test]
    fn bursts_come_at_once_and_each_of_its_size() {
        assert_eq!(count(&freeze(&LENGTH), Part::Bad), 16);
        assert_eq!(count(&asleep(&LENGTH), Part::Bad), 600);
        assert_eq!(count(&driver(&LENGTH), Part::Bad), 5);
    }
}
