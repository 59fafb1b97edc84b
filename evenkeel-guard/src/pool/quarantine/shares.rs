//! Who may use how many threads: no command takes more than it leaves to the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use crate::slot::{CommandId, locked};

/// This many full queues there may be at a time, before no command in quarantine has more than [`few`] places.
const QUEUES: usize = 4;

/// The places that a command has whatever waits for others.
fn few(queue: usize) -> usize {
    (queue / 16).max(4)
}

/// The threads of one part of the quarantine, as commands hold them, and the work that waits for its command's share.
pub(super) struct Shares<T> {
    threads: usize,
    queue: usize,
    held: Mutex<Held<T>>,
}

struct Held<T> {
    running: usize,
    waiting: usize,
    commands: HashMap<CommandId, Share<T>>,
    /// Commands whose work waits for their share, in the order in which they are served.
    turns: VecDeque<CommandId>,
}

struct Share<T> {
    running: usize,
    /// All that was pushed and has not begun, wherever it waits.
    waiting: usize,
    put_aside: VecDeque<T>,
}

impl<T> Default for Share<T> {
    fn default() -> Self {
        Self { running: 0, waiting: 0, put_aside: VecDeque::new() }
    }
}

impl<T> Shares<T> {
    pub(super) fn new(threads: usize, queue: usize) -> Self {
        let (commands, turns) = (HashMap::new(), VecDeque::new());
        Self { threads, queue, held: Mutex::new(Held { running: 0, waiting: 0, commands, turns }) }
    }

    /// Work of a command was pushed.
    pub(super) fn comes(&self, command: CommandId) {
        let mut held = locked(&self.held);
        held.waiting += 1;
        held.commands.entry(command).or_default().waiting += 1;
    }

    /// Work that was pushed goes elsewhere.
    pub(super) fn goes(&self, command: CommandId) {
        let mut held = locked(&self.held);
        held.waiting = held.waiting.saturating_sub(1);
        if let Some(share) = held.commands.get_mut(&command) {
            share.waiting = share.waiting.saturating_sub(1);
        }
        held.forget(command);
    }

    /// Takes a thread for work that was pushed, or puts the work aside until the command may have one. What only ends takes a
    /// thread at once.
    pub(super) fn begin(&self, command: CommandId, work: T, only_ends: bool) -> Option<T> {
        let mut held = locked(&self.held);
        if only_ends || held.may_begin(command, self.threads) {
            held.begin(command);
            return Some(work);
        }
        let share = held.commands.entry(command).or_default();
        share.put_aside.push_back(work);
        if share.put_aside.len() == 1 {
            held.turns.push_back(command);
        }
        None
    }

    /// A thread is given back. Answers work that was put aside and may begin now, though it has not.
    pub(super) fn end(&self, command: CommandId) -> Option<T> {
        let mut held = locked(&self.held);
        held.running -= 1;
        if let Some(share) = held.commands.get_mut(&command) {
            share.running -= 1;
        }
        held.forget(command);
        for _ in 0..held.turns.len() {
            let next = held.turns.pop_front()?;
            let may_begin = held.may_begin(next, self.threads);
            let share = held.commands.get_mut(&next)?;
            let work = if may_begin { share.put_aside.pop_front() } else { None };
            if !share.put_aside.is_empty() {
                held.turns.push_back(next);
            }
            if work.is_some() {
                return work;
            }
        }
        None
    }

    /// Takes back what was put aside and has nothing to wait for any more.
    pub(super) fn take_strays(&self, waits: impl Fn(CommandId, &T) -> bool) -> Vec<T> {
        let mut held = locked(&self.held);
        let mut taken = Vec::new();
        for command in held.turns.clone() {
            let Some(share) = held.commands.get_mut(&command) else { continue };
            // Nearly always: this is looked at every few milliseconds.
            if share.put_aside.iter().all(|work| waits(command, work)) {
                continue;
            }
            let before = share.put_aside.len();
            for work in std::mem::take(&mut share.put_aside) {
                if waits(command, &work) { share.put_aside.push_back(work) } else { taken.push(work) }
            }
            let count = before - share.put_aside.len();
            let is_served = share.put_aside.is_empty();
            share.waiting = share.waiting.saturating_sub(count);
            held.waiting = held.waiting.saturating_sub(count);
            if is_served {
                held.turns.retain(|turn| *turn != command);
                held.forget(command);
            }
        }
        taken
    }

    /// Whether one more of a command would be too many.
    pub(super) fn is_full(&self, command: CommandId) -> bool {
        let held = locked(&self.held);
        let own = held.commands.get(&command).map_or(0, |share| share.waiting);
        own >= self.queue || own >= few(self.queue) && held.waiting >= self.queue.saturating_mul(QUEUES)
    }

    pub(super) fn waiting(&self) -> usize {
        locked(&self.held).waiting
    }

    /// Everything that was put aside.
    pub(super) fn take_all(&self) -> Vec<T> {
        let mut held = locked(&self.held);
        held.turns.clear();
        held.commands.values_mut().flat_map(|share| share.put_aside.drain(..)).collect()
    }
}

impl<T> Held<T> {
    /// A command may have as many threads as are left then for all others, and always one if there is one.
    fn may_begin(&self, command: CommandId, threads: usize) -> bool {
        let own = self.commands.get(&command).map_or(0, |share| share.running);
        let left = threads.saturating_sub(self.running);
        left > 0 && own < left
    }

    fn begin(&mut self, command: CommandId) {
        self.running += 1;
        self.waiting = self.waiting.saturating_sub(1);
        let share = self.commands.entry(command).or_default();
        share.running += 1;
        share.waiting = share.waiting.saturating_sub(1);
    }

    fn forget(&mut self, command: CommandId) {
        let is_idle =
            |share: &Share<T>| share.running == 0 && share.waiting == 0 && share.put_aside.is_empty();
        if self.commands.get(&command).is_some_and(is_idle) {
            self.commands.remove(&command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many threads each command gets that wants all of them, one after the other.
    fn greedy(threads: usize, commands: u32) -> Vec<usize> {
        let shares = Shares::new(threads, 1000);
        let take = |command| {
            let begins = |_: &usize| {
                shares.comes(command);
                shares.begin(command, (), false).is_some()
            };
            (0..threads).filter(begins).count()
        };
        (0..commands).map(take).collect()
    }

    #[test]
    fn no_command_takes_more_than_it_leaves() {
        assert_eq!(greedy(128, 9), [64, 32, 16, 8, 4, 2, 1, 1, 0]);
        assert_eq!(greedy(1, 2), [1, 0]);
        assert_eq!(greedy(2, 2), [1, 1]);
    }

    #[test]
    fn what_was_put_aside_begins_in_turn_when_a_thread_is_given_back() {
        let shares = Shares::new(2, 1000);
        for (command, work) in [(1, "a"), (1, "b"), (1, "c"), (2, "d"), (2, "e")] {
            shares.comes(command);
            shares.begin(command, work, false);
        }
        assert_eq!(shares.waiting(), 3, "one of each runs");
        let mut order = Vec::new();
        let mut ends = 1;
        while let Some(work) = shares.end(ends) {
            let command = if matches!(work, "b" | "c") { 1 } else { 2 };
            assert_eq!(shares.begin(command, work, false), Some(work));
            order.push(work);
            ends = command;
        }
        assert_eq!(order, ["b", "c"], "two wait for the thread that its own command holds");
        assert_eq!(shares.end(2), Some("e"));
    }

    #[test]
    fn what_was_put_aside_leaves_with_its_command() {
        let shares = Shares::new(2, 1000);
        for (command, work) in [(1, "runs"), (1, "a"), (1, "b"), (2, "runs"), (2, "c")] {
            shares.comes(command);
            shares.begin(command, work, false);
        }
        assert_eq!(shares.take_strays(|_, _| true), Vec::<&str>::new());
        assert_eq!(shares.take_strays(|command, _| command == 2), ["a", "b"]);
        assert_eq!((shares.waiting(), shares.end(2)), (1, Some("c")), "the other's waits on");
        assert_eq!(shares.end(1), None);
    }

    #[test]
    fn what_nobody_waits_for_leaves_and_ends_at_once() {
        let shares = Shares::new(2, 1000);
        for work in ["runs", "a", "gone", "b"] {
            shares.comes(1);
            shares.begin(1, work, false);
        }
        assert_eq!(shares.take_strays(|_, work| *work != "gone"), ["gone"]);
        assert_eq!(shares.waiting(), 2);
        shares.comes(1);
        assert_eq!(shares.begin(1, "gone", true), Some("gone"));
        assert_eq!(shares.end(1), None, "the one that runs still has its share");
        assert_eq!((shares.end(1), shares.waiting()), (Some("a"), 2));
    }

    #[test]
    fn a_queue_is_one_commands_and_a_few_places_are_everybodys() {
        let shares = Shares::<()>::new(1, 20);
        let come = |command, count| (0..count).for_each(|_| shares.comes(command));
        come(1, 19);
        assert!(!shares.is_full(1));
        come(1, 1);
        assert_eq!((shares.is_full(1), shares.is_full(2)), (true, false));
        // What was queued before the strike comes uncounted.
        come(1, 100);
        come(2, 3);
        assert!(!shares.is_full(2), "others have their few places whatever there is of one");
        come(2, 1);
        assert!(shares.is_full(2));
        (0..100).for_each(|_| shares.goes(1));
        assert!(!shares.is_full(2), "and a whole queue otherwise");
    }
}
