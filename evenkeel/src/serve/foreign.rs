//! Calls into a transport, a journal or a hook, which may panic: that costs one action and not the bot.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::RecvTimeoutError;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::error::{Error, Result, panic_message};
use crate::event::Attachment;
use crate::journal::Dead;
use crate::reply::Outbound;
use crate::route::OnDead;
use crate::transport::{AnyTransport, Erased, Inbox, SendError, Sent};

/// A transport whose `receive` panics so often, with less than [`SOUND`] between, is given up.
const PANICS: u32 = 5;
const SOUND: Duration = Duration::from_secs(60);
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), SOUND);
/// How long a send may take where the transport cannot say.
const DEADLINE: Duration = Duration::from_secs(120);

/// Somebody else's future: a panic in it, or when it is let go, is the end of it alone.
pub(super) struct Finished<F: ?Sized>(Option<Pin<Box<F>>>);

/// Waits for a future; a panic is an error with what it said.
pub(super) fn finished<F: Future>(future: F) -> Finished<F> {
    finished_box(Box::pin(future))
}

/// The same of one that is in a box already.
fn finished_box<F: Future + ?Sized>(future: Pin<Box<F>>) -> Finished<F> {
    Finished(Some(future))
}

impl<F: Future + ?Sized> Future for Finished<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        // One that has ended is not polled again.
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic_message(panic)),
        };
        drop_caught(self.0.take());
        Poll::Ready(ended)
    }
}

impl<F: ?Sized> Drop for Finished<F> {
    fn drop(&mut self) {
        drop_caught(self.0.take());
    }
}

/// Waits for a future; a panic becomes an error of what is being done.
pub(super) async fn caught<R>(what: &str, future: impl Future<Output = Result<R>>) -> Result<R> {
    caught_box(what, Box::pin(future)).await
}

/// The same of one that is in a box already.
pub(super) async fn caught_box<R>(
    what: &str,
    future: Pin<Box<impl Future<Output = Result<R>> + ?Sized>>,
) -> Result<R> {
    let ended = finished_box(future).await;
    ended.unwrap_or_else(|panic| Err(Error::new(format!("{what} panicked: {panic}"))))
}

/// Receives until the source ends. A panic costs whatever was being read: it is called again after a pause.
pub(super) async fn receive(transport: AnyTransport, inbox: Inbox) -> Result<()> {
    let name = transport.name();
    let mut panics = 0;
    loop {
        let began = Instant::now();
        let panic = match finished_box(transport.receive(inbox.clone())).await {
            Ok(received) => return received,
            Err(panic) => panic,
        };
        panics = if began.elapsed() < SOUND { panics + 1 } else { 1 };
        let error = Error::new(format!("the {name} transport panicked: {panic}"));
        if panics >= PANICS {
            return Err(error.with_hint(
                "it has done so five times within a minute of its start: this is a mistake in the transport",
            ));
        }
        let pause = BACKOFF.after(panics);
        tracing::error!(transport = name, ?pause, "{error}; it is started again");
        sleep(pause).await;
    }
}

/// Sends one action within the transport's deadline, or within `most`. Nobody knows what a transport did before it panicked, or what it
/// would have done by now; where that is too long, the error is the deadline.
pub(super) async fn send(
    transport: &dyn Erased,
    outbound: &Outbound,
    most: Duration,
) -> Result<Result<Sent, SendError>, Duration> {
    let deadline = catch_unwind(AssertUnwindSafe(|| transport.send_deadline()));
    let deadline = deadline.unwrap_or_else(|panic| {
        let error = panic_message(panic);
        tracing::error!(error, "`Transport::send_deadline` panicked: a send has two minutes");
        DEADLINE
    });
    let sending = finished_box(transport.send(outbound));
    let deadline = deadline.min(most);
    let ended = timeout(deadline, sending).await.map_err(|_| deadline)?;
    Ok(ended.map_or_else(
        |panic| {
            let error = format!("the transport panicked: {panic}");
            tracing::error!(error, "a send panicked");
            Err(SendError::unknown(error))
        },
        |sent| sent.map_err(printable),
    ))
}

/// Tells the network something that is no action, within `most`.
pub(super) async fn tell(
    telling: BoxFuture<'_, Result<(), SendError>>,
    most: Duration,
) -> Result<(), SendError> {
    let ended = timeout(most, finished_box(telling)).await;
    let ended = ended.map_err(|_| SendError::unknown(format!("it did not end within {most:?}")))?;
    ended.map_or_else(
        |panic| Err(SendError::unknown(format!("the transport panicked: {panic}"))),
        |told| told.map_err(printable),
    )
}

/// The error, without its cause if that panics when it is printed: the wire prints it.
fn printable(error: SendError) -> SendError {
    match catch_unwind(AssertUnwindSafe(|| drop(Error::from(error.clone()).chain()))) {
        Ok(()) => error,
        Err(panic) => {
            tracing::error!(
                error = panic_message(panic),
                "the error of a send panicked when it was looked at"
            );
            error.without_cause()
        }
    }
}

/// Fetches a file.
pub(super) async fn download(
    transport: &dyn Erased,
    attachment: &Attachment,
    limit_bytes: usize,
) -> Result<Bytes> {
    caught_box("the transport", transport.download(attachment, limit_bytes)).await
}

/// Drops what holds values of the author's, such as the state of a bot.
pub(super) fn drop_caught<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        tracing::error!(error = panic_message(panic), "a value of the bot's panicked when it was dropped");
    }
}

/// The same on a thread of its own, in the runtime of the handlers, for a bot that ends: what blocks is left behind after
/// `patience`.
pub(super) fn drop_within<T: Send + 'static>(patience: Duration, inside: Handle, value: T) {
    let (gone, is_gone) = std::sync::mpsc::channel::<()>();
    let dropping = move || {
        let _inside = inside.enter();
        drop_caught(value);
        drop(gone);
    };
    // Without a thread, it is dropped here. Either way the channel says nothing but its end.
    let _thread = std::thread::Builder::new().name("evenkeel-left".to_owned()).spawn(dropping);
    if is_gone.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!(?patience, "the bot's state takes long to be dropped: it is left behind");
    }
}

/// Tells the author's hook of something that was given up. All of it runs where this is polled, its first line included.
pub(super) async fn notify_dead(hook: OnDead, dead: Dead) {
    let id = dead.id;
    if let Err(error) = finished(async move { hook(dead).await }).await {
        tracing::error!(%id, error, "the hook `on_dead` panicked; the dead letter is kept");
    }
}
