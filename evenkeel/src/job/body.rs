//! What the journal keeps of a job.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{JobId, Repeat, Waiting};
use crate::error::Result;
use crate::event::{Conversation, Due, Event, Sender};
use crate::journal::Job as Kept;
use crate::schedule::{Firings, Misfire, Overlap, Schedule, due};

/// The conversation to which the schedules of the router belong; no network can name one so.
pub(crate) const SCHEDULES: &str = "\u{0}schedules";

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Body {
    function: String,
    /// JSON.
    args: String,
    conversation: Conversation,
    sender: Sender,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<Again>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Again {
    schedule: Schedule,
    anchor_ms: u64,
    overlap: Overlap,
    misfire: Misfire,
}

impl Body {
    pub(crate) fn new(function: &str, args: String, event: &Event, repeat: Option<(Repeat, u64)>) -> Self {
        let (conversation, sender) = (event.conversation().clone(), event.sender().clone());
        let again = repeat.map(|(repeat, anchor_ms)| {
            let Repeat { schedule, overlap, misfire } = repeat;
            Again { schedule, anchor_ms, overlap, misfire }
        });
        Self { function: function.to_owned(), args, conversation, sender, again }
    }

    /// A schedule of the router's, which belongs to no conversation. Its times are counted from 1970, so that they are
    /// the same in each run.
    pub(crate) fn scheduled(function: &str, repeat: Repeat) -> Self {
        let (conversation, sender) = (Conversation::direct(SCHEDULES), Sender::new(SCHEDULES));
        let Repeat { schedule, overlap, misfire } = repeat;
        let again = Some(Again { schedule, anchor_ms: 0, overlap, misfire });
        Self { function: function.to_owned(), args: "null".into(), conversation, sender, again }
    }

    pub(crate) fn to_bytes(&self) -> Result<Bytes> {
        Ok(Bytes::from(serde_json::to_vec(self)?))
    }

    pub(crate) fn read(kept: &Kept) -> Option<Self> {
        serde_json::from_slice(&kept.body).ok()
    }

    /// When it is due for the first time.
    pub(crate) fn first_ms(&self, now_ms: u64) -> Option<u64> {
        let Again { schedule, anchor_ms, .. } = self.again.as_ref()?;
        schedule.next_after(now_ms, *anchor_ms)
    }

    /// What is to be fired now, and when it is due again.
    pub(crate) fn firings(&self, due_ms: u64, now_ms: u64) -> Firings {
        match &self.again {
            None => Firings { fire: vec![due_ms], ..Firings::default() },
            Some(Again { schedule, anchor_ms, misfire, .. }) => {
                due(schedule, *anchor_ms, due_ms, now_ms, *misfire)
            }
        }
    }

    /// Whether a firing is skipped while the last one runs.
    pub(crate) fn skips_overlap(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.overlap == Overlap::Skip)
    }

    /// The event that a firing becomes.
    pub(crate) fn event(&self, kept: &Kept, due_ms: u64) -> Event {
        let is_beside = self.again.as_ref().is_some_and(|again| again.overlap == Overlap::Allow);
        let lane = if is_beside {
            format!("\u{0}job {} {due_ms}", kept.name)
        } else {
            format!("\u{0}job {}", kept.name)
        };
        let id = format!("\u{0}job {} {due_ms}", kept.id);
        let what = Due::new(kept.name.clone(), self.function.clone(), self.args.clone(), due_ms, lane);
        Event::new(id, self.conversation.clone(), self.sender.clone(), what).with_sent_ms(due_ms)
    }

    /// The lane of its firings, where they do not run beside one another.
    pub(crate) fn lane(kept: &Kept) -> String {
        format!("\u{0}job {}", kept.name)
    }

    /// What people may know of it.
    pub(crate) fn waiting(kept: &Kept) -> Option<Waiting> {
        let body = Self::read(kept)?;
        Some(Waiting {
            id: JobId(kept.name.clone()),
            function: body.function,
            due: UNIX_EPOCH + Duration::from_millis(kept.due_ms),
            args: body.args,
            schedule: body.again.map(|again| again.schedule.to_string()),
        })
    }
}
