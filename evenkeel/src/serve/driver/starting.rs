//! Handlers that are to start, of a bot on several networks: in turns, and no more at once than the workers take up soon, so that
//! those of one network do not wait until all of another one have run.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::Attempt;

/// So many for each core may be with the workers that these have not taken up,
const FRESH: usize = 2;
/// and one more for each of these by which a batch takes longer
const EACH: Duration = Duration::from_micros(50);
/// than this: the journal may block the thread on which others are started.
const SLOW: Duration = Duration::from_millis(4);

/// See the module.
pub(super) struct Starting {
    /// By network, in order. Bounded as the handlers that run.
    waiting: Vec<(Arc<str>, VecDeque<Attempt>)>,
    /// Whose turn it is.
    turn: usize,
    /// How many the workers were given.
    given: usize,
    /// How many of them may not be taken up.
    fresh: usize,
    taken_up: Arc<TakenUp>,
}

/// How many handlers the workers have taken up.
#[derive(Default)]
struct TakenUp {
    count: AtomicUsize,
    /// Whether somebody wants to hear of the next one.
    is_awaited: AtomicBool,
    next: Notify,
}

impl TakenUp {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.is_awaited.swap(false, Ordering::SeqCst) {
            self.next.notify_one();
        }
    }
}

/// A handler that was given to the workers. Dropped when one of them takes it up, or when it never runs.
pub(in crate::serve) struct Given(Arc<TakenUp>);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.add();
    }
}

impl Default for Starting {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self { waiting: Vec::new(), turn: 0, given: 0, fresh: FRESH * cores, taken_up: Arc::default() }
    }
}

impl Starting {
    /// To be dropped when the one that was given last is taken up.
    pub(super) fn given(&self) -> Given {
        Given(Arc::clone(&self.taken_up))
    }

    pub(super) fn push(&mut self, attempt: Attempt) {
        let network = attempt.event.conversation().network();
        match self.waiting.iter_mut().find(|(own, _)| **own == *network) {
            Some((_, waiting)) => waiting.push_back(attempt),
            None => self.waiting.push((network.into(), VecDeque::from([attempt]))),
        }
    }

    /// The next one, if the workers have taken up most of what they were given. It is given to them. The last batch took so long.
    pub(super) fn next(&mut self, took: Duration) -> Option<Attempt> {
        let meanwhile =
            usize::try_from(took.saturating_sub(SLOW).as_micros() / EACH.as_micros()).unwrap_or(usize::MAX);
        let most = self.fresh.saturating_add(meanwhile);
        // First this, so that one that is taken up meanwhile is heard of.
        self.taken_up.is_awaited.store(true, Ordering::SeqCst);
        if self.given.wrapping_sub(self.taken_up.count.load(Ordering::SeqCst)) >= most {
            return None;
        }
        let count = self.waiting.len();
        for _ in 0..count {
            let (_, waiting) = self.waiting.get_mut(self.turn)?;
            self.turn = if self.turn + 1 < count { self.turn + 1 } else { 0 };
            if let Some(attempt) = waiting.pop_front() {
                self.given = self.given.wrapping_add(1);
                return Some(attempt);
            }
        }
        None
    }

    /// One that is not to start after all.
    pub(super) fn take(&mut self, sequence: u64) -> Option<Attempt> {
        self.waiting.iter_mut().find_map(|(_, waiting)| {
            let at = waiting.iter().position(|attempt| attempt.sequence == sequence)?;
            waiting.remove(at)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(|(_, waiting)| waiting.is_empty())
    }

    /// Waits until the workers have taken one up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as `Notify::notified` is.
    pub(super) async fn changed(&self) {
        self.taken_up.next.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Conversation, Event, Message, Sender};

    fn attempt(sequence: u64, network: &str) -> Attempt {
        let conversation = Conversation::direct("alice").with_network(network);
        let event = Event::new("1", conversation, Sender::new("alice"), Message::text("1", "!ping"));
        Attempt {
            event,
            sequence,
            number: 1,
            has_begun: false,
            is_replayed: false,
            facts: Vec::new(),
            now_ms: 0,
        }
    }

    #[test]
    fn networks_take_turns_and_what_never_runs_keeps_no_place() {
        let mut starting = Starting { fresh: 2, ..Starting::default() };
        (0..4).for_each(|sequence| starting.push(attempt(sequence, "")));
        starting.push(attempt(10, "other"));
        let next = |starting: &mut Starting| starting.next(Duration::ZERO).map(|attempt| attempt.sequence);
        assert_eq!(next(&mut starting), Some(0));
        let first = starting.given();
        assert_eq!(next(&mut starting), Some(10), "however many wait on the other");
        let second = starting.given();
        assert_eq!(next(&mut starting), None, "nobody has taken them up");
        // One is taken up, and one is cancelled before that.
        drop((first, second));
        assert_eq!(starting.take(2).map(|attempt| attempt.sequence), Some(2));
        assert_eq!((next(&mut starting), next(&mut starting)), (Some(1), Some(3)));
        assert!(starting.is_empty());
    }
}
