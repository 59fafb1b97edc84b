//! What an earlier run left, a page at a time.

use std::collections::HashSet;

use super::plan::Plan;
use super::{OWN, Record, fenced};
use crate::error::Result;
use crate::journal::rules::{self, Changes};
use crate::journal::store::{EventId, JobFilter, Loaded, Partition, Parts, Scope, Store, Sync};
use crate::journal::{DeadFilter, DeadId, Page, Reason, Recovered, TRANSPORT};

/// This many events are read from the store at once: it does not know how large they are.
const STEP: usize = 64;

/// How large an event is taken to be before any was read.
const USUAL_BYTES: usize = 64 << 10;

/// How far an owner has come with what an earlier run left.
#[derive(Debug)]
pub(super) struct Pages {
    /// The last event that was loaded; `None` before the first.
    after: Option<EventId>,
    /// Parked events, which were loaded ahead of all others; their replies were not.
    ahead: HashSet<EventId>,
    /// How large an event was lately.
    usual_bytes: usize,
}

impl Pages {
    /// How many events to read next, of which this many may come, and this many bytes.
    fn step(&self, limit: usize, limit_bytes: usize) -> usize {
        let fit = limit_bytes / self.usual_bytes.max(1);
        fit.min(limit).clamp(1, STEP)
    }
}

impl<S: Store> Record<S> {
    /// Becomes the owner, and answers what an earlier run left that has to be known before anything begins: parked events, which
    /// have their lanes. What else it left is loaded after that.
    pub(in crate::journal) async fn start(&mut self) -> Result<Recovered> {
        self.claim().await?;
        let parked = DeadFilter { reason: Some(Reason::Parked), ..DeadFilter::default() };
        let names = self.store.dead_names(&parked).await?.into_iter();
        let mut ids: Vec<_> = names.filter_map(event_of).collect();
        ids.sort_unstable();
        let (mut page, mut changes) = (Page::default(), Vec::new());
        for id in &ids {
            let parts = self.store.parts(*id).await?;
            self.take_up(*id, parts, &mut page, &mut changes);
        }
        self.commit(Plan::of(changes), Sync::Full).await?;
        let (after, ahead) = (None, ids.into_iter().collect());
        self.pages = Some(Pages { after, ahead, usual_bytes: USUAL_BYTES });
        let first =
            JobFilter { partition: OWN, conversation: None, after: None, until_ms: u64::MAX, limit: 0 };
        Ok(Recovered {
            events: page.events,
            // Theirs come in the order of all.
            replies: Vec::new(),
            next_job_ms: self.store.jobs(&first).await?.1,
            latest_ms: self.latest_ms,
            kept: self.store.values(&Scope::conversation(TRANSPORT)).await?,
            cursors: std::mem::take(&mut self.cursors),
            has_more: true,
        })
    }

    /// Loads the next page: at most this many events, and no further ones once they have this many bytes.
    pub(super) async fn load(&mut self, limit: usize, limit_bytes: usize) -> Result<Page> {
        let (mut page, mut changes) = (Page::default(), Vec::new());
        let (mut left, mut bytes) = (limit.max(1), 0);
        let mut rest = self.pages.take();
        while let Some(mut pages) = rest.take_if(|_| left > 0 && bytes < limit_bytes) {
            let step = pages.step(left, limit_bytes - bytes);
            let loaded = self.store.load(Partition::WHOLE, self.epoch, pages.after, step).await?;
            let Loaded::Read(read) = loaded else { return Err(fenced()) };
            let of_this_run = |id: EventId| self.first.is_some_and(|first| id >= first);
            let old: Vec<_> = read.into_iter().take_while(|(id, _)| !of_this_run(*id)).collect();
            let (Some((last, _)), count) = (old.last(), old.len()) else { break };
            pages.after = Some(*last);
            let before = bytes;
            for (id, parts) in old {
                let is_ahead = pages.ahead.contains(&id);
                bytes += self.take_up(id, parts, &mut page, &mut changes);
                // It is here already, as it stands now.
                page.events.pop_if(|event| is_ahead && event.sequence == id.bits());
            }
            left = left.saturating_sub(count);
            pages.usual_bytes = (bytes - before) / count;
            rest = Some(pages);
        }
        self.commit(Plan::of(changes), Sync::Full).await?;
        page.has_more = rest.is_some();
        self.pages = rest;
        Ok(page)
    }

    /// Takes up one event with its replies. Answers how many bytes they have.
    fn take_up(
        &mut self,
        id: EventId,
        parts: Parts,
        page: &mut Page,
        changes: &mut Changes<'static>,
    ) -> usize {
        let rules::Recovered { event, replies, known } = rules::recover(parts, self.latest_ms, changes);
        if known.is_alive() {
            self.known.insert(id, known);
        }
        let files = replies.iter().flat_map(|reply| reply.outbound.action.files());
        let bytes = event.as_ref().map_or(0, |event| event.event.size_bytes())
            + files.map(|file| file.bytes.len()).sum::<usize>();
        page.events.extend(event);
        page.replies.extend(replies);
        bytes
    }
}

fn event_of(name: DeadId) -> Option<EventId> {
    match name {
        DeadId::Event(bits) => Some(EventId::from_bits(bits)),
        DeadId::Reply(..) => None,
    }
}
