//! Names for events of networks that give them none.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Ids that were never given before, by this process or an earlier one.
///
/// A journal outlives its process and takes an event whose id it has seen for a duplicate. A transport whose network
/// names its events uses those names; one whose network does not takes them from here, and not from a count that
/// begins at one again.
///
/// ```
/// use evenkeel::transport::FreshIds;
///
/// let (ids, after_a_restart) = (FreshIds::new(), FreshIds::new());
/// assert_ne!(ids.fresh(), ids.fresh());
/// assert_ne!(ids.fresh(), after_a_restart.fresh());
/// ```
#[derive(Debug)]
pub struct FreshIds {
    run: u64,
    count: AtomicU64,
}

impl FreshIds {
    /// Ids that begin with a random number of 64 bits.
    pub fn new() -> Self {
        // By no clock: a computer that keeps no time while it is off starts at the same one again.
        Self { run: RandomState::new().hash_one(0), count: AtomicU64::new(0) }
    }

    /// The next one: letters, digits and a dash.
    pub fn fresh(&self) -> String {
        format!("{:x}-{}", self.run, self.count.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Default for FreshIds {
    fn default() -> Self {
        Self::new()
    }
}
