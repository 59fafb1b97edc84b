//! How many requests are under way: in all, and for each host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits of one client. Hosts are remembered only while somebody uses or awaits one.
#[derive(Debug)]
pub(super) struct Permits {
    limit: usize,
    per_host: usize,
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// One request's permit, free again when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    // Dropped in this order: `host` has to find its permit given back.
    _in_all: OwnedSemaphorePermit,
    _at_host: OwnedSemaphorePermit,
    _host: Host,
}

impl Permits {
    pub(super) fn new(limit: usize, per_host: usize) -> Self {
        let all = Arc::new(Semaphore::new(limit));
        Self { limit, per_host, all, hosts: Mutex::default() }
    }

    /// Waits for a place at `host`, then for one in all: who queues for a slow host takes nothing from the others.
    pub(super) async fn acquire(self: &Arc<Self>, host: &str) -> Permit {
        let host = self.host(host);
        let at_host = Arc::clone(&host.permits).acquire_owned().await.expect("nobody closes the host");
        let in_all = Arc::clone(&self.all).acquire_owned().await.expect("nobody closes the client");
        Permit { _in_all: in_all, _at_host: at_host, _host: host }
    }

    pub(super) fn in_use(&self) -> usize {
        self.limit - self.all.available_permits()
    }

    fn host(self: &Arc<Self>, name: &str) -> Host {
        let mut hosts = self.lock();
        let permits = hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_host)));
        Host { name: name.to_owned(), permits: Arc::clone(permits), all: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody's interest in a host; the last one's end forgets the host.
#[derive(Debug)]
struct Host {
    name: String,
    permits: Arc<Semaphore>,
    all: Arc<Permits>,
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut hosts = self.all.lock();
        // The map's own and this one. New ones are made under the same lock.
        if Arc::strong_count(&self.permits) == 2 {
            hosts.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_busy_host_takes_no_places_from_others() {
        let permits = Arc::new(Permits::new(2, 1));
        let slow = permits.acquire("slow").await;
        let mut queued = Box::pin(permits.acquire("slow"));
        assert!(poll!(&mut queued).is_pending());
        drop(permits.acquire("fast").await);
        assert_eq!(permits.in_use(), 1);
        drop(slow);
        queued.await;
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_forgotten_after_their_last_use() {
        let permits = Arc::new(Permits::new(2, 1));
        let first = permits.acquire("host").await;
        let mut cancelled = Box::pin(permits.acquire("host"));
        assert!(poll!(&mut cancelled).is_pending());
        drop(first);
        assert_eq!(permits.lock().len(), 1);
        drop(cancelled);
        assert_eq!((permits.lock().len(), permits.in_use()), (0, 0));
    }
}
