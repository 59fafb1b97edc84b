//! What handles say on networks on which too much waits already: it is taken once there is room, and holds up nothing that is said
//! elsewhere.

use std::collections::VecDeque;
use std::mem::take;

use tokio::sync::oneshot;

use super::outside::{OutsideRequest, Saying, Told};
use crate::journal::Acceptance;

/// What is said together, and who waits to hear that it is kept.
pub(super) type Said = (Vec<Saying>, oneshot::Sender<Told<Vec<Acceptance>>>);

/// The same, while it waits.
#[derive(Debug)]
struct Waiting {
    said: Said,
    /// Each of them once.
    networks: Vec<Box<str>>,
}

/// See the module. Bounded by those who wait for an answer: of one that has gone, nothing stays here.
#[derive(Debug, Default)]
pub(super) struct Crowded(VecDeque<Waiting>);

impl Crowded {
    /// Lets this through, unless it has to wait: for room on its networks, or for what came before it there.
    pub(super) fn pass(&mut self, said: Said, has_room: impl Fn(&str) -> bool) -> Option<Said> {
        let waiting = Waiting::new(said);
        if waiting.fits(has_room) && !self.0.iter().any(|before| before.shares_network(&waiting)) {
            return Some(waiting.said);
        }
        self.0.push_back(waiting);
        None
    }

    /// The first one for which there is room now.
    pub(super) fn next(&mut self, has_room: impl Fn(&str) -> bool) -> Option<Said> {
        if self.0.is_empty() {
            return None;
        }
        self.0.retain(|waiting| !waiting.said.1.is_closed());
        let mut full: Vec<&str> = Vec::new();
        let at = self.0.iter().position(|waiting| {
            let goes = waiting.fits(|network| !full.contains(&network) && has_room(network));
            if !goes {
                full.extend(waiting.networks.iter().map(|network| &**network));
            }
            goes
        })?;
        self.0.remove(at).map(|waiting| waiting.said)
    }
}

/// The bot has ended, and has kept nothing of it.
impl Drop for Crowded {
    fn drop(&mut self) {
        for Waiting { said: (said, answer), .. } in take(&mut self.0) {
            OutsideRequest::Say { said, answer }.refuse();
        }
    }
}

impl Waiting {
    fn new(said: Said) -> Self {
        let mut networks: Vec<Box<str>> = Vec::new();
        for one in &said.0 {
            let network = one.conversation.network();
            if !networks.iter().any(|known| **known == *network) {
                networks.push(network.into());
            }
        }
        Self { said, networks }
    }

    fn fits(&self, has_room: impl Fn(&str) -> bool) -> bool {
        self.networks.iter().all(|network| has_room(network))
    }

    fn shares_network(&self, other: &Self) -> bool {
        self.networks.iter().any(|network| other.networks.contains(network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Conversation;

    type Heard = oneshot::Receiver<Told<Vec<Acceptance>>>;

    fn said(network: &str) -> (Said, Heard) {
        let (answer, heard) = oneshot::channel();
        let conversation = Conversation::direct("alice").with_network(network);
        ((vec![Saying { conversation, actions: Vec::new(), id: None }], answer), heard)
    }

    fn network((said, _): &Said) -> &str {
        said[0].conversation.network()
    }

    #[test]
    fn a_full_network_holds_up_its_own_in_order_and_nothing_else() {
        let mut crowded = Crowded::default();
        let only_other = |network: &str| network == "other";
        let ((full, mut first), (free, _second), (gone, third)) = (said(""), said("other"), said(""));
        assert!(crowded.pass(full, only_other).is_none());
        assert_eq!(crowded.pass(free, only_other).as_ref().map(network), Some("other"));
        assert!(crowded.pass(gone, |_| true).is_none(), "one waits before it");
        drop(third);
        assert!(crowded.next(only_other).is_none());
        assert_eq!(crowded.next(|_| true).as_ref().map(network), Some(""));
        assert!(crowded.next(|_| true).is_none(), "nobody waits for the other");
        assert!(first.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn what_waits_at_the_end_is_certainly_not_kept() {
        let (mut crowded, (said, mut heard)) = (Crowded::default(), said(""));
        assert!(crowded.pass(said, |_| false).is_none());
        drop(crowded);
        assert!(matches!(heard.try_recv(), Ok(Err(_))));
    }
}
