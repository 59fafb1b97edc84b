//! What the journal keeps of a job.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::{Conversation, Event, JobFired, Sender};
use crate::journal::Job;
use crate::networks::Networks;
use crate::reserved::{self, HANDLES, SCHEDULES};
use crate::schedule::{Firings, Misfire, Overlap, Schedule, due};

/// What is to be done, for whom, and whether again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobBody {
    pub(crate) function: String,
    /// JSON.
    pub(crate) args: String,
    conversation: Conversation,
    sender: Sender,
    /// `None` for a job that happens once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<Again>,
}

/// When a job happens again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Again {
    pub(crate) schedule: Schedule,
    /// From where intervals are counted, in milliseconds since 1970.
    pub(crate) anchor_ms: u64,
    pub(crate) overlap: Overlap,
    pub(crate) misfire: Misfire,
}

impl JobBody {
    pub(crate) fn new(function: &str, args: String, event: &Event, again: Option<Again>) -> Self {
        let (conversation, sender) = (event.conversation().clone(), event.sender().clone());
        Self { function: function.to_owned(), args, conversation, sender, again }
    }

    /// One that was planned outside of any event.
    pub(crate) fn outside(
        function: &str,
        args: String,
        conversation: Conversation,
        again: Option<Again>,
    ) -> Self {
        Self { function: function.to_owned(), args, conversation, sender: Sender::new(HANDLES), again }
    }

    /// The same with intervals that are counted from this time.
    pub(crate) fn counted_from(mut self, anchor_ms: u64) -> Self {
        if let Some(again) = &mut self.again {
            again.anchor_ms = anchor_ms;
        }
        self
    }

    /// The same with its conversation as the record knows it.
    ///
    /// # Errors
    ///
    /// When the bot is not on its network.
    pub(crate) fn on(mut self, networks: &Networks) -> Result<Self> {
        (self.conversation, _) = networks.find(&self.conversation)?;
        Ok(self)
    }

    /// The name of its conversation in the record.
    pub(super) fn conversation(&self) -> &str {
        self.conversation.key()
    }

    /// A schedule of the router's, which belongs to no conversation.
    pub(crate) fn scheduled(function: &str, again: Again) -> Self {
        let (conversation, sender) = (Conversation::direct(SCHEDULES), Sender::new(SCHEDULES));
        Self { function: function.to_owned(), args: "null".into(), conversation, sender, again: Some(again) }
    }

    pub(crate) fn to_bytes(&self) -> Result<Bytes> {
        Ok(Bytes::from(serde_json::to_vec(self)?))
    }

    pub(crate) fn read(kept: &Job) -> Option<Self> {
        serde_json::from_slice(&kept.body).ok()
    }

    /// The function of a job, though the rest of it cannot be read.
    pub(super) fn function_of(kept: &Job) -> Option<String> {
        #[derive(Deserialize)]
        struct Named {
            function: String,
        }
        serde_json::from_slice(&kept.body).ok().map(|Named { function }| function)
    }

    /// When it is due for the first time.
    pub(crate) fn first_ms(&self, now_ms: u64) -> Option<u64> {
        let Again { schedule, anchor_ms, .. } = self.again.as_ref()?;
        schedule.next_ms_after(now_ms, *anchor_ms)
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
    pub(crate) fn event(&self, kept: &Job, due_ms: u64) -> Event {
        let is_beside = self.again.as_ref().is_some_and(|again| again.overlap == Overlap::Allow);
        let lane = if is_beside { reserved::firing(&kept.name, due_ms) } else { Self::lane(kept) };
        let id = reserved::firing(kept.id, due_ms);
        let what = JobFired::new(kept.name.clone(), self.function.clone(), self.args.clone(), due_ms, lane);
        Event::new(id, self.conversation.clone(), self.sender.clone(), what).with_sent_ms(due_ms)
    }

    /// The lane of its firings, where they do not run beside one another.
    pub(crate) fn lane(kept: &Job) -> String {
        reserved::lane_of_job(&kept.name)
    }
}
