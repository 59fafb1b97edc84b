//! Replies of networks on which the bot is not: it was on them once, or was started without one of them.

use super::Deliveries;
use crate::engine::delivery::Delivery;
use crate::engine::effects::Effects;
use crate::engine::port::Now;
use crate::engine::timers::key;
use crate::error::Error;
use crate::journal::{CompletedEffect, Entry, Reason};
use crate::reply::Outbound;

impl Deliveries {
    /// A reply is promised that cannot be sent: it is kept as a dead letter.
    pub(super) fn strand(&mut self, delivery: Delivery, now: Now, effects: &mut Effects) {
        let Delivery { outbound, command, .. } = delivery;
        let error = nowhere(&outbound);
        for answer in self.outstanding.remove(&key(outbound.key)).unwrap_or_default() {
            // A handler that no longer waits has dropped the other end.
            let _heard = answer.send(Err(Error::new(error.clone()).permanent()));
        }
        let (kept, name) = (outbound.clone(), command.to_string());
        effects.append(Entry::Promise { outbound: kept, command: name, begins: false });
        self.dead_letter(outbound, Reason::NoNetwork, error, (&command, 0), now, effects);
    }

    /// The same of one that was promised earlier. Answers what later attempts of its event have to know.
    pub(super) fn leave_stranded(
        &mut self,
        outbound: Outbound,
        command: (&str, u32),
        now: Now,
        effects: &mut Effects,
    ) -> CompletedEffect {
        let error = nowhere(&outbound);
        self.dead_letter(outbound, Reason::NoNetwork, error, command, now, effects)
    }
}

fn nowhere(outbound: &Outbound) -> String {
    let network = outbound.conversation.network();
    let named = if network.is_empty() { "the primary network of its journal" } else { network };
    format!("the bot was started without `{named}`, where this is to be sent")
}
