//! Calls into a transport, a journal or a hook, which may panic: that costs one action and not the bot.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::context::OnDead;
use crate::error::{Error, Result, panic_message};
use crate::event::Attachment;
use crate::journal::Dead;
use crate::reply::Outbound;
use crate::transport::{Inbox, SendError, Sent, Transport};

/// A transport whose `receive` panics so often, with less than [`SOUND`] between, is given up.
const PANICS: u32 = 5;
const SOUND: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Waits for a future; a panic becomes an error of what is being done.
pub(super) async fn caught<R>(what: &str, future: impl Future<Output = Result<R>>) -> Result<R> {
    AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(what, &*panic)))
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> Error {
    Error::new(format!("{what} panicked: {}", panic_message(panic)))
}

/// Receives until the source ends. A panic costs whatever was being read: it is called again after a pause.
pub(super) async fn receive<T: Transport>(transport: Arc<T>, inbox: Inbox) -> Result<()> {
    let name = transport.name();
    let mut panics = 0;
    loop {
        let began = Instant::now();
        // In a block, for a transport may panic before there is a future.
        let receiving = async { transport.receive(inbox.clone()).await };
        let received = AssertUnwindSafe(receiving).catch_unwind().await;
        let Err(panic) = received else { return received.unwrap_or(Ok(())) };
        panics = if began.elapsed() < SOUND { panics + 1 } else { 1 };
        let error = panicked(&format!("the {name} transport"), &*panic);
        if panics >= PANICS {
            return Err(error.with_hint(
                "it has done so five times within a minute of its start: this is a mistake in the transport",
            ));
        }
        let pause = FIRST_PAUSE * (1 << (panics - 1));
        tracing::error!(transport = name, ?pause, "{error}; it is started again");
        sleep(pause).await;
    }
}

/// Sends one action. Nobody knows what a transport did before it panicked.
pub(super) async fn send<T: Transport>(transport: &T, outbound: &Outbound) -> Result<Sent, SendError> {
    let sent = AssertUnwindSafe(async { transport.send(outbound).await }).catch_unwind().await;
    let sent = sent.map(|sent| sent.map_err(printable));
    sent.unwrap_or_else(|panic| {
        let error = panicked("the transport", &*panic).to_string();
        tracing::error!(transport = transport.name(), error, "a send panicked");
        Err(SendError::unknown(error))
    })
}

/// The error, without its cause if that panics when it is printed: the wire prints it.
fn printable(error: SendError) -> SendError {
    match catch_unwind(AssertUnwindSafe(|| drop(Error::from(error.clone()).chain()))) {
        Ok(()) => error,
        Err(_) => error.without_cause(),
    }
}

/// Fetches a file.
pub(super) async fn download<T: Transport>(
    transport: &T,
    attachment: &Attachment,
    limit_bytes: usize,
) -> Result<Bytes> {
    caught("the transport", async { transport.download(attachment, limit_bytes).await }).await
}

/// Drops what holds values of the author's, such as the state of a bot.
pub(super) fn drop_caught<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        tracing::error!(error = panic_message(&*panic), "a value of the bot's panicked when it was dropped");
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
    if let Err(panic) = AssertUnwindSafe(async move { hook(dead).await }).catch_unwind().await {
        tracing::error!(%id, error = panic_message(&*panic), "the hook `on_dead` panicked; the dead letter is kept");
    }
}
