//! What the guard adds to a poll: the same task polled with it and without it, for `bench poll`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_task::{Builder, Runnable};
use concurrent_queue::ConcurrentQueue;

use crate::crew::Member;
use crate::executor::Tagged;
use crate::pool::{Tag, Work, run};
use crate::registry::{Parole, Registry};
use crate::report::Label;
use crate::slot::{Role, Slot};

/// Polls a task that is always ready `polls` times, as a worker polls it, without a guard.
pub fn bare(polls: u64) {
    let queue: Arc<ConcurrentQueue<Runnable>> = Arc::new(ConcurrentQueue::unbounded());
    let again = Arc::clone(&queue);
    let (work, task) = Builder::new().spawn(|()| ready(polls), move |work| drop(again.push(work)));
    work.schedule();
    task.detach();
    while let Ok(work) = queue.pop() {
        let _caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.run()));
    }
}

/// Makes a short call of the C library so often on a thread that is not watched, through the guard's wrapper.
pub fn wrapped_call(times: u64) {
    crate::hook::measured_call(times, true);
}

/// The same past the wrapper.
pub fn bare_call(times: u64) {
    crate::hook::measured_call(times, false);
}

/// The same with everything that the guard does on the path of a poll.
pub fn guarded(polls: u64) {
    let queue: Arc<ConcurrentQueue<Work>> = Arc::new(ConcurrentQueue::unbounded());
    let registry = Arc::new(Registry::new(Parole { after: std::time::Duration::MAX, polls: u32::MAX }));
    let tag = Tag::new(registry.command(&Label::new("measured")));
    let again = Arc::clone(&queue);
    let standings = Arc::clone(&registry);
    let schedule = move |work: Work| {
        if standings.is_clean(work.metadata().command()) {
            drop(again.push(work));
        }
    };
    let builder = Builder::new().metadata(Arc::clone(&tag));
    let (work, task) = builder.spawn(|_| Tagged::new(tag, ready(polls)), schedule);
    work.schedule();
    task.detach();
    let member = Member::here();
    let slot = Slot::here(Role::Worker, Some(Arc::clone(&member)));
    while let Ok(work) = queue.pop() {
        let command = work.metadata().command();
        if !registry.is_clean(command) {
            continue;
        }
        slot.polling(command, || run(work));
        if member.is_relieved() {
            return;
        }
    }
}

/// Asks to be polled again, so often.
async fn ready(polls: u64) {
    let mut left = polls;
    poll_fn(|cx| {
        left = left.saturating_sub(1);
        if left == 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
