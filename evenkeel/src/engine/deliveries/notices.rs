//! Best-effort actions: nothing waits for them, and nothing is kept of them.
//!
//! They have no part in the order of replies. Where a reply is under way or waits, a notice waits beside them; a further reply
//! there makes it pointless.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::delivery::Delivery;

/// A notice that comes later than this is a lie.
const FRESH: Duration = Duration::from_secs(5);

/// The latest notice of each conversation in which a reply is under way, and since when. Bounded by those.
#[derive(Debug, Default)]
pub(super) struct Notices(HashMap<Arc<str>, (Delivery, Duration)>);

impl Notices {
    /// A notice waits for the replies before it, in place of the one that did.
    pub(super) fn keep(&mut self, conversation: Arc<str>, notice: Delivery, now: Duration) {
        self.0.insert(conversation, (notice, now));
    }

    /// The notice of a conversation whose replies have left, if it is no lie yet.
    pub(super) fn take(&mut self, conversation: &str, now: Duration) -> Option<Delivery> {
        let (notice, since) = self.0.remove(conversation)?;
        (now < since + FRESH).then_some(notice)
    }

    /// A reply follows.
    pub(super) fn forget(&mut self, conversation: &str) {
        if !self.0.is_empty() {
            self.0.remove(conversation);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
