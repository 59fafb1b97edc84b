//! Polls on threads of somebody else: seen and reported, but not taken over.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use crate::call::incident;
use crate::findings::{Finding, Stacks};
use crate::options::Options;
use crate::pool::Tag;
use crate::report::Class;
use crate::slot::{Here, Role, Slot, renamed, set_here};
use crate::sys;
use crate::watchdog::{Nobody, Watch};

thread_local! {
    /// The slots of this thread, one for each watch that has seen it.
    static SLOTS: RefCell<Vec<(Weak<Watch>, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}

/// A watch over threads of a tokio runtime; its watchdog ends with it.
pub(crate) struct Guests {
    pub(crate) watch: Arc<Watch>,
    role: Role,
    busy_after: std::time::Duration,
}

impl Guests {
    pub(crate) fn new(options: &Options, role: Role) -> Arc<Self> {
        let busy_after = options.busy_after;
        Arc::new(Self { watch: Watch::start(options, role, Nobody), role, busy_after })
    }

    /// The slot of the current thread, made at its first poll.
    pub(crate) fn slot(&self) -> Arc<Slot> {
        SLOTS.with_borrow_mut(|slots| {
            let mine = |watch: &Weak<Watch>| watch.as_ptr() == Arc::as_ptr(&self.watch);
            if let Some((_, slot)) = slots.iter().find(|(watch, _)| mine(watch)) {
                return Arc::clone(slot);
            }
            slots.retain(|(watch, _)| watch.strong_count() > 0);
            let slot = Slot::here(self.role, None);
            self.watch.add(&slot);
            slots.push((Arc::downgrade(&self.watch), Arc::clone(&slot)));
            slot
        })
    }

    /// Watches one poll on the calling thread.
    pub(crate) fn watching<T>(&self, tag: &Tag, poll: impl FnOnce() -> T) -> T {
        let (slot, observer) = (self.slot(), Arc::clone(&self.watch) as _);
        let _outer = Outer(set_here(Some(Here { slot: Arc::clone(&slot), observer, other: None })));
        self.watch.wake();
        let before = (self.role == Role::Strict).then(sys::cpu_time_here).flatten();
        slot.polling_within(tag.command(), || {
            let number = slot.poll();
            let result = poll();
            tag.note(renamed());
            if let Some((after, before)) = before.and_then(|before| Some((sys::cpu_time_here()?, before))) {
                self.strict(tag, &slot, number, after.saturating_sub(before));
            }
            result
        })
    }

    /// A test must not depend on the watchdog's coming in time: this sees each poll that kept a core busy.
    fn strict(&self, tag: &Tag, slot: &Slot, poll: u64, used: std::time::Duration) {
        if used < self.busy_after || slot.has_panicked(poll) {
            return;
        }
        self.watch.reporter.find(Finding {
            incident: incident(),
            poll,
            command: tag.command(),
            role: self.role,
            symbol: None,
            class: Class::Compute,
            stacks: Stacks::None,
            elapsed: used,
            is_over: true,
            taken_over: None,
            is_excused: false,
        });
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        self.watch.stop();
    }
}

/// What the thread was before a poll; it is that again afterwards, also when the poll unwinds.
struct Outer(Option<Here>);

impl Drop for Outer {
    fn drop(&mut self) {
        set_here(self.0.take());
        // Left over only when the poll unwound.
        let _forgotten = renamed();
    }
}

/// A future whose polls are watched.
pub(crate) struct Watched<F> {
    pub(crate) guests: Arc<Guests>,
    pub(crate) tag: Arc<Tag>,
    pub(crate) future: Pin<Box<F>>,
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { guests, tag, future } = self.get_mut();
        guests.watching(tag, || future.as_mut().poll(cx))
    }
}
