//! What handles ask for, outside of any event.

use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::engine::batch::{Continuation, wrong_answer};
use crate::engine::deliveries::Kept;
use crate::engine::outside::{COMMAND, OutsideRequest, Planned, Saying, Told};
use crate::error::Result;
use crate::journal::{Acceptance, Entry, Said};
use crate::reply::{Outbound, SendKey};
use crate::reserved;

/// What has no key yet.
const NO_KEY: SendKey = SendKey { sequence: 0, index: 0 };

impl Engine {
    pub(in crate::engine) fn asked_outside(&mut self, request: OutsideRequest) {
        match request {
            OutsideRequest::Say { said, answer } => self.say(said, answer),
            OutsideRequest::Plan { planned, answer } => self.plan_outside(planned, answer),
            OutsideRequest::Cancel { name, conversation, answer } => {
                let cancel = Entry::Cancel { name, conversation: Some(conversation) };
                self.effects.append_then(cancel, Continuation::Cancelled(answer));
            }
        }
    }

    fn say(&mut self, said: Vec<Saying>, answer: oneshot::Sender<Told<Vec<Acceptance>>>) {
        let deliveries = &self.deliveries;
        let passed = self.crowded.pass((said, answer), |network| deliveries.has_room_outside(network));
        if let Some((said, answer)) = passed {
            self.say_now(said, answer);
        }
    }

    /// Says what has waited for room.
    pub(in crate::engine) fn say_crowded(&mut self) {
        loop {
            let deliveries = &self.deliveries;
            let next = self.crowded.next(|network| deliveries.has_room_outside(network));
            let Some((said, answer)) = next else { return };
            self.say_now(said, answer);
        }
    }

    fn say_now(&mut self, said: Vec<Saying>, answer: oneshot::Sender<Told<Vec<Acceptance>>>) {
        let mut said: Vec<_> = said.into_iter().map(unkept).collect();
        // While more is read of what an earlier run left, something of it may go before this.
        self.deliveries.say(&mut said, self.loading.is_over(), self.now);
        let say = Entry::Say { said, command: COMMAND.to_owned(), now_ms: self.now.wall_ms };
        self.effects.append_then(say, Continuation::Said(answer));
    }

    fn plan_outside(&mut self, planned: Planned, answer: oneshot::Sender<Told<bool>>) {
        // Where it never comes, the handle is told at once, and may have gone.
        if let Some(answer) = self.jobs.plan_outside(planned, answer, self.now, &mut self.effects) {
            let _heard = answer.send(Ok(false));
        }
    }

    /// The journal has what was said.
    pub(super) fn said(&mut self, said: Vec<Said>, command: &str, answers: &[Acceptance]) -> Result<()> {
        if said.len() != answers.len() {
            return Err(wrong_answer());
        }
        for (said, answer) in said.into_iter().zip(answers) {
            for kept in self.deliveries.said(said, command, *answer, self.now, &mut self.effects) {
                match kept {
                    Kept::Begun(delivery) => self.dispatch(delivery),
                    Kept::Waits(reply) if self.loading.is_over() => self.take_up_reply(reply),
                    Kept::Waits(reply) => self.loading.hold(vec![reply], Vec::new()),
                    Kept::Known(turn) => turn.iter().for_each(|conversation| self.relieve(conversation)),
                }
            }
        }
        Ok(())
    }

    /// For how much more there is room of what handles ask for.
    pub(crate) fn room_outside(&self) -> usize {
        self.deliveries.room_outside()
    }
}

fn unkept(saying: Saying) -> Said {
    let Saying { conversation, actions, id } = saying;
    let address = |action| Outbound::new(conversation.clone(), action, NO_KEY);
    let outbound = actions.into_iter().map(address).collect();
    Said { outbound, id: id.map(|id| reserved::said(&id)), begins: false }
}
