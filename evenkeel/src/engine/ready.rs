//! What may run next: the networks take turns, so that none waits until another one has nothing to do.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::reserved;

/// Those of one network, in order.
type Queue<T> = VecDeque<(Arc<str>, T)>;

/// Heads of lanes whose turn has come, in order for each network.
#[derive(Debug)]
pub(super) struct Ready<T> {
    /// By network. Grows with those, not with lanes.
    queues: Vec<(Box<str>, Queue<T>)>,
    /// Whose turn it is.
    turn: usize,
    len: usize,
}

impl<T> Default for Ready<T> {
    fn default() -> Self {
        Self { queues: Vec::new(), turn: 0, len: 0 }
    }
}

impl<T> Ready<T> {
    pub(super) fn push(&mut self, lane: Arc<str>, item: T) {
        self.len += 1;
        let network = reserved::network_of_lane(&lane);
        match self.queues.iter_mut().find(|(own, _)| **own == *network) {
            Some((_, queue)) => queue.push_back((lane, item)),
            None => self.queues.push((network.into(), VecDeque::from([(lane, item)]))),
        }
    }

    /// The next one, of a network that may go on.
    pub(super) fn pop(&mut self, may_go_on: impl Fn(&str) -> bool) -> Option<(Arc<str>, T)> {
        let count = self.queues.len();
        for _ in 0..count {
            let (network, queue) = self.queues.get_mut(self.turn)?;
            self.turn = if self.turn + 1 < count { self.turn + 1 } else { 0 };
            if may_go_on(network)
                && let Some(next) = queue.pop_front()
            {
                self.len -= 1;
                return Some(next);
            }
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives memory back, beyond what this many need.
    pub(super) fn shrink_to(&mut self, kept: usize) {
        self.queues.iter_mut().for_each(|(_, queue)| queue.shrink_to(kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_take_turns_and_each_keeps_its_order() {
        let mut ready = Ready::default();
        let lane = |network: &str, id: &str| Arc::from(reserved::on(network, id));
        (0..4).for_each(|n| ready.push(lane("", &n.to_string()), n));
        ready.push(lane("discord", "1"), 10);
        ready.push(Arc::from(reserved::concurrent_lane(&reserved::on("discord", "2"), 3)), 11);
        ready.push(Arc::from(reserved::lane_of_job(&reserved::schedule("bot::sweep"))), 4);
        let order: Vec<_> = std::iter::from_fn(|| ready.pop(|_| true)).map(|(_, item)| item).collect();
        assert_eq!(order, [0, 10, 1, 11, 2, 3, 4]);
        ready.push(lane("", "5"), 5);
        ready.push(lane("discord", "3"), 12);
        assert!(ready.pop(|network| network == "discord").is_some_and(|(_, item)| item == 12));
        assert!(ready.pop(|network| network == "discord").is_none());
        assert!(ready.pop(|_| true).is_some());
        assert!(ready.is_empty());
    }
}
