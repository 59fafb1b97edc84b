//! When the network limits the account, nothing more is sent until that is over, and then a single action goes first.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::engine::timers::Key;
use crate::transport::Limit;

/// The pauses where the network names none, while the limit holds.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(15 * 60));
const SHORTEST_NAMED: Duration = Duration::from_secs(1);
/// A network that names a longer time than this is asked once a day whether it meant that.
const LONGEST_NAMED: Duration = Duration::from_secs(24 * 60 * 60);

/// What was on its way together names ends of one limit that lie no further apart than their answers.
const SAME_LIMIT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Nothing is sent before; `None` while no limit is known.
    until: Option<Duration>,
    /// The action that is on its way to find out whether the limit still holds.
    probe: Option<Key>,
    /// How often in a row the limit was met.
    refusals: u32,
}

impl Throttle {
    /// Whether no limit is known.
    pub(super) fn is_open(&self) -> bool {
        self.until.is_none()
    }

    /// Whether an action may begin now.
    pub(super) fn allows(&self, now: Duration) -> bool {
        self.until.is_none_or(|until| until <= now && self.probe.is_none())
    }

    /// An action begins.
    pub(super) fn begins(&mut self, key: Key) {
        if self.until.is_some() {
            self.probe = Some(key);
        }
    }

    /// An action has ended, and met the limit or did not. `None` is one that was no try: it can find a limit, and not its
    /// end. Answers until when nothing is sent, if that has changed.
    pub(super) fn ended(
        &mut self,
        key: Option<Key>,
        limit: Option<Limit>,
        now: Duration,
    ) -> Option<Duration> {
        let Pause { until, is_news } = self.pause(key, limit, now)?;
        if is_news {
            let pause = until.saturating_sub(now);
            tracing::warn!(?pause, "the network limits this account: nothing is sent until that is over");
        }
        Some(until)
    }

    fn pause(&mut self, key: Option<Key>, limit: Option<Limit>, now: Duration) -> Option<Pause> {
        let is_probe = key.is_some() && self.probe == key;
        if is_probe {
            self.probe = None;
        }
        let Some(Limit::Account(named)) = limit else {
            if is_probe {
                *self = Self::default();
            }
            return None;
        };
        // Those that were on their way together have met one limit.
        let is_first = is_probe || self.until.is_none();
        if is_first {
            self.refusals = self.refusals.saturating_add(1);
        }
        // A time that is over at once is none: it would go on into the limit.
        let named = named.filter(|named| *named >= SHORTEST_NAMED);
        let pause = named.map_or(BACKOFF.after(self.refusals), |named| named.min(LONGEST_NAMED));
        let before = self.until.unwrap_or_default();
        let until = now.saturating_add(pause).max(before);
        let has_changed = self.until != Some(until);
        self.until = Some(until);
        has_changed.then_some(Pause { until, is_news: is_first || until > before + SAME_LIMIT })
    }
}

/// Nothing is sent until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    until: Duration,
    /// Whether it is another one than the log has told of.
    is_news: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const ACCOUNT: Option<Limit> = Some(Limit::Account(None));

    fn news(until: Duration) -> Option<Pause> {
        Some(Pause { until, is_news: true })
    }

    #[test]
    fn a_limit_that_several_actions_meet_is_told_of_once() {
        let mut throttle = Throttle::default();
        let (moment, half) = (Duration::from_millis(10), Some(Limit::Account(Some(MINUTE / 2))));
        assert_eq!(throttle.pause(None, half, MINUTE), news(MINUTE * 3 / 2));
        let later = throttle.pause(Some((1, 0)), half, MINUTE + moment);
        assert_eq!(later, Some(Pause { until: MINUTE * 3 / 2 + moment, is_news: false }));
        assert_eq!(throttle.pause(None, ACCOUNT, MINUTE), news(2 * MINUTE), "a longer one is news");
        throttle.begins((2, 0));
        assert_eq!(throttle.pause(None, None, MINUTE), None);
        assert!(!throttle.is_open(), "what is no try says nothing of the end");
    }

    #[test]
    fn a_limit_holds_all_sends_and_one_goes_first() {
        let mut throttle = Throttle::default();
        let now = MINUTE;
        assert!(throttle.allows(now));
        assert_eq!(throttle.pause(Some((1, 0)), Some(Limit::Action), now), None);
        assert!(throttle.is_open(), "one action's limit is not the account's");
        assert_eq!(throttle.pause(Some((1, 0)), ACCOUNT, now), news(2 * MINUTE));
        assert_eq!(throttle.pause(Some((2, 0)), ACCOUNT, now), None, "it was on its way with the first");
        assert_eq!(throttle.pause(Some((3, 0)), None, now), None, "so was this, which got through");
        assert!(!throttle.allows(2 * MINUTE - Duration::from_nanos(1)));
        assert!(throttle.allows(2 * MINUTE));
        throttle.begins((4, 0));
        assert!(!throttle.allows(9 * MINUTE), "one at a time");
        assert_eq!(throttle.pause(Some((4, 0)), ACCOUNT, 2 * MINUTE), news(4 * MINUTE), "twice as long");
        throttle.begins((5, 0));
        assert_eq!(throttle.pause(Some((5, 0)), None, 5 * MINUTE), None);
        assert!(throttle.is_open());
    }

    #[test]
    fn a_pause_is_bounded_whatever_the_network_says() {
        let day = LONGEST_NAMED;
        for (named, expected) in [
            (Some(Duration::from_secs(7)), Duration::from_secs(7)),
            (Some(Duration::ZERO), MINUTE),
            (Some(Duration::MAX), day),
            (None, MINUTE),
        ] {
            let mut throttle = Throttle::default();
            throttle.pause(Some((1, 0)), Some(Limit::Account(named)), Duration::ZERO);
            assert_eq!(throttle.until, Some(expected), "{named:?}");
        }
        let mut throttle = Throttle { refusals: u32::MAX - 1, ..Throttle::default() };
        throttle.pause(Some((1, 0)), ACCOUNT, Duration::ZERO);
        assert_eq!(throttle.until, Some(15 * MINUTE));
    }
}
