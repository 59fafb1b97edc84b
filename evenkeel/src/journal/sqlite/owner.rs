//! What the journal's thread does: it owns the record.

use super::handover::Work;
use super::store::SqliteStore;
use crate::error::Result;
use crate::journal::owned::gone;
use crate::journal::record::{Record, at_once};
use crate::journal::store::Store;
use crate::journal::{Entry, Recovered, Written};

/// The record, until it is closed.
pub(super) struct Owner(pub(super) Option<Record<SqliteStore>>);

impl Owner {
    fn record(&mut self) -> Result<&mut Record<SqliteStore>> {
        self.0.as_mut().ok_or_else(gone)
    }
}

impl Work for Owner {
    type Batch = Vec<Entry>;
    type Written = Result<Written>;
    type Recovered = Result<Recovered>;

    fn recover(&mut self) -> Result<Recovered> {
        at_once(self.record()?.start())
    }

    fn write(&mut self, batch: Vec<Entry>) -> Result<Written> {
        let answers = at_once(self.record()?.append(&batch))?;
        Ok(Written { batch, answers })
    }

    fn settle(&mut self) {
        if let Some(record) = &mut self.0 {
            record.store_mut().settle();
        }
    }

    fn tidy(&mut self) -> bool {
        self.0.as_mut().is_some_and(|record| record.store_mut().tidy())
    }

    fn close(&mut self) {
        if let Some(record) = self.0.take() {
            at_once(record.into_store().close());
        }
    }
}
