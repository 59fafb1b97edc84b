//! Functions as handlers.

use std::future::Future;

use crate::command::Parameters;
use crate::context::Context;
use crate::extract::{FromEvent, Rejection};
use crate::offload::{OffloadError, Offloaded, Running};
use crate::reply::IntoReply;
use crate::trigger::Trigger;

/// An `async fn` of at most eight extractors, or a plain `fn` of them inside [`blocking`](crate::offload::blocking) or
/// [`offload`](mod@crate::offload). Implemented for all of them; nobody else needs to.
///
/// Its parts are bounds of their own at [`Router::command`](crate::Router::command), so that the compiler can say
/// which part of a function does not fit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "expected an `async fn` of at most 8 arguments",
    note = "a handler is an `async fn` whose arguments are extractors and whose result is a reply; a plain `fn` becomes one with the word `async`, or as `blocking(name)` if it blocks",
    note = "into `blocking(..)` and `offload(..)` goes the name of a plain `fn` of at most 8 arguments whose result is `Send`"
)]
pub trait Handler<Args>: Clone + Send + Sync + 'static {
    /// What the call gives.
    type Future: Future<Output = Self::Reply> + 'static;
    /// What the future gives.
    type Reply;

    /// Calls the function.
    fn call(&self, args: Args) -> Self::Future;
}

/// The arguments of a handler, as one tuple of extractors.
pub trait FromEventAll<S>: Sized + 'static {
    /// Takes all of them, the first one first.
    ///
    /// # Errors
    ///
    /// The rejection of the first one that does not fit.
    fn from_event_all(cx: &Context, state: &S) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Says at start-up which argument can never fit this trigger.
    ///
    /// # Errors
    ///
    /// The reason.
    fn fits(trigger: Option<&Trigger>) -> Result<(), String>;

    /// Says at start-up what the arguments take from what people write.
    fn describe(parameters: &mut Parameters);
}

macro_rules! arity {
    ($($arg:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<Fun, Fut, $($arg,)*> Handler<($($arg,)*)> for Fun
        where
            Fun: Fn($($arg,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + 'static,
            Fut::Output: 'static,
        {
            type Future = Fut;
            type Reply = Fut::Output;

            #[allow(non_snake_case, reason = "the type's name names the value")]
            fn call(&self, ($($arg,)*): ($($arg,)*)) -> Fut {
                self($($arg),*)
            }
        }

        #[diagnostic::do_not_recommend]
        impl<Fun, Out, $($arg,)*> Handler<($($arg,)*)> for Offloaded<Fun>
        where
            Fun: Fn($($arg,)*) -> Out + Clone + Send + Sync + 'static,
            Out: Send + 'static,
            $($arg: Send + 'static,)*
        {
            type Future = Running<Out>;
            type Reply = Result<Out, OffloadError>;

            #[allow(non_snake_case, reason = "the type's name names the value")]
            fn call(&self, ($($arg,)*): ($($arg,)*)) -> Running<Out> {
                self.handle(move |function| function($($arg),*))
            }
        }

        impl<S: Sync, $($arg: FromEvent<S> + Send + 'static,)*> FromEventAll<S> for ($($arg,)*) {
            #[allow(unused_variables, reason = "a handler without arguments uses neither")]
            async fn from_event_all(cx: &Context, state: &S) -> Result<Self, Rejection> {
                Ok(($($arg::from_event(cx, state).await?,)*))
            }

            #[allow(unused_variables, reason = "a handler without arguments asks nothing")]
            fn fits(trigger: Option<&Trigger>) -> Result<(), String> {
                $($arg::fits(trigger)?;)*
                Ok(())
            }

            #[allow(unused_variables, reason = "a handler without arguments takes nothing")]
            fn describe(parameters: &mut Parameters) {
                $($arg::describe(parameters);)*
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
arity!(A B C D E F G);
arity!(A B C D E F G H);

/// Runs one handler on one call.
pub(crate) async fn run<S, H, Args>(handler: H, cx: Context, state: &S) -> crate::reply::Reply
where
    H: Handler<Args, Future: Send, Reply: IntoReply>,
    Args: FromEventAll<S> + Send,
    S: Sync,
{
    match Args::from_event_all(&cx, state).await {
        Ok(args) => handler.call(args).await.into_reply(),
        Err(rejection) => {
            tracing::debug!(command = cx.command(), reason = rejection.reason(), "the handler did not run");
            rejection.reply_in(&cx)
        }
    }
}
