//! Keeps bots from talking to each other without an end, and from apologizing again and again.
//!
//! Two bots in one group that answer each other, and a server that sends a bot's words back to it, are seen by what they
//! have in common: the same goes to the same conversation, each time for something that came after the last time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::engine::delivery::Asker;
use crate::journal::store::EventId;
use crate::reply::{APOLOGIES, Action, Outbound};
use crate::text::{Case, fold};

/// One apology for each conversation in this time; and what is not said again for so long counts from nothing.
const WINDOW: Duration = Duration::from_secs(60);
/// So often the same may go to the same conversation as fast as it is asked for.
const FREE: u32 = 20;
/// After that there is a pause, which doubles with each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// More than this many are looked through for those that are over.
const KEPT: usize = 4_096;
/// More than this many are not remembered; beyond that there is no loop but a crowd.
const MOST: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Brake {
    random: RandomState,
    /// When each conversation was last apologized to, by the hash of its id.
    apologies: HashMap<u64, Duration>,
    /// What was said, by the hash of conversation, words, and whom it answers: a crowd that asks the same is no loop.
    said: HashMap<u64, Said>,
    /// Apologies that were withheld, and replies that had to wait or were waiting already.
    braked: u64,
}

/// How often something was said.
#[derive(Debug, Default)]
struct Said {
    /// Within the window that began at `since`.
    count: u32,
    since: Duration,
    /// When it was said last, or when it will be.
    last: Duration,
    /// How often it had to wait; until it was not said for a whole window.
    pauses: u32,
}

/// What becomes of something that is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Free,
    /// It waits for so long.
    Held(Duration),
    /// The same waits already, for so long: once is enough.
    Waits(Duration),
}

impl Said {
    /// Makes the next one wait, longer each time, counted from the one before: who has waited already waits no more.
    fn pause(&mut self, now: Duration) -> Weight {
        let pause = (FIRST_PAUSE * (1 << self.pauses.min(4))).min(LONGEST_PAUSE);
        let before = if self.pauses == 0 { now } else { self.last };
        self.pauses += 1;
        self.last = (before + pause).max(now);
        let left = self.last - now;
        if left.is_zero() { Weight::Free } else { Weight::Held(left) }
    }
}

impl Brake {
    /// Apologies that were withheld, and replies that had to wait.
    pub(super) fn braked(&self) -> u64 {
        self.braked
    }

    /// Whether a conversation may be apologized to. `text` is what the apology is for: none is due to another bot's.
    pub(super) fn may_apologize(&mut self, conversation: &str, text: &str, now: Duration) -> bool {
        forget(&mut self.apologies, |last| now.saturating_sub(*last) < WINDOW);
        let id = self.random.hash_one(conversation);
        let is_recent = self.apologies.get(&id).is_some_and(|last| now.saturating_sub(*last) < WINDOW);
        let is_apology =
            |text| APOLOGIES.iter().any(|apology| fold(apology, Case::Lower) == fold(text, Case::Lower));
        if is_recent || is_apology(text) {
            self.braked += 1;
            return false;
        }
        self.apologies.insert(id, now);
        true
    }

    /// Whether a reply has to wait that was asked for by something which `asker` wrote and which arrived at `asked`. Only what
    /// came after the last time can be an answer to that.
    pub(super) fn weigh(
        &mut self,
        outbound: &Outbound,
        asker: Asker<'_>,
        asked: Duration,
        now: Duration,
    ) -> Weight {
        let Some(what) = self.fingerprint(outbound) else { return Weight::Free };
        let id = self.random.hash_one((what, asker));
        forget(&mut self.said, |said| now.saturating_sub(said.last) < WINDOW);
        let said = self.said.entry(id).or_default();
        if now.saturating_sub(said.last) >= WINDOW {
            *said = Said { since: now, ..Said::default() };
        }
        if said.pauses == 0 {
            if now.saturating_sub(said.since) >= WINDOW {
                (said.since, said.count) = (now, 0);
            }
            said.count += u32::from(said.count == 0 || asked >= said.last);
            said.last = now;
            if said.count <= FREE {
                return Weight::Free;
            }
        }
        let weight = match said.last.checked_sub(now).filter(|left| !left.is_zero()) {
            Some(left) => Weight::Waits(left),
            None => said.pause(now),
        };
        self.braked += u64::from(weight != Weight::Free);
        if weight == Weight::Held(FIRST_PAUSE) {
            tracing::warn!(
                sequence = %EventId::from_bits(outbound.key.sequence),
                "the same is being said to the same conversation again and again: it is slowed down, for this looks like \
                 two bots that answer each other (`App::without_loop_brake` if it is meant)"
            );
        }
        weight
    }

    /// The conversation and what is said there, as one number; nothing for what nobody would answer.
    fn fingerprint(&self, outbound: &Outbound) -> Option<u64> {
        let conversation = outbound.conversation.key();
        let files = |files: &[crate::reply::File]| files.iter().map(|file| file.bytes.len()).sum::<usize>();
        Some(match &outbound.action {
            Action::Send(draft) => {
                self.random.hash_one((conversation, seen(&draft.text), files(&draft.files)))
            }
            Action::Edit { target, draft } => self.random.hash_one((conversation, target, seen(&draft.text))),
            Action::React { target, emoji, .. } => self.random.hash_one((conversation, target, emoji)),
            Action::Delete { .. } | Action::Typing { .. } => return None,
        })
    }
}

/// What people see of a text: it says the same with another space at its end.
fn seen(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.trim().into() } else { fold(text, Case::Kept) }
}

/// Keeps a table of what happened lately small.
fn forget<T>(table: &mut HashMap<u64, T>, is_recent: impl Fn(&T) -> bool) {
    if table.len() >= KEPT && table.len() == table.capacity() {
        table.retain(|_, one| is_recent(one));
        if table.len() >= MOST {
            table.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Conversation;
    use crate::reply::{Draft, SendKey};

    fn says(conversation: &str, text: &str) -> Outbound {
        let draft = Draft { text: text.to_owned(), ..Draft::default() };
        let key = SendKey { sequence: 1, index: 0 };
        Outbound::new(Conversation::direct(conversation), Action::Send(draft), key)
    }

    fn second(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// When it is said in a conversation in which each that is said is answered by these, a millisecond later.
    fn loop_of(voices: &[&str], seconds: u64) -> Vec<Duration> {
        let (mut brake, mut sent) = (Brake::default(), Vec::new());
        let mut under_way = std::collections::BinaryHeap::from([std::cmp::Reverse(Duration::ZERO)]);
        while let Some(std::cmp::Reverse(now)) = under_way.pop().filter(|next| next.0 < second(seconds)) {
            sent.push(now);
            let asked = now + Duration::from_millis(1);
            for voice in voices {
                match brake.weigh(&says("crew", "pong"), ("", voice), asked, asked) {
                    Weight::Free => under_way.push(std::cmp::Reverse(asked)),
                    Weight::Held(pause) => under_way.push(std::cmp::Reverse(asked + pause)),
                    Weight::Waits(_) => {}
                }
            }
        }
        sent
    }

    #[test]
    fn what_answers_itself_slows_down_to_four_a_minute_for_each_voice() {
        for voices in [&["bob"][..], &["bob", "carol"], &["bob", "carol", "dave", "erin", "frank"]] {
            let sends = loop_of(voices, 700);
            let within = |from: u64, to: u64| {
                sends.iter().filter(|at| (from..to).contains(&at.as_secs())).count() / voices.len()
            };
            assert!(within(0, 1) <= 21, "{}", within(0, 1));
            assert!((2..=5).contains(&within(60, 120)), "{}", within(60, 120));
            assert!((2..=5).contains(&within(600, 660)), "it does not begin anew");
        }
    }

    #[test]
    fn who_asks_now_and_then_waits_for_nothing() {
        for pause in [3_200, 10_000, 60_000] {
            let mut brake = Brake::default();
            for n in 0..1_000 {
                let now = Duration::from_millis(n * pause);
                assert_eq!(
                    brake.weigh(&says("alice", "pong"), ("", "alice"), now, now),
                    Weight::Free,
                    "{pause}"
                );
            }
        }
    }

    #[test]
    fn who_asks_too_often_is_answered_less_and_keeps_nobody_waiting_for_long() {
        let (mut brake, mut held) = (Brake::default(), Vec::new());
        for n in 0..300 {
            let now = Duration::from_millis(n * 100);
            match brake.weigh(&says("alice", "pong"), ("", "alice"), now, now) {
                Weight::Free => {}
                Weight::Held(pause) => held.push(now + pause),
                Weight::Waits(left) => assert!(left <= LONGEST_PAUSE),
            }
        }
        assert!(held.len() < 7 && held.iter().all(|until| *until <= second(30) + LONGEST_PAUSE), "{held:?}");
        let late = held[held.len() - 1] + LONGEST_PAUSE;
        assert_eq!(
            brake.weigh(&says("alice", "pong"), ("", "alice"), late, late),
            Weight::Free,
            "who has waited"
        );
        assert_eq!(
            brake.weigh(&says("alice", "pong"), ("", "alice"), second(180), second(180)),
            Weight::Free
        );
    }

    #[test]
    fn a_flood_that_came_before_the_answers_is_no_loop() {
        let mut brake = Brake::default();
        for n in 0..1_000 {
            let now = Duration::from_millis(10 + n);
            assert_eq!(brake.weigh(&says("alice", "pong"), ("", "alice"), Duration::ZERO, now), Weight::Free);
        }
        assert_eq!(brake.braked(), 0);
    }

    #[test]
    fn other_words_other_conversations_and_a_crowd_are_no_loop() {
        let mut brake = Brake::default();
        for n in 0..1_000 {
            let (now, name) = (Duration::from_millis(n), n.to_string());
            assert_eq!(brake.weigh(&says("crew", &name), ("", "bot"), now, now), Weight::Free);
            assert_eq!(brake.weigh(&says(&name, "pong"), ("", "bot"), now, now), Weight::Free);
            assert_eq!(brake.weigh(&says("crew", "pong"), ("", &name), now, now), Weight::Free, "a crowd");
            assert_eq!(
                brake.weigh(&says("crew", "pong"), (&name, "bot"), now, now),
                Weight::Free,
                "elsewhere"
            );
        }
    }

    #[test]
    fn a_conversation_gets_one_apology_a_minute_and_an_apology_gets_none() {
        let mut brake = Brake::default();
        assert!(brake.may_apologize("crew", "!bad", second(1)));
        assert!(!brake.may_apologize("crew", "!bad", second(30)));
        assert!(brake.may_apologize("other", "!bad", second(30)));
        assert!(brake.may_apologize("crew", "!bad", second(61)));
        for apology in APOLOGIES {
            assert!(!brake.may_apologize("third", apology, second(0)));
        }
        assert!(!brake.may_apologize(
            "third",
            &format!("\u{200b}{} ", APOLOGIES[0].to_uppercase()),
            second(0)
        ));
        assert_eq!(brake.braked(), 2 + APOLOGIES.len() as u64);
    }

    #[test]
    fn many_conversations_are_not_remembered() {
        let mut brake = Brake::default();
        for n in 0..200_000_u64 {
            let now = Duration::from_millis(n);
            brake.weigh(&says(&n.to_string(), "pong"), ("", "bot"), now, now);
            brake.may_apologize(&n.to_string(), "!bad", now);
        }
        assert!(brake.said.capacity() <= 4 * MOST, "{}", brake.said.capacity());
        assert!(brake.apologies.capacity() <= 4 * MOST, "{}", brake.apologies.capacity());
    }
}
