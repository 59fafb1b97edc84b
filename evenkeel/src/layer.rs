//! Middleware: what runs around handlers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::context::Context;
use crate::event::Event;
use crate::handler::FromEventAll;
use crate::reply::{IntoReply, Reply};

pub(crate) type ReplyFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A handler with its layers: a tower service from [`Context`] to [`Reply`] that never fails.
///
/// This is what a `tower::Layer` gets to wrap. Cloning is cheap.
#[derive(Clone)]
pub struct Route(Arc<dyn Fn(Context) -> ReplyFuture + Send + Sync>);

impl Route {
    pub(crate) fn new<F>(call: impl Fn(Context) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self(Arc::new(move |cx| Box::pin(call(cx))))
    }

    pub(crate) fn run(&self, cx: Context) -> ReplyFuture {
        (self.0)(cx)
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Route")
    }
}

impl Service<Context> for Route {
    type Response = Reply;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Polling<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, cx: Context) -> Answering {
        Answering(self.run(cx))
    }
}

/// The future of a [`Route`].
#[must_use = "futures do nothing unless polled"]
pub struct Answering(ReplyFuture);

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answering")
    }
}

impl Future for Answering {
    type Output = Result<Reply, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Polling<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

/// What [`Router::layer`](crate::Router::layer) takes: [`from_fn`], or any `tower::Layer` whose service maps a [`Context`] to
/// something that can be a reply. Implemented for all of them; nobody else needs to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer for handlers",
    label = "expected `from_fn(..)`, or a `tower::Layer` whose service never fails",
    note = "a tower layer must keep the response an `IntoReply` and the error `Infallible`, and its service must be `Clone`"
)]
pub trait HandlerLayer: Send + Sync + 'static {
    /// The extractors that it asks for; none for a tower layer.
    type Args;

    /// Wraps a route.
    fn wrap<S: Send + Sync + 'static>(&self, inner: Route, state: &Arc<S>) -> Route
    where
        Self::Args: FromEventAll<S> + Send;
}

#[diagnostic::do_not_recommend]
impl<L> HandlerLayer for L
where
    L: Layer<Route> + Send + Sync + 'static,
    L::Service: Service<Context, Response: IntoReply, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type Args = ();

    fn wrap<S>(&self, inner: Route, _: &Arc<S>) -> Route {
        let service = self.layer(inner);
        Route::new(move |cx| {
            let mut service = service.clone();
            async move {
                // A service is ready before it is called: limits and buffers rely on it.
                match std::future::poll_fn(|polling| service.poll_ready(polling)).await {
                    Ok(()) => {}
                    Err(never) => match never {},
                }
                match service.call(cx).await {
                    Ok(reply) => reply.into_reply(),
                    Err(never) => match never {},
                }
            }
        })
    }
}

/// Makes a layer of a function. It may answer by itself, change the event, change the reply, or pass everything on.
///
/// *Shape*: an `async fn` of up to six extractors, then the [`Event`], then [`Next`].
///
/// ```
/// use evenkeel::{from_fn, Event, IntoReply, Next, Reply, Router, Sender};
///
/// async fn members_only(who: Sender, event: Event, next: Next) -> Reply {
///     if who.is("alice") { next.run(event).await } else { "members only".into_reply() }
/// }
/// async fn ping() -> &'static str { "pong" }
///
/// let app = Router::new().command("!ping", ping).layer(from_fn(members_only)).with_state(());
/// ```
pub fn from_fn<F, Args>(function: F) -> FromFn<Args>
where
    F: LayerFunction<Args, Future: Send, Reply: IntoReply>,
{
    let call = move |args, event, next| -> ReplyFuture {
        let future = function.call(args, event, next);
        Box::pin(async move { future.await.into_reply() })
    };
    FromFn(Arc::new(call))
}

/// The layer that [`from_fn`] makes. Cloning is cheap.
///
/// It knows the function only by its extractors, so that a function that does not fit is one error, not two.
pub struct FromFn<Args>(Arc<dyn Fn(Args, Event, Next) -> ReplyFuture + Send + Sync>);

impl<Args> Clone for FromFn<Args> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Args> std::fmt::Debug for FromFn<Args> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FromFn")
    }
}

/// An `async fn` that [`from_fn`] takes. Implemented for all of them; nobody else needs to.
///
/// Its parts are bounds of their own, as those of [`Handler`](crate::Handler) are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function for a layer",
    label = "expected an `async fn` whose last two arguments are `Event` and `Next`",
    note = "the function of a layer is an `async fn` of at most 6 extractors, then `Event`, then `Next`, and its result is a reply"
)]
pub trait LayerFunction<Args>: Clone + Send + Sync + 'static {
    /// What the call gives.
    type Future: Future<Output = Self::Reply> + 'static;
    /// What the future gives.
    type Reply;

    /// Calls the function.
    fn call(&self, args: Args, event: Event, next: Next) -> Self::Future;
}

impl<Args: 'static> HandlerLayer for FromFn<Args> {
    type Args = Args;

    fn wrap<S: Send + Sync + 'static>(&self, inner: Route, state: &Arc<S>) -> Route
    where
        Args: FromEventAll<S> + Send,
    {
        let (function, state) = (Arc::clone(&self.0), Arc::clone(state));
        Route::new(move |cx| {
            let (function, state, inner) = (Arc::clone(&function), Arc::clone(&state), inner.clone());
            async move {
                match Args::from_event_all(&cx, &*state).await {
                    Ok(args) => {
                        let event = cx.event().clone();
                        function(args, event, Next { cx, inner }).await
                    }
                    Err(rejection) => {
                        let (command, reason) = (cx.command(), rejection.reason());
                        tracing::debug!(command, reason, "a layer did not run, nor what it covers");
                        rejection.reply_in(&cx)
                    }
                }
            }
        })
    }
}

/// What comes after a layer: the next one, and in the end the handler.
#[derive(Clone, Debug)]
pub struct Next {
    cx: Context,
    inner: Route,
}

impl Next {
    /// Goes on with `event`, which may be another one than came in.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the handler at its next `.await`.
    pub async fn run(self, event: Event) -> Reply {
        self.inner.run(self.cx.with_event(event)).await
    }

    /// The call that is going on.
    pub fn context(&self) -> &Context {
        &self.cx
    }
}

macro_rules! arity {
    ($($arg:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<Fun, Fut, $($arg,)*> LayerFunction<($($arg,)*)> for Fun
        where
            Fun: Fn($($arg,)* Event, Next) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + 'static,
            Fut::Output: 'static,
        {
            type Future = Fut;
            type Reply = Fut::Output;

            #[allow(non_snake_case, reason = "the type's name names the value")]
            fn call(&self, ($($arg,)*): ($($arg,)*), event: Event, next: Next) -> Fut {
                self($($arg,)* event, next)
            }
        }
    };
}
arity!();
arity!(A);
arity!(A B);
arity!(A B C);
arity!(A B C D);
arity!(A B C D E);
arity!(A B C D E F);
