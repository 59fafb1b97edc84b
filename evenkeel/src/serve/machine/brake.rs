//! Keeps bots from talking to each other without an end, and from apologizing again and again.
//!
//! Two bots in one group that answer each other, and a server that sends a bot's words back to it, are seen by what they
//! have in common: the same goes to the same conversation, each time for something that came after the last time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Machine;
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
    /// What was said, by the hash of conversation and words.
    said: HashMap<u64, Said>,
    /// Apologies that were withheld, and replies that had to wait.
    braked: u64,
}

#[derive(Debug)]
struct Said {
    count: u32,
    last: Duration,
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

    /// How long a reply has to wait that was asked for by something which arrived at `asked`. Only what came after the
    /// last time can be an answer to that.
    pub(super) fn weigh(&mut self, outbound: &Outbound, asked: Duration, now: Duration) -> Option<Duration> {
        let id = self.fingerprint(outbound)?;
        forget(&mut self.said, |said| now.saturating_sub(said.last) < WINDOW);
        let said = self.said.entry(id).or_insert(Said { count: 0, last: now });
        if now.saturating_sub(said.last) >= WINDOW {
            said.count = 0;
        }
        // Where several answer at once, or one says two things, what is asked for comes before the last one has left.
        said.count += u32::from(said.count == 0 || asked >= said.last || said.count > FREE);
        let Some(over) = said.count.checked_sub(FREE + 1) else {
            said.last = now;
            return None;
        };
        self.braked += 1;
        // Behind all others that wait: not how many answer counts, but how often this is said.
        said.last = now.max(said.last) + (FIRST_PAUSE * (1 << over.min(4))).min(LONGEST_PAUSE);
        Some(said.last - now)
    }

    /// The conversation and what is said there, as one number; nothing for what nobody would answer.
    fn fingerprint(&self, outbound: &Outbound) -> Option<u64> {
        let conversation = outbound.conversation.id();
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

impl Machine {
    /// Until when a reply of this event is held back. What is said by a schedule comes by the clock, and is no answer; a job may
    /// be one that a message has put off.
    pub(super) fn braked_until(&mut self, outbound: &Outbound) -> Option<Duration> {
        if !self.policy.brakes {
            return None;
        }
        let held = self.held.get(&outbound.key.sequence)?;
        if held.event.conversation().is_nowhere() {
            return None;
        }
        let pause = self.brake.weigh(outbound, held.at, self.now.elapsed)?;
        if pause == FIRST_PAUSE {
            tracing::warn!(
                sequence = outbound.key.sequence,
                "the same is being said to the same conversation again and again: it is slowed down, for this looks like \
                 two bots that answer each other (`App::without_loop_brake` if it is meant)"
            );
        }
        Some(self.now.elapsed + pause)
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
        Outbound { conversation: Conversation::direct(conversation), action: Action::Send(draft), key }
    }

    /// When each of so many is sent, where each is asked for `pause` after the one before was sent.
    fn loop_of(count: u32, pause: Duration) -> Vec<Duration> {
        let (mut brake, mut now) = (Brake::default(), Duration::ZERO);
        let sends = (0..count).map(|_| {
            now += pause;
            now += brake.weigh(&says("crew", "pong"), now, now).unwrap_or_default();
            now
        });
        sends.collect()
    }

    #[test]
    fn what_answers_itself_slows_down_to_four_a_minute() {
        let sends = loop_of(100, Duration::from_millis(7));
        let within =
            |from: u64, to: u64| sends.iter().filter(|at| (from..to).contains(&at.as_secs())).count();
        assert_eq!(within(0, 1), 20);
        assert!((3..=5).contains(&within(60, 120)), "{}", within(60, 120));
        assert!((3..=5).contains(&within(600, 660)), "it does not begin anew");
    }

    #[test]
    fn several_that_answer_at_once_make_it_no_faster() {
        let (mut brake, mut sent, second) = (Brake::default(), Vec::new(), Duration::from_secs(1));
        let mut under_way = std::collections::BinaryHeap::from([std::cmp::Reverse(Duration::ZERO)]);
        while let Some(std::cmp::Reverse(now)) = under_way.pop().filter(|next| next.0 < 600 * second) {
            sent.push(now);
            // Two others answer, each in a millisecond; and one says it twice.
            for _ in 0..4 {
                let asked = now + Duration::from_millis(1);
                let pause = brake.weigh(&says("crew", "pong"), asked, asked).unwrap_or_default();
                under_way.push(std::cmp::Reverse(asked + pause));
            }
        }
        let late = sent.iter().filter(|at| **at >= 60 * second && **at < 120 * second).count();
        assert!((3..=5).contains(&late) && sent.len() < 100, "{late} {}", sent.len());
    }

    #[test]
    fn who_asks_now_and_then_waits_for_nothing() {
        let sends = loop_of(100, WINDOW);
        assert!(sends.windows(2).all(|two| two[1] - two[0] == WINDOW));
    }

    #[test]
    fn a_flood_that_came_before_the_answers_is_no_loop() {
        let mut brake = Brake::default();
        let now = |n: u64| Duration::from_millis(10 + n);
        let pauses = (0..1_000).filter_map(|n| brake.weigh(&says("alice", "pong"), Duration::ZERO, now(n)));
        assert_eq!(pauses.count(), 0);
        assert_eq!(brake.braked(), 0);
    }

    #[test]
    fn other_words_and_other_conversations_are_no_loop() {
        let mut brake = Brake::default();
        for n in 0..1_000 {
            let now = Duration::from_millis(n);
            assert_eq!(brake.weigh(&says("crew", &n.to_string()), now, now), None);
            assert_eq!(brake.weigh(&says(&n.to_string(), "pong"), now, now), None);
        }
    }

    #[test]
    fn a_conversation_gets_one_apology_a_minute_and_an_apology_gets_none() {
        let mut brake = Brake::default();
        let second = Duration::from_secs;
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
            brake.weigh(&says(&n.to_string(), "pong"), now, now);
            brake.may_apologize(&n.to_string(), "!bad", now);
        }
        assert!(brake.said.capacity() <= 4 * MOST, "{}", brake.said.capacity());
        assert!(brake.apologies.capacity() <= 4 * MOST, "{}", brake.apologies.capacity());
    }
}
