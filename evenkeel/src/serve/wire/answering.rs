//! What a running bot answers when it is asked how it is.

use super::Wire;
use crate::engine::Load;
use crate::serve::link::ToDriver;
use crate::serve::log::lost_lines;
use crate::status::{Question, Snapshot};

impl Wire {
    pub(super) fn answer(&mut self, question: Question) {
        match question {
            // The asker may be gone.
            Question::Snapshot(answer) => drop(answer.send(self.snapshot())),
            Question::Guarantees(answer) => drop(answer.send(self.guarantees.clone())),
            Question::Idle(answer) => self.tell(ToDriver::Idle(answer)),
            Question::Slow(longer_than, answer) => drop(answer.send(self.core.lock().slow(longer_than))),
            Question::Pardon(name, answer) => {
                let count = self.executor.pardon(&name);
                if count > 0 {
                    tracing::info!(command = name, count, "pardoned: back from quarantine to the workers");
                }
                // The asker may be gone.
                let _heard = answer.send(count);
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let core = self.core.lock();
        let (events, replies) = (core.engine().event_counters(), core.engine().reply_counters());
        let Load { running, waiting, outbox } = core.engine().load();
        Snapshot {
            accepted: events.accepted,
            resumed: events.resumed,
            duplicates: events.duplicates,
            handled: events.handled,
            expired: events.expired,
            cancelled: events.cancelled,
            failed: events.failed,
            retried: events.retried,
            braked: core.engine().braked(),
            dead: events.dead + replies.dead,
            sent: replies.sent,
            not_sent: replies.not_sent,
            unknown: replies.unknown,
            refused: self.backlog.refused(),
            refused_share: self.backlog.refused_share(),
            refused_large: self.backlog.refused_large(),
            undeliverable: self.backlog.undeliverable(),
            gaps: self.backlog.gaps(),
            stalled: core.stalled(),
            lost_log_lines: lost_lines(),
            running,
            waiting,
            outbox,
            is_draining: self.beside.is_draining,
            commands: core.command_snapshots(),
            blocked: self.executor.reports(),
            quarantined: self.executor.quarantined(),
            guard: self.executor.counters(),
        }
    }
}
