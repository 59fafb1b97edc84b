//! How much of what was accepted is in memory, and whose it is.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::iter::{empty, once};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event::Event;
use crate::status::Gaps;

/// The largest event, unless told otherwise.
const EVENT_BYTES: usize = 4 << 20;
/// A share is no smaller than this, unless told otherwise.
const SMALLEST_SHARE_BYTES: usize = 64 << 10;

/// How many bytes of accepted events may wait or run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// In all,
    pub(crate) all: usize,
    /// of one conversation, and of one person; the last eighth is for those who have less than a 512th of that,
    pub(crate) share: usize,
    /// and of one event.
    pub(crate) event: usize,
}

impl Limits {
    /// With this many bytes in all: an eighth for each conversation and each person, unless told otherwise.
    pub(crate) fn new(all: usize, share: Option<usize>, event: Option<usize>) -> Self {
        let share = share.unwrap_or((all / 8).max(SMALLEST_SHARE_BYTES)).min(all);
        Self { all, share, event: event.unwrap_or(EVENT_BYTES).min(share) }
    }
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Stopping,
    Full,
    Share,
    TooLarge,
}

/// Counts the bytes of accepted events, and what was not accepted. Transports and the wire share it.
#[derive(Debug)]
pub(crate) struct Backlog {
    limits: Limits,
    /// Held for a few lines, and by no author's code.
    held: Mutex<Usage>,
    hasher: RandomState,
    refused: AtomicU64,
    refused_share: AtomicU64,
    refused_large: AtomicU64,
    undeliverable: AtomicU64,
    gaps: AtomicU64,
    gap_us: AtomicU64,
}

/// Bytes in memory: in all, and by a hash of the conversation's and of the sender's id. Nothing is kept of those that have none.
#[derive(Debug, Default)]
struct Usage {
    bytes: usize,
    conversations: HashMap<u64, usize>,
    senders: HashMap<u64, usize>,
    /// How many events the inbox has handed over since the start.
    handed_over: usize,
}

impl Backlog {
    pub(crate) fn new(limits: Limits) -> Self {
        let none = || AtomicU64::new(0);
        Self {
            limits,
            held: Mutex::default(),
            hasher: RandomState::new(),
            refused: none(),
            refused_share: none(),
            refused_large: none(),
            undeliverable: none(),
            gaps: none(),
            gap_us: none(),
        }
    }

    /// Takes room for an event.
    pub(super) fn take(&self, event: &Event) -> Result<(), Why> {
        let (size, keys, Limits { all, share, event: largest }) =
            (event.size_bytes(), self.keys(event), self.limits);
        if size > largest {
            return Err(Why::TooLarge);
        }
        let mut held = self.lock();
        let free = all.saturating_sub(held.bytes);
        if size > free {
            return Err(Why::Full);
        }
        // Who fills a group is refused before the group is: others in it are still heard.
        let weight = if event.conversation().is_group() { 2 } else { 1 };
        let (conversation, sender) = held.of(keys);
        let after = (conversation + size).max((sender + size).saturating_mul(weight));
        // The last eighth is for those who have little: anyone who fills the backlog is refused first.
        let is_rest = share < all && free - size < all / 8;
        if after > share || is_rest && conversation.max(sender) > share / 512 {
            return Err(Why::Share);
        }
        held.add(keys, size);
        held.handed_over += 1;
        Ok(())
    }

    /// An event for which room was taken was not handed over after all.
    pub(super) fn take_back(&self, event: &Event) {
        let mut held = self.lock();
        held.remove(self.keys(event), event.size_bytes());
        held.handed_over -= 1;
    }

    /// How many events the inbox has handed over since the start.
    pub(crate) fn handed_over(&self) -> usize {
        self.lock().handed_over
    }

    /// While this much is in memory, no more is loaded of what an earlier run left: what comes in finds room in the rest.
    pub(crate) fn recovered_bytes(&self) -> usize {
        self.limits.all / 8 * 7
    }

    /// Counts events that did not come through the inbox, and gives the room of those back that are done.
    pub(crate) fn settle(
        &self,
        taken: impl ExactSizeIterator<Item = Event>,
        released: impl ExactSizeIterator<Item = Event>,
    ) {
        if taken.len() + released.len() == 0 {
            return;
        }
        let mut held = self.lock();
        for event in taken {
            held.add(self.keys(&event), event.size_bytes());
        }
        for event in released {
            held.remove(self.keys(&event), event.size_bytes());
        }
    }

    /// Gives the room of a handled event back.
    pub(crate) fn release(&self, event: &Event) {
        self.lock().remove(self.keys(event), event.size_bytes());
    }

    /// Counts an event that was not taken, and says so now and then, without a name.
    pub(super) fn refuse(&self, why: Why, event: &Event) {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let (is_group, size_bytes) = (event.conversation().is_group(), event.size_bytes());
        match why {
            Why::Share => {
                let (count, share_bytes) =
                    (self.refused_share.fetch_add(1, Ordering::Relaxed) + 1, self.limits.share);
                if count.is_power_of_two() {
                    tracing::error!(
                        count,
                        is_group,
                        share_bytes,
                        "events were refused: their conversation or their sender has its share of the backlog"
                    );
                }
            }
            Why::TooLarge => {
                let (count, limit_bytes) =
                    (self.refused_large.fetch_add(1, Ordering::Relaxed) + 1, self.limits.event);
                if count.is_power_of_two() {
                    tracing::error!(
                        count,
                        is_group,
                        size_bytes,
                        limit_bytes,
                        "an event was refused: it is too large"
                    );
                }
            }
            Why::Stopping | Why::Full => {
                if count.is_power_of_two() {
                    tracing::error!(
                        count,
                        "events were refused: the bot is stopping, or too many are waiting"
                    );
                }
            }
        }
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn refused_share(&self) -> u64 {
        self.refused_share.load(Ordering::Relaxed)
    }

    pub(crate) fn refused_large(&self) -> u64 {
        self.refused_large.load(Ordering::Relaxed)
    }

    /// Counts something that could not be understood; answers how often that was so.
    pub(super) fn undelivered(&self) -> u64 {
        self.undeliverable.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn undeliverable(&self) -> u64 {
        self.undeliverable.load(Ordering::Relaxed)
    }

    pub(super) fn gap(&self, gap: Duration) {
        let gap_us = u64::try_from(gap.as_micros()).unwrap_or(u64::MAX);
        self.gaps.fetch_add(1, Ordering::Relaxed);
        self.gap_us.fetch_add(gap_us, Ordering::Relaxed);
    }

    pub(crate) fn gaps(&self) -> Gaps {
        let total = Duration::from_micros(self.gap_us.load(Ordering::Relaxed));
        Gaps { count: self.gaps.load(Ordering::Relaxed), total }
    }

    fn keys(&self, event: &Event) -> (u64, u64) {
        (self.hasher.hash_one(event.conversation().id()), self.hasher.hash_one(event.sender().id()))
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        // Nothing panics under it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That of each network, by its name in the record.
#[derive(Clone, Debug)]
pub(crate) struct Backlogs(Vec<(Arc<str>, Arc<Backlog>)>);

impl Backlogs {
    pub(crate) fn new(backlogs: Vec<(Arc<str>, Arc<Backlog>)>) -> Self {
        Self(backlogs)
    }

    fn iter(&self) -> impl Iterator<Item = &Backlog> {
        self.0.iter().map(|(_, backlog)| &**backlog)
    }

    /// While this much is in memory, no more is loaded of what an earlier run left.
    pub(crate) fn recovered_bytes(&self) -> usize {
        self.iter().map(Backlog::recovered_bytes).fold(0, usize::saturating_add)
    }

    /// Counts events that did not come through an inbox, and gives the room of those back that are done.
    pub(crate) fn settle(
        &self,
        taken: impl ExactSizeIterator<Item = Event>,
        released: impl ExactSizeIterator<Item = Event>,
    ) {
        if let [(_, only)] = &*self.0 {
            return only.settle(taken, released);
        }
        for event in taken {
            self.of(&event).inspect(|backlog| backlog.settle(once(event.clone()), empty()));
        }
        for event in released {
            self.of(&event).inspect(|backlog| backlog.release(&event));
        }
    }

    /// That of the event's network; none where the bot is not on it.
    fn of(&self, event: &Event) -> Option<&Backlog> {
        let network = event.conversation().network();
        self.0.iter().find(|(key, _)| **key == *network).map(|(_, backlog)| &**backlog)
    }
}

impl Usage {
    /// What the conversation and what the sender has.
    fn of(&self, (conversation, sender): (u64, u64)) -> (usize, usize) {
        let of = |all: &HashMap<u64, usize>, key| all.get(&key).copied().unwrap_or(0);
        (of(&self.conversations, conversation), of(&self.senders, sender))
    }

    fn add(&mut self, (conversation, sender): (u64, u64), size: usize) {
        self.bytes += size;
        *self.conversations.entry(conversation).or_default() += size;
        *self.senders.entry(sender).or_default() += size;
    }

    fn remove(&mut self, (conversation, sender): (u64, u64), size: usize) {
        self.bytes = self.bytes.saturating_sub(size);
        for (all, key) in [(&mut self.conversations, conversation), (&mut self.senders, sender)] {
            if let Some(bytes) = all.get_mut(&key) {
                *bytes = bytes.saturating_sub(size);
                if *bytes == 0 {
                    all.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Conversation, Message, Sender};

    const KIB: usize = 1 << 10;

    /// A message of about this many bytes.
    fn event(conversation: &Conversation, sender: &str, bytes: usize) -> Event {
        let what = Message::text("1", "x".repeat(bytes));
        Event::new("1", conversation.clone(), Sender::new(sender), what)
    }

    fn direct(who: &str, bytes: usize) -> Event {
        event(&Conversation::direct(who), who, bytes)
    }

    fn backlog(all: usize) -> Backlog {
        Backlog::new(Limits::new(all, None, None))
    }

    /// How many of these are taken one after another before the first is refused, and why that is.
    fn fill(backlog: &Backlog, event: &Event) -> (usize, Why) {
        let mut count = 0;
        loop {
            match backlog.take(event) {
                Ok(()) => count += 1,
                Err(why) => return (count, why),
            }
        }
    }

    #[test]
    fn one_conversation_and_one_person_have_their_share_and_nobody_else_notices() {
        let backlog = backlog(8 << 20);
        let (count, why) = fill(&backlog, &direct("mallory", 10 * KIB));
        assert!((98..=102).contains(&count), "{count} of 10 KiB are 1 MiB");
        assert_eq!(why, Why::Share);
        // The same person in groups,
        assert_eq!(backlog.take(&event(&Conversation::group("crew"), "mallory", 20 * KIB)), Err(Why::Share));
        // others in them, until the group has its share,
        let mut taken = 0;
        while backlog.take(&event(&Conversation::group("crew"), &format!("member {taken}"), KIB)).is_ok() {
            taken += 1;
        }
        assert!((600..1_000).contains(&taken), "{taken}");
        // and everybody else.
        assert_eq!(backlog.take(&direct("alice", KIB)), Ok(()));
    }

    #[test]
    fn who_fills_a_group_is_refused_before_the_group_is() {
        let backlog = backlog(8 << 20);
        let crew = Conversation::group("crew");
        let (count, why) = fill(&backlog, &event(&crew, "mallory", 10 * KIB));
        assert!((48..=52).contains(&count), "{count} of 10 KiB are half a MiB");
        assert_eq!(why, Why::Share);
        assert_eq!(backlog.take(&event(&crew, "bob", KIB)), Ok(()));
    }

    /// The figures of `docs/limits.md`.
    #[test]
    fn a_person_has_half_a_share_in_groups_and_all_of_it_alone() {
        let backlog = Backlog::new(Limits::new(256 << 20, None, None));
        let (share, kib) = (backlog.limits.share, |bytes: usize| bytes >> 10);
        assert_eq!(share, 32 << 20);
        let size = event(&Conversation::group("crew 0"), "mallory", 64 * KIB).size_bytes();
        let mut in_groups = 0;
        let crew = |n: usize| event(&Conversation::group(format!("crew {n}")), "mallory", 64 * KIB);
        while backlog.take(&crew(in_groups % 7)).is_ok() {
            in_groups += 1;
        }
        // Spread over groups it is no more, and an event counts with what belongs to it.
        assert_eq!(in_groups, (share / 2) / size, "{} KiB of {}", kib(in_groups * size), kib(share));
        let (alone, why) = fill(&backlog, &direct("mallory", 64 * KIB));
        assert!((in_groups - 2..=in_groups + 2).contains(&alone), "{alone} more, up to a whole share");
        assert_eq!(why, Why::Share);
        // What waits alone counts in groups, too.
        let other = Backlog::new(Limits::new(256 << 20, None, None));
        (0..in_groups).for_each(|_| assert_eq!(other.take(&direct("mallory", 64 * KIB)), Ok(())));
        assert_eq!(other.take(&crew(0)), Err(Why::Share));
    }

    #[test]
    fn however_many_fill_it_one_that_has_little_is_not_refused() {
        let backlog = backlog(8 << 20);
        for n in 0..200 {
            fill(&backlog, &direct(&format!("mallory {n}"), KIB));
        }
        assert_eq!(fill(&backlog, &direct("mallory 1", KIB)), (0, Why::Share));
        for n in 0..10 {
            assert_eq!(backlog.take(&direct(&format!("person {n}"), KIB)), Ok(()), "{n}");
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_refused_whatever_is_free() {
        let backlog = Backlog::new(Limits::new(1 << 30, None, None));
        assert_eq!(backlog.take(&direct("alice", 5 << 20)), Err(Why::TooLarge));
        assert_eq!(backlog.take(&direct("alice", 3 << 20)), Ok(()));
        let raised = Backlog::new(Limits::new(1 << 30, Some(1 << 30), Some(512 << 20)));
        assert_eq!(raised.take(&direct("alice", 300 << 20)), Ok(()));
    }

    #[test]
    fn what_is_done_gives_its_room_back_to_the_one_that_had_it() {
        let backlog = backlog(1 << 20);
        let message = direct("alice", 10 * KIB);
        let (before, _) = fill(&backlog, &message);
        assert!(before > 0);
        for _ in 0..before {
            backlog.release(&message);
        }
        assert_eq!(fill(&backlog, &message).0, before);
        let (none, all) = (Vec::new(), vec![message; before]);
        backlog.settle(none.into_iter(), all.into_iter());
        let held = backlog.lock();
        assert_eq!((held.bytes, held.conversations.len(), held.senders.len()), (0, 0, 0));
    }

    #[test]
    fn what_did_not_come_through_the_inbox_counts_as_well() {
        let backlog = backlog(1 << 20);
        let kept = vec![direct("alice", 50 * KIB); 3];
        backlog.settle(kept.into_iter(), Vec::new().into_iter());
        assert_eq!(backlog.take(&direct("alice", KIB)), Err(Why::Share));
        assert_eq!(backlog.take(&direct("bob", KIB)), Ok(()));
    }
}
