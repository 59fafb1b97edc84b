//! Waiting for the bot on a thread that is not async.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::line::Line;
use crate::error::{Error, Result};
use crate::offload::is_offloaded;

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, unless it may be one that the bot needs to answer.
///
/// # Errors
///
/// Those of the future; and where this thread may be needed.
pub(super) fn block_on<T>(line: &Line, future: impl Future<Output = Result<T>>) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_ok() && !is_offloaded() {
        let problem = match line.now() {
            None => Some("the bot does not run yet, and this runtime may be the one that starts it"),
            Some(running) if running.is_beside => Some("the bot may run on this very thread"),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            return Err(Error::new(format!("nothing is kept: `wait` would wait for ever, for {problem}"))
                .with_hint(
                    "write `.await` here, or call it inside `offload(..)` or on a thread of its own",
                ));
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return answer;
        }
        // Woken meanwhile, it returns at once.
        thread::park();
    }
}
