//! What handles say on networks on which too much waits already: it is taken once there is room, and holds up nothing that is said
//! elsewhere.

use std::collections::VecDeque;
use std::mem::take;

use tokio::sync::oneshot;

use super::outside::{OutsideRequest, Saying, Told};
use crate::journal::Acceptance;

/// What is said together, and who waits to hear that it is kept.
pub(super) type Said = (Vec<Saying>, oneshot::Sender<Told<Vec<Acceptance>>>);

/// See the module. Bounded by those who wait for an answer: of one that has gone, nothing stays here.
#[derive(Debug, Default)]
pub(super) struct Crowded(VecDeque<Said>);

impl Crowded {
    /// Lets this through, unless it has to wait: for room on its networks, or for what came before it there.
    pub(super) fn pass(&mut self, said: Said, has_room: impl Fn(&str) -> bool) -> Option<Said> {
        let goes = fits(&said, &has_room) && !self.0.iter().any(|before| share_network(before, &said));
        if goes {
            return Some(said);
        }
        self.0.push_back(said);
        None
    }

    /// The first one for which there is room now.
    pub(super) fn next(&mut self, has_room: impl Fn(&str) -> bool) -> Option<Said> {
        if self.0.is_empty() {
            return None;
        }
        self.0.retain(|(_, answer)| !answer.is_closed());
        let all = &self.0;
        let is_first =
            |at: usize, said: &Said| !all.iter().take(at).any(|before| share_network(before, said));
        let at = all.iter().enumerate().position(|(at, said)| fits(said, &has_room) && is_first(at, said))?;
        self.0.remove(at)
    }
}

/// The bot has ended, and has kept nothing of it.
impl Drop for Crowded {
    fn drop(&mut self) {
        for (said, answer) in take(&mut self.0) {
            OutsideRequest::Say { said, answer }.refuse();
        }
    }
}

fn fits((said, _): &Said, has_room: impl Fn(&str) -> bool) -> bool {
    said.iter().all(|one| has_room(one.conversation.network()))
}

fn share_network((one, _): &Said, (other, _): &Said) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.conversation.network() == other.conversation.network()))
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
