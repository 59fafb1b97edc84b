//! What a handler has done at once, and waits for.

use std::future::Future;
use std::panic::Location;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Context;
use super::ending::nowhere;
use crate::engine::{Download, HandlerRequest};
use crate::error::{Error, Result};
use crate::event::{Attachment, Conversation, MessageId};
use crate::reply::{Action, IntoReply};

/// The largest file that [`Context::download`] fetches.
const DOWNLOAD_LIMIT: usize = 64 << 20;

impl Context {
    /// Answers at once and waits until the network has taken it. Returns the name of the last new message, which is
    /// [unknown](MessageId::unknown) where the network took it without naming one, or where nothing new was written.
    ///
    /// When the handler runs again, after a failure or the end of the process, what was sent is not sent again: the first
    /// call gets the answer of the first, the second that of the second, and so on.
    ///
    /// # Errors
    ///
    /// When the network cannot carry or refused it, or when nobody knows whether it arrived.
    ///
    /// # Cancel safety
    ///
    /// The reply is on its way as soon as this is called; dropping the future drops only the answer.
    #[track_caller]
    pub fn reply_now(&self, reply: impl IntoReply) -> impl Future<Output = Result<MessageId>> {
        let line = Location::caller();
        async move {
            let resolved = self.resolve(reply.into_reply(), self.capabilities());
            let (actions, failure) = resolved.map_err(|error| error.at(line))?;
            if let Some(error) = failure {
                // It is the author's own, and knows its line.
                return Err(error);
            }
            self.deliver(actions).await.map_err(|error| error.at(line))
        }
    }

    pub(super) async fn deliver(&self, actions: Vec<Action>) -> Result<MessageId> {
        let conversation = self.event.conversation();
        if conversation.is_nowhere() {
            return Err(nowhere());
        }
        let sent: Vec<_> = actions.into_iter().map(|action| self.act(conversation, action)).collect();
        let _unhurried = self.unhurried();
        let mut last = None;
        for answer in sent {
            last = answer.await.map_err(|_| Error::new("the bot is stopping"))??.or(last);
        }
        Ok(last.unwrap_or_else(MessageId::unknown))
    }

    fn act(
        &self,
        conversation: &Conversation,
        action: Action,
    ) -> oneshot::Receiver<Result<Option<MessageId>>> {
        let (answer, sent) = oneshot::channel();
        let outbound = self.address(conversation, action);
        let command = self.command().into();
        self.request(HandlerRequest::Act { outbound, command, answer: Some(answer) });
        sent
    }

    /// Fetches a file that came with a message, up to 64 MiB.
    ///
    /// # Errors
    ///
    /// When the file is gone, or too large, or the network fails: `error.find::<DownloadError>()` tells which
    /// ([`DownloadError`](crate::DownloadError)), if the transport says so. What may pass is tried again with the event.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the file up.
    #[track_caller]
    pub fn download(&self, attachment: &Attachment) -> impl Future<Output = Result<Bytes>> {
        let line = Location::caller();
        async move {
            let (answer, file) = oneshot::channel();
            let (attachment, limit_bytes) = (attachment.clone(), DOWNLOAD_LIMIT);
            let conversation = self.event.conversation().clone();
            self.call.requests.download(Download { conversation, attachment, limit_bytes, answer });
            let fetched = file.await.unwrap_or_else(|_| Err(Error::new("the bot is stopping")));
            fetched.map_err(|error| error.at(line))
        }
    }
}
