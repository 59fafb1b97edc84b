//! Best-effort actions: nothing waits for them, and nothing is kept of them.
//!
//! They have no part in the order of replies. Where a reply is under way or waits, a notice waits beside them; a further reply
//! there makes it pointless.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Machine, Output};
use crate::serve::outbox::Letter;
use crate::transport::{Outcome, SendError, Sent};

/// A notice that comes later than this is a lie.
const FRESH: Duration = Duration::from_secs(5);

/// The latest notice of each conversation in which a reply is under way. Bounded by those.
#[derive(Debug, Default)]
pub(super) struct Notices(HashMap<Arc<str>, (Letter, Duration)>);

impl Notices {
    /// A reply follows.
    pub(super) fn forget(&mut self, conversation: &str) {
        if !self.0.is_empty() {
            self.0.remove(conversation);
        }
    }
}

impl Machine {
    pub(super) fn notify(&mut self, conversation: Arc<str>, letter: Letter) {
        match self.outbox.is_free(&conversation) {
            true => self.outputs.push(Output::Notify(letter)),
            false => drop(self.notices.0.insert(conversation, (letter, self.now.elapsed))),
        }
    }

    /// The replies that were before it have left.
    pub(super) fn notify_late(&mut self, conversation: &Arc<str>) {
        if self.notices.0.is_empty() || !self.outbox.is_free(conversation) {
            return;
        }
        let Some((letter, since)) = self.notices.0.remove(conversation) else { return };
        if self.now.elapsed < since + FRESH && self.throttle.is_open() {
            self.outputs.push(Output::Notify(letter));
        }
    }

    /// A notice has ended. It is neither kept nor tried again, but a limit that it has met holds for all that is sent.
    pub(super) fn notified(&mut self, result: Result<Sent, SendError>) {
        self.throttle_after(None, result.as_ref().err().and_then(SendError::limit));
        match result.map_err(|error| error.outcome()) {
            Ok(_) => self.tally.sent += 1,
            Err(Outcome::Unknown) => self.tally.unknown += 1,
            Err(Outcome::NotSent(_) | Outcome::Refused) => self.tally.not_sent += 1,
        }
    }
}
