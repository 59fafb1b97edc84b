//! What a running bot answers when it is asked how it is.

use super::{Edge, Wire};
use crate::engine::{Engine, Load, ReplyCounters};
use crate::serve::link::ToDriver;
use crate::serve::log::lost_lines;
use crate::status::{Gaps, NetworkSnapshot, Question, Snapshot};

impl Wire {
    pub(super) fn answer(&mut self, question: Question) {
        match question {
            // The asker may be gone.
            Question::Snapshot(answer) => drop(answer.send(self.snapshot())),
            Question::Guarantees(network, answer) => {
                let is_meant = |edge: &&Edge| network.as_ref().is_none_or(|name| *edge.name == **name);
                // Where there is none of this name, the answer fails.
                self.edges.iter().find(is_meant).map(|edge| answer.send(edge.guarantees.clone()));
            }
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
        let networks: Vec<_> = self.edges.iter().map(|edge| network(edge, core.engine())).collect();
        let sum = |of: fn(&NetworkSnapshot) -> u64| networks.iter().map(of).sum();
        let gaps = networks.iter().map(|network| network.gaps).fold(Gaps::default(), Gaps::with);
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
            refused: sum(|network| network.refused),
            refused_share: sum(|network| network.refused_share),
            refused_large: sum(|network| network.refused_large),
            undeliverable: sum(|network| network.undeliverable),
            gaps,
            unknown_jobs: core.engine().unknown_jobs().clone(),
            stalled: core.stalled(),
            lost_log_lines: lost_lines(),
            running,
            waiting,
            outbox,
            is_draining: self.stopping.is_draining,
            networks,
            commands: core.command_snapshots(),
            blocked: self.executor.reports(),
            quarantined: self.executor.quarantined(),
            guard: self.executor.counters(),
        }
    }
}

fn network(edge: &Edge, engine: &Engine) -> NetworkSnapshot {
    let ReplyCounters { sent, not_sent, unknown, .. } = engine.reply_counters_on(&edge.key);
    NetworkSnapshot {
        name: edge.name.to_string(),
        is_primary: edge.key.is_empty(),
        state: edge.state,
        handed_over: edge.backlog.handed_over() as u64,
        refused: edge.backlog.refused(),
        refused_share: edge.backlog.refused_share(),
        refused_large: edge.backlog.refused_large(),
        undeliverable: edge.backlog.undeliverable(),
        gaps: edge.backlog.gaps(),
        sent,
        not_sent,
        unknown,
        outbox: engine.outbox_on(&edge.key),
    }
}
