//! What a running bot answers when it is asked how it is.

use std::sync::Arc;
use std::time::Duration;

use super::Wire;
use crate::engine::Load;
use crate::journal::Journal;
use crate::progress::Progress;
use crate::serve::log::lost_lines;
use crate::status::{Question, Snapshot};
use crate::transport::Transport;

/// A journal that takes so long for a batch is said to be stalled.
const STALLED: Duration = Duration::from_secs(1);
/// How many handlers that have run for long are told.
const MOST_SLOW: usize = 20;

impl<T: Transport, J: Journal> Wire<T, J> {
    pub(super) fn answer(&mut self, question: Question) {
        match question {
            // Whoever asked may have gone.
            Question::Snapshot(answer) => drop(answer.send(self.snapshot())),
            Question::Guarantees(answer) => drop(answer.send(self.guarantees.clone())),
            Question::Idle(answer) => self.idlers.push(answer),
            Question::Slow(longer_than, answer) => drop(answer.send(self.slow(longer_than))),
            Question::Pardon(name, answer) => {
                let count = self.executor.pardon(&name);
                if count > 0 {
                    tracing::info!(command = name, count, "pardoned: back from quarantine to the workers");
                }
                // Whoever asked may have gone.
                let _heard = answer.send(count);
            }
        }
    }

    /// The handlers that have run for longest.
    fn slow(&self, longer_than: Duration) -> Vec<Arc<Progress>> {
        let all = self.running.values().map(|running| &running.progress);
        let is_slow = |progress: &&Arc<Progress>| progress.stopwatch.began().elapsed() > longer_than;
        let mut slow: Vec<_> = all.filter(is_slow).collect();
        slow.sort_by_key(|progress| progress.stopwatch.began());
        slow.into_iter().take(MOST_SLOW).cloned().collect()
    }

    fn snapshot(&self) -> Snapshot {
        let (events, replies) = (self.engine.event_counters(), self.engine.reply_counters());
        let Load { running, waiting, outbox } = self.engine.load();
        Snapshot {
            accepted: events.accepted,
            resumed: events.resumed,
            duplicates: events.duplicates,
            handled: events.handled,
            failed: events.failed,
            retried: events.retried,
            braked: self.engine.braked(),
            dead: events.dead + replies.dead,
            sent: replies.sent,
            not_sent: replies.not_sent,
            unknown: replies.unknown,
            refused: self.backlog.refused(),
            refused_share: self.backlog.refused_share(),
            refused_large: self.backlog.refused_large(),
            undeliverable: self.backlog.undeliverable(),
            gaps: self.backlog.gaps(),
            stalled: self.stalled(),
            lost_log_lines: lost_lines(),
            running,
            waiting,
            outbox,
            is_draining: self.is_draining,
            commands: self.commands.snapshots(),
            blocked: self.executor.reports(),
            quarantined: self.executor.quarantined(),
            guard: self.executor.counters(),
        }
    }

    /// For how long the batch that is being written has been, if that is long.
    fn stalled(&self) -> Duration {
        let since = self.writing.is_some().then(|| self.wrote.elapsed());
        since.filter(|since| *since >= STALLED).unwrap_or_default()
    }

    pub(super) fn tell_idlers(&mut self) {
        for idler in self.idlers.drain(..) {
            // Whoever asked may have gone.
            let _heard = idler.send(());
        }
    }
}
