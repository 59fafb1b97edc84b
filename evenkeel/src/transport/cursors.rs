//! How far the sources of a transport have been read.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::event::Cursor;
use crate::reserved;

/// More events of a source than these may not be missing: beyond that its position stays where it is until the next start.
const MISSING: usize = 4_096;

/// The sources of one transport. Held for a few lines, and by no author's code; a transport that has no cursors never comes here.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    /// The network's name in the journal; empty for the primary one.
    network: Box<str>,
    sources: Mutex<HashMap<Box<str>, Source>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Source {
    /// Its name in the journal.
    key: Arc<str>,
    /// The last position before which nothing is missing.
    position: Option<Bytes>,
    /// Events that were refused and have not come again: no position behind them is kept, so that the source offers them once more.
    missing: HashSet<Box<str>>,
}

impl Cursors {
    /// The sources of the network with this name, as far as earlier runs have read them.
    pub(super) fn new(network: &str, kept: Vec<(String, Bytes)>) -> Self {
        let own = |(key, position): (String, Bytes)| {
            let Some(source) = reserved::name_on(network, &key) else {
                tracing::debug!(
                    network,
                    key = &*reserved::shown(&key),
                    "the position of another network's source is left as it is"
                );
                return None;
            };
            let source: Box<str> = source.into();
            Some((source, Source { key: key.into(), position: Some(position), missing: HashSet::new() }))
        };
        Self { network: network.into(), sources: Mutex::new(kept.into_iter().filter_map(own).collect()) }
    }

    pub(super) fn position(&self, source: &str) -> Option<Bytes> {
        self.lock().get(source)?.position.clone()
    }

    /// Passes a cursor on as far as it may be kept. `hand_over` is called in its place among the others of its source, with what to
    /// keep, and says how that went.
    pub(super) fn pass<R>(
        &self,
        cursor: Cursor,
        event: Option<&str>,
        hand_over: impl FnOnce(Option<Cursor>) -> (R, Passage),
    ) -> R {
        let (name, position) = cursor.into_parts();
        let mut sources = self.lock();
        let source = match sources.get_mut(&*name) {
            Some(source) => source,
            None => sources.entry((*name).into()).or_insert_with(|| Source {
                key: reserved::on(&self.network, &name).into(),
                position: None,
                missing: HashSet::new(),
            }),
        };
        if let Some(event) = event {
            source.missing.remove(event);
        }
        let kept = source.missing.is_empty().then(|| Cursor::of(Arc::clone(&source.key), position));
        let (answer, passage) = hand_over(kept.clone());
        match (passage, kept, event) {
            (Passage::Through, Some(kept), _) => source.position = Some(kept.into_parts().1),
            (Passage::Refused, _, Some(event)) if source.missing.len() < MISSING => {
                source.missing.insert(event.into());
            }
            // Nothing is called so, and nothing takes it away again.
            (Passage::Refused, ..) => drop(source.missing.insert(Box::default())),
            (Passage::Through, None, _) => {}
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How something went that has a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Nothing more is to come of it.
    Through,
    /// It will be offered again.
    Refused,
}
