//! Where no child can be started.

use tokio::sync::oneshot;

use super::Settings;
use super::error::{IsolateError, Kind};

/// There is nothing to hold.
#[derive(Debug, Default)]
pub(super) struct Leash(());

impl Leash {
    pub(super) fn let_go(&self) {}
}

/// Nothing can be called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function(());

impl Function {
    pub(super) fn of<F, A, T>(_: F) -> Self
    where
        F: Fn(A) -> T + Copy + 'static,
    {
        Self(())
    }
}

pub(super) fn call<A, T>(
    _: Function,
    _: A,
    _: &Settings,
    _: &Leash,
    tell: oneshot::Sender<Result<T, IsolateError>>,
) {
    let obstacle =
        "this platform is not 64-bit Linux with glibc; run it on a thread, with a bound on its work";
    // Nobody listens when the caller has dropped the future.
    let _ = tell.send(Err(Kind::Obstacle(obstacle).into()));
}
