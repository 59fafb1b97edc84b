//! The primitives that `crew` is written against. The model check puts loom's in their place.

pub(crate) use concurrent_queue::ConcurrentQueue as Queue;
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic;
pub(crate) use std::thread;

/// How often a member without work lets other threads run before it sleeps.
pub(crate) const YIELDS: u32 = 4;

/// A queue with a bound, all of whose memory is there from the start.
pub(crate) fn queue_of<T>(most: usize) -> Queue<T> {
    Queue::bounded(most)
}

/// A queue without bound.
pub(crate) fn queue<T>() -> Queue<T> {
    Queue::unbounded()
}
