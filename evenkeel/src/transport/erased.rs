//! A transport of any type, so that a bot can have several.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Inbox, SendError, Sent, Start, Transport};
use crate::capability::Capabilities;
use crate::command::Deferral;
use crate::error::Result;
use crate::event::{Attachment, ReplyToken};
use crate::guarantee::DeliveryMode;
use crate::reply::{Answered, Outbound};

/// A transport of any type.
pub(crate) type AnyTransport = Arc<dyn Erased>;

/// [`Transport`] with boxed futures. What the transport does begins when they are polled: to make one never panics.
pub(crate) trait Erased: Send + Sync + 'static {
    fn name(&self) -> &'static str;
    fn identity(&self) -> Option<String>;
    fn open<'a>(&'a self, start: &'a Start<'a>) -> BoxFuture<'a, Result<String>>;
    fn receive(&self, inbox: Inbox) -> BoxFuture<'_, Result<()>>;
    fn send<'a>(&'a self, outbound: &'a Outbound) -> BoxFuture<'a, Result<Sent, SendError>>;
    fn defer<'a>(&'a self, token: &'a ReplyToken, deferral: Deferral)
    -> BoxFuture<'a, Result<(), SendError>>;
    fn unanswered<'a>(
        &'a self,
        token: &'a ReplyToken,
        answered: Answered,
    ) -> BoxFuture<'a, Result<(), SendError>>;
    fn send_deadline(&self) -> Duration;
    fn sends_at_once(&self) -> usize;
    fn delivery_mode(&self) -> DeliveryMode;
    fn capabilities(&self) -> Capabilities;
    fn is_idempotent(&self) -> bool;
    fn is_rehearsal(&self) -> bool;
    fn download<'a>(&'a self, attachment: &'a Attachment, limit_bytes: usize)
    -> BoxFuture<'a, Result<Bytes>>;
}

impl<T: Transport> Erased for T {
    fn name(&self) -> &'static str {
        Transport::name(self)
    }

    fn identity(&self) -> Option<String> {
        Transport::identity(self)
    }

    fn open<'a>(&'a self, start: &'a Start<'a>) -> BoxFuture<'a, Result<String>> {
        async move { Transport::open(self, start).await }.boxed()
    }

    fn receive(&self, inbox: Inbox) -> BoxFuture<'_, Result<()>> {
        async move { Transport::receive(self, inbox).await }.boxed()
    }

    fn send<'a>(&'a self, outbound: &'a Outbound) -> BoxFuture<'a, Result<Sent, SendError>> {
        async move { Transport::send(self, outbound).await }.boxed()
    }

    fn defer<'a>(
        &'a self,
        token: &'a ReplyToken,
        deferral: Deferral,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async move { Transport::defer(self, token, deferral).await }.boxed()
    }

    fn unanswered<'a>(
        &'a self,
        token: &'a ReplyToken,
        answered: Answered,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async move { Transport::unanswered(self, token, answered).await }.boxed()
    }

    fn send_deadline(&self) -> Duration {
        Transport::send_deadline(self)
    }

    fn sends_at_once(&self) -> usize {
        Transport::sends_at_once(self)
    }

    fn delivery_mode(&self) -> DeliveryMode {
        Transport::delivery_mode(self)
    }

    fn capabilities(&self) -> Capabilities {
        Transport::capabilities(self)
    }

    fn is_idempotent(&self) -> bool {
        Transport::is_idempotent(self)
    }

    fn is_rehearsal(&self) -> bool {
        Transport::is_rehearsal(self)
    }

    fn download<'a>(
        &'a self,
        attachment: &'a Attachment,
        limit_bytes: usize,
    ) -> BoxFuture<'a, Result<Bytes>> {
        async move { Transport::download(self, attachment, limit_bytes).await }.boxed()
    }
}
