//! Why a handler failed, as those who decide about another attempt have to know it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::engine::Failure;
use crate::error::{Error, panic_message};
use crate::journal::Reason;
use crate::retry::Retry;
use crate::transport::SendError;

/// Prints an error of the author's and decides whether another attempt may help. Printing it may panic, and so may letting
/// it go.
pub(crate) fn judge(error: Error, reason: Reason, retry: Retry) -> Failure {
    let line = error.location();
    // Not within it: should a panic let go of what panics then, the process would end.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let (hint, chain) = (error.hint().map(str::to_owned), error.chain());
        let is_worth_another = reason == Reason::Failed && retry.wants(&error);
        let retry_after = error.retry_after();
        let is_limited = error.find::<SendError>().is_some_and(SendError::is_rate_limited);
        let reason = if is_limited && reason == Reason::Failed { Reason::RateLimited } else { reason };
        Failure { error: chain, line: Some(line), hint, reason, retry, is_worth_another, retry_after }
    }));
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(error))).map_err(panic_message);
    judged.map_err(panic_message).and_then(|failure| dropped.map(|()| failure)).unwrap_or_else(|panic| {
        let error = format!("the handler's error panicked when it was looked at: {panic}");
        Failure { line: Some(line), ..Failure::new(error, Reason::Panicked, retry) }
    })
}
