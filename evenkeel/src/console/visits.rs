//! The connections of a page: how many there may be, and for how long each is waited for.
//!
//! A page shares the bot's descriptors and memory, and every program of the computer may connect to it. So a connection that
//! sends no whole head, or reads nothing of what it is sent, ends after a while; and where there are too many, those that
//! have not shown the token give way to newcomers, the oldest first.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

/// What one connection may keep in memory of what it reads and writes.
const BUFFER_BYTES: usize = 64 << 10;
/// A process without descriptors tries again after this long.
const PAUSE: Duration = Duration::from_secs(1);

/// How much a page takes of its bot's process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many connections there are at once.
    pub(crate) connections: usize,
    /// How long the head of a request may take, and the wait for one.
    pub(crate) head: Duration,
    /// How long the other side may read nothing of what waits for it.
    pub(crate) unread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head: Duration::from_secs(10), unread: Duration::from_secs(20) }
    }
}

/// Goes with each request: whether its connection has shown the token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor(Arc<AtomicBool>);

impl Visitor {
    /// From now on this connection gives way to nobody.
    pub(super) fn is_known(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Visit {
    visitor: Visitor,
    task: AbortHandle,
}

/// Serves until it is dropped, and all connections with it.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits) -> Infallible {
    let mut tasks = JoinSet::new();
    // In the order in which they came.
    let mut visits: Vec<Visit> = Vec::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Descriptors come back when something else ends.
            sleep(PAUSE).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        visits.retain(|visit| !visit.task.is_finished());
        if visits.len() >= limits.connections && !make_way(&mut visits) {
            continue;
        }
        let visitor = Visitor::default();
        let task = tasks.spawn(visited(stream, router.clone(), visitor.clone(), limits));
        visits.push(Visit { visitor, task });
        // What was ended to make way gives its descriptor back before the next one comes.
        tokio::task::yield_now().await;
    }
}

/// Ends the oldest connection that has not shown the token; answers false where all have.
fn make_way(visits: &mut Vec<Visit>) -> bool {
    let stranger = visits.iter().position(|visit| !visit.visitor.0.load(Ordering::Relaxed));
    if let Some(at) = stranger {
        visits.remove(at).task.abort();
    }
    stranger.is_some()
}

/// Answers one connection until it ends. Anyone who asked has gone then, and there is nobody to tell of an error.
async fn visited(stream: TcpStream, router: Router, visitor: Visitor, limits: Limits) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(visitor.clone());
        let request: Request = request.map(axum::body::Body::new);
        router.clone().call(request)
    });
    let stream = Patient { stream, unread: limits.unread, stuck: None };
    let _ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A connection that fails when the other side does not read.
struct Patient {
    stream: TcpStream,
    unread: Duration,
    /// Set while something waits to be read.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    /// Passes on what became of a write; one that waits too long has failed.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), cx) {
            self.stuck = None;
            return Poll::Ready(written);
        }
        let unread = self.unread;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(unread)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests;
