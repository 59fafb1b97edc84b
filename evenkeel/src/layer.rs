//! Middleware: what runs around handlers.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::context::Context;
use crate::event::Event;
use crate::extract::{FromEvent, Rejection};
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
/// something that can be a reply. `Kind` tells the two apart and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer for handlers",
    label = "expected `from_fn(..)`, or a `tower::Layer` whose service never fails",
    note = "the last two arguments of a `from_fn` function are `Event` and `Next`; a tower layer must keep the response an `IntoReply` and the error `Infallible`"
)]
pub trait HandlerLayer<S, Kind>: Send + 'static {
    /// Wraps a route.
    fn wrap(&self, inner: Route, state: &Arc<S>) -> Route;
}

/// Marks a tower layer.
#[derive(Debug)]
pub struct Tower(());

impl<S, L> HandlerLayer<S, Tower> for L
where
    L: Layer<Route> + Send + 'static,
    L::Service: Service<Context, Response: IntoReply, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn wrap(&self, inner: Route, _: &Arc<S>) -> Route {
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
pub fn from_fn<F>(function: F) -> FromFn<F> {
    FromFn { function }
}

/// The layer that [`from_fn`] makes.
#[derive(Clone, Debug)]
pub struct FromFn<F> {
    function: F,
}

/// Marks a layer made of a function with these extractors.
#[derive(Debug)]
pub struct Function<Args>(PhantomData<Args>);

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

macro_rules! layers {
    ($($arg:ident)*) => {
        impl<S, F, Fut, $($arg,)*> HandlerLayer<S, Function<($($arg,)*)>> for FromFn<F>
        where
            S: Send + Sync + 'static,
            F: Fn($($arg,)* Event, Next) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: IntoReply> + Send + 'static,
            $($arg: FromEvent<S> + Send + 'static,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "the type's name names the value")]
            fn wrap(&self, inner: Route, state: &Arc<S>) -> Route {
                let (function, state) = (self.function.clone(), Arc::clone(state));
                Route::new(move |cx| {
                    let (function, state, inner) = (function.clone(), Arc::clone(&state), inner.clone());
                    async move {
                        let taken: Result<_, Rejection> =
                            async { Ok(($($arg::from_event(&cx, &state).await?,)*)) }.await;
                        match taken {
                            Ok(($($arg,)*)) => {
                                let event = cx.event().clone();
                                function($($arg,)* event, Next { cx, inner }).await.into_reply()
                            }
                            Err(rejection) => rejection.into_reply(),
                        }
                    }
                })
            }
        }
    };
}
layers!();
layers!(A);
layers!(A B);
layers!(A B C);
layers!(A B C D);
layers!(A B C D E);
layers!(A B C D E G);
