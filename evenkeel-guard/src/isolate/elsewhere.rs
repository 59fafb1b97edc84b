//! Where no child can be started.

use tokio::sync::oneshot;

use super::Limits;
use super::error::{IsolateError, Kind};

/// There is nothing to hold.
#[derive(Debug, Default)]
pub(super) struct Leash(());

impl Leash {
    pub(super) fn let_go(&self) {}
}

pub(super) fn call<A, T>(
    _: fn(A) -> T,
    _: A,
    _: Limits,
    _: &Leash,
    tell: oneshot::Sender<Result<T, IsolateError>>,
) {
    let obstacle =
        "this platform is not 64-bit Linux with glibc; run it on a thread, with a bound on its work";
    // Nobody listens when the caller has dropped the future.
    let _ = tell.send(Err(Kind::Obstacle(obstacle).into()));
}
