//! How many requests are under way: in all, and for each host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one client. Hosts are remembered only while somebody uses or awaits a place.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    per_host: usize,
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// One request's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    // Dropped in this order: `host` has to find its permit given back.
    _in_all: OwnedSemaphorePermit,
    _at_host: OwnedSemaphorePermit,
    _host: Host,
}

impl Places {
    pub(super) fn new(limit: usize, per_host: usize) -> Self {
        let all = Arc::new(Semaphore::new(limit));
        Self { limit, per_host, all, hosts: Mutex::default() }
    }

    /// Waits for a place at `host`, then for one in all: who queues for a slow host takes nothing from the others.
    pub(super) async fn acquire(self: &Arc<Self>, host: &str) -> Place {
        let host = self.host(host);
        let at_host = Arc::clone(&host.permits).acquire_owned().await.expect("nobody closes the host");
        let in_all = Arc::clone(&self.all).acquire_owned().await.expect("nobody closes the client");
        Place { _in_all: in_all, _at_host: at_host, _host: host }
    }

    pub(super) fn in_use(&self) -> usize {
        self.limit - self.all.available_permits()
    }

    fn host(self: &Arc<Self>, name: &str) -> Host {
        let mut hosts = self.lock();
        let permits = hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_host)));
        Host { name: name.to_owned(), permits: Arc::clone(permits), places: Arc::clone(self) }
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
    places: Arc<Places>,
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut hosts = self.places.lock();
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
        let places = Arc::new(Places::new(2, 1));
        let slow = places.acquire("slow").await;
        let mut queued = Box::pin(places.acquire("slow"));
        assert!(poll!(&mut queued).is_pending());
        drop(places.acquire("fast").await);
        assert_eq!(places.in_use(), 1);
        drop(slow);
        queued.await;
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_forgotten_after_their_last_use() {
        let places = Arc::new(Places::new(2, 1));
        let first = places.acquire("host").await;
        let mut cancelled = Box::pin(places.acquire("host"));
        assert!(poll!(&mut cancelled).is_pending());
        drop(first);
        assert_eq!(places.lock().len(), 1);
        drop(cancelled);
        assert_eq!((places.lock().len(), places.in_use()), (0, 0));
    }
}
