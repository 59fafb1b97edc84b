//! Functions that can be jobs.

use std::future::Future;

use super::Job;
use crate::error::Error;
use crate::reply::IntoReply;

/// A function whose last argument is a [`Job<T>`](Job): what [`Context::defer`](crate::Context::defer) and its siblings
/// take, with a `T` of the same type. Implemented for all of them; nobody else needs to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job with arguments of type `{T}`",
    label = "expected an `async fn` whose last argument is `Job<{T}>`",
    note = "`cx.after(pause, ring, (text,))` goes with `async fn ring(Job((text,)): Job<(String,)>)`"
)]
pub trait JobFunction<Args, T> {}

macro_rules! arity {
    ($($arg:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<Fun, Fut, T, $($arg,)*> JobFunction<($($arg,)* Job<T>,), T> for Fun
        where
            Fun: Fn($($arg,)* Job<T>) -> Fut,
            Fut: Future,
        {
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

/// What a handler of [`Router::schedule`](crate::Router::schedule) may return: nothing, or a failure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is said to nobody: a schedule belongs to no conversation",
    label = "expected `()` or `Result<()>`",
    note = "say where it goes: take a `Context` and write `cx.send(&Conversation::direct(\"..\"), text)`"
)]
pub trait Unspoken: IntoReply {}

impl Unspoken for () {}

impl<T: Unspoken> Unspoken for Option<T> {}

impl<T: Unspoken, E: Into<Error>> Unspoken for Result<T, E> {}

/// The name under which a function is kept: the same in each run of a program that still has it.
pub(crate) fn name_of<F>() -> &'static str {
    std::any::type_name::<F>()
}
