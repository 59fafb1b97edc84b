//! What effects leave in a store in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Texts and bytes by name, which effects on a [`MemoryStore`](super::MemoryStore) put in and look at.
///
/// ```
/// use evenkeel::journal::memory::Notes;
/// use evenkeel::journal::store::Effect;
///
/// let effect = Effect::new(|notes: &Notes| {
///     let sold = notes.get("sold").map_or(0, |sold| sold.len());
///     notes.put("sold", vec![0; sold + 1]);
///     Ok(())
/// });
/// # drop(effect);
/// ```
#[derive(Debug, Default)]
pub struct Notes(Mutex<BTreeMap<String, Bytes>>);

impl Notes {
    /// What is noted under this name.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Notes it, in the place of what was there.
    pub fn put(&self, name: impl Into<String>, value: impl Into<Bytes>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), value.into());
    }
}

/// A copy, which does not change with the first one.
impl Clone for Notes {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}
