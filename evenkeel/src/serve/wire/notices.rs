//! Best-effort actions under way: one for each conversation, and none beside a reply there.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, poll};

use crate::engine::Delivery;
use crate::serve::outbox::notify;
use crate::transport::{AnyTransport, SendError, Sent};

/// This many at once; beyond that the next one is not even tried.
const LIMIT: usize = 256;

/// How one has ended, unless something else was to be sent there first.
type Ended = Option<Result<Sent, SendError>>;

/// See the module. Dropping it drops what is under way.
#[derive(Default)]
pub(super) struct Notices {
    under_way: FuturesUnordered<BoxFuture<'static, (Arc<str>, u64, Ended)>>,
    /// By conversation: its number, and how to let it go.
    handles: HashMap<Arc<str>, (u64, AbortHandle)>,
    count: u64,
}

impl Notices {
    /// Begins with one, in place of the one before it in the same conversation. Answers at once where there are too many.
    pub(super) fn begin(&mut self, transport: &AnyTransport, notice: Delivery) -> Ended {
        let conversation = notice.outbound.conversation.shared_key();
        self.let_go(&conversation);
        if self.under_way.len() >= LIMIT {
            return Some(Err(SendError::not_sent("too many typing indicators hang")));
        }
        self.count += 1;
        let (number, (handle, registration)) = (self.count, AbortHandle::new_pair());
        let sending = Abortable::new(notify(Arc::clone(transport), notice), registration);
        self.handles.insert(Arc::clone(&conversation), (number, handle));
        self.under_way.push(async move { (conversation, number, sending.await.ok()) }.boxed());
        None
    }

    /// Something else is sent there: the notice is not polled any more.
    pub(super) fn let_go(&mut self, conversation: &str) {
        if let Some((_, handle)) = self.handles.remove(conversation) {
            handle.abort();
        }
    }

    /// Waits for the next end, for ever if none is under way.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is under way stays here.
    pub(super) async fn next(&mut self) -> Ended {
        if self.under_way.is_empty() {
            return std::future::pending().await;
        }
        let (conversation, number, ended) = self.under_way.next().await?;
        if self.handles.get(&conversation).is_some_and(|(current, _)| *current == number) {
            self.handles.remove(&conversation);
        }
        ended
    }

    /// Lets all get as far as they come without waiting, so that a notice leaves before the reply that follows it. Returns
    /// how those ended that did.
    pub(super) async fn poll(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        while !self.under_way.is_empty()
            && let Poll::Ready(one) = poll!(Box::pin(self.next()))
        {
            ended.push(one);
        }
        ended
    }
}
