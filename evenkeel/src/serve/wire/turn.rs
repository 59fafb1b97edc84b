//! One turn of the wire after another: do what the engine says, write what the journal has to know, and wait for the next thing
//! to happen.

use std::future::Future;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::ending::End;
use super::{Ends, Inner, Wire, at, polled};
use crate::engine::{Delivery, HandlerOutcome, HandlerRequest, Input, Output};
use crate::error::Result;
use crate::journal::{Journal, Recovered, Written};
use crate::operator::OperatorCommand;
use crate::schedule::Hands;
use crate::serve::outbox::deliver;
use crate::status::Question;
use crate::transport::{Arrival, SendError, Sent, Transport};

/// How much is taken from one channel before the others get their turn.
const TURN: usize = 256;
/// How often it is asked what another process has put into the journal.
const ADOPTION: Duration = Duration::from_secs(1);

/// How a send has ended.
type Delivered = (Delivery, std::result::Result<Sent, SendError>);

/// What lasts from one turn to the next, beside the wire itself.
struct Turns {
    /// How long a stop may take.
    drain: Duration,
    /// Until when this one may; `None` while nobody has asked for it.
    deadline: Option<Instant>,
    /// How the transport has ended, if it has.
    received: Result<()>,
    /// When to ask for what another process has put into the journal; `None` where none can.
    adoption: Option<Instant>,
    /// What the engine says, in memory that is used again; so are the next three.
    outputs: Vec<Output>,
    arrived: Vec<Arrival>,
    asked: Vec<HandlerRequest>,
    finished: Vec<HandlerOutcome>,
}

/// What has happened.
enum Woken {
    Stopped,
    AtDeadline,
    Asked(Question),
    Written(Result<Written>),
    /// What handlers have reported lies in `Turns::finished`, what they ask for in `Turns::asked`, what came in in `Turns::arrived`.
    Finished,
    HandlersAsked,
    Arrived,
    Delivered(Delivered),
    Notified(Option<std::result::Result<Sent, SendError>>),
    Downloaded(u64),
    Operator(OperatorCommand),
    Received(Result<()>),
    Ticked,
    Adoption,
}

impl<T: Transport, J: Journal> Wire<T, J> {
    /// The error is the journal's.
    pub(super) async fn turn(
        &mut self,
        recovered: Recovered,
        ends: &mut Ends,
        inner: &mut Inner,
        drain: Duration,
    ) -> Result<End> {
        let mut turns = Turns::new(drain, self.journal.is_shared());
        let mut sends = FuturesUnordered::new();
        self.take_up(recovered);
        loop {
            let deliveries = self.carry_out(&mut turns)?;
            sends.extend(deliveries.into_iter().map(|one| deliver(Arc::clone(&self.transport), one)));
            for ended in self.notices.poll().await {
                self.notified(ended)?;
            }
            self.downloads.advance(&self.transport, self.began.elapsed());
            self.write();
            self.settle();
            if let Some(end) = self.ends_here(&mut turns, ends, inner) {
                return Ok(end);
            }
            match self.wait(&mut turns, &mut sends, ends, inner).await {
                Woken::Stopped if turns.deadline.is_some() => return Ok(End::AtOnce),
                Woken::AtDeadline => return Ok(End::AtDeadline),
                woken => self.note(woken, &mut turns, ends, inner)?,
            }
        }
    }

    /// Begins with what an earlier run left.
    fn take_up(&mut self, recovered: Recovered) {
        self.hands = Hands::new(recovered.latest_ms);
        let (now, app) = (self.now(), self.app.clone());
        self.engine.recover(recovered, now, Box::new(move |event| app.command(event)));
        self.settle();
        self.engine.plan(self.app.schedules());
    }

    /// Does what the engine says. Answers what is to be sent.
    fn carry_out(&mut self, turns: &mut Turns) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::new();
        self.engine.outputs(&mut turns.outputs);
        let mut outputs = take(&mut turns.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Start(attempt) => self.start(attempt),
                Output::Send(delivery) => {
                    self.sending += 1;
                    self.notices.let_go(delivery.outbound.conversation.id());
                    deliveries.push(delivery);
                }
                Output::Notify(notice) => self.notify(notice)?,
                Output::Request(request) => self.dispatch(request),
                Output::Died(dead) => self.notify_dead(*dead),
            }
        }
        turns.outputs = outputs;
        Ok(deliveries)
    }

    /// Whether the bot has been told to stop and has nothing left to do. Tells those who wait for it to have nothing to do.
    fn ends_here(&mut self, turns: &mut Turns, ends: &mut Ends, inner: &Inner) -> Option<End> {
        if !inner.asked.is_empty() || !inner.finished.is_empty() || !self.engine.is_idle() {
            return None;
        }
        let is_all_taken = ends.arrivals.is_empty() && self.engine.is_written();
        if is_all_taken && self.notices.is_empty() {
            self.tell_idlers();
        }
        let deadline = turns.deadline?;
        if is_all_taken {
            let received = std::mem::replace(&mut turns.received, Ok(()));
            return Some(End::Quiet(deadline, received));
        }
        // What still comes in must not prolong a stop for ever. What has come is written, and acknowledged.
        ends.arrivals.close();
        None
    }

    /// Waits for the next thing to happen: in this order, so that what is rare and urgent is not starved by what is always ready.
    ///
    /// # Cancel safety
    ///
    /// Each arm is cancel safe: the channels are, and what is under way is kept by the wire or in `sends`.
    async fn wait<F: Future<Output = Delivered>>(
        &mut self,
        turns: &mut Turns,
        sends: &mut FuturesUnordered<F>,
        ends: &mut Ends,
        inner: &mut Inner,
    ) -> Woken {
        let alarm = self.engine.next_look().into_iter().chain(self.downloads.next_look()).min();
        // A moment that no clock can name never comes.
        let alarm = alarm.and_then(|elapsed| self.began.checked_add(elapsed));
        tokio::select! {
            biased;
            Some(()) = ends.stops.recv() => Woken::Stopped,
            () = at(turns.deadline) => Woken::AtDeadline,
            Some(question) = ends.questions.recv() => Woken::Asked(question),
            written = polled(&mut self.writing) => Woken::Written(written),
            1.. = inner.finished.recv_many(&mut turns.finished, TURN) => Woken::Finished,
            Some(delivered) = sends.next(), if !sends.is_empty() => Woken::Delivered(delivered),
            ended = self.notices.next() => Woken::Notified(ended),
            slot = self.downloads.next() => Woken::Downloaded(slot),
            1.. = inner.asked.recv_many(&mut turns.asked, TURN) => Woken::HandlersAsked,
            1.. = ends.arrivals.recv_many(&mut turns.arrived, TURN) => Woken::Arrived,
            Some(command) = ends.operator_commands.recv() => Woken::Operator(command),
            received = polled(&mut self.receiving) => Woken::Received(received),
            () = at(alarm) => Woken::Ticked,
            () = at(turns.adoption) => Woken::Adoption,
        }
    }

    /// Takes note of what has happened.
    fn note(&mut self, woken: Woken, turns: &mut Turns, ends: &mut Ends, inner: &mut Inner) -> Result<()> {
        match woken {
            Woken::Stopped | Woken::AtDeadline => self.stop(turns, ends),
            Woken::Received(received) => self.received(received, turns),
            Woken::Asked(question) => self.answer(question),
            Woken::Downloaded(slot) => self.downloads.ended(slot, self.began.elapsed()),
            Woken::Notified(ended) => return self.notified(ended),
            Woken::Finished => return self.take_finished(turns, inner),
            Woken::HandlersAsked => return self.step_all(turns.asked.drain(..).map(Input::Asked)),
            Woken::Arrived => return self.step_all(turns.arrived.drain(..).map(Input::Arrived)),
            Woken::Written(written) => {
                self.writing = None;
                return self.step_all([Input::Written(written?)]);
            }
            Woken::Delivered((delivery, result)) => {
                self.sending -= 1;
                return self.step_all([Input::Delivered(delivery, result)]);
            }
            Woken::Operator(command) => return self.step_all([Input::Operator(command)]),
            Woken::Ticked => return self.step_all([Input::Ticked]),
            Woken::Adoption => {
                turns.adoption = Some(Instant::now() + ADOPTION);
                return self.step_all([Input::Operator(OperatorCommand::Adopt)]);
            }
        }
        Ok(())
    }

    fn step_all(&mut self, inputs: impl IntoIterator<Item = Input>) -> Result<()> {
        let now = self.now();
        inputs.into_iter().try_for_each(|input| self.engine.step(input, now))
    }

    /// Handlers are done.
    fn take_finished(&mut self, turns: &mut Turns, inner: &mut Inner) -> Result<()> {
        let now = self.now();
        // What these handlers asked for, they asked for before they finished.
        while let Ok(ask) = inner.asked.try_recv() {
            self.engine.step(Input::Asked(ask), now)?;
        }
        for one in turns.finished.drain(..) {
            self.running.remove(&one.sequence);
            self.ended(one, now)?;
        }
        Ok(())
    }

    /// Somebody wants the bot to stop.
    fn stop(&mut self, turns: &mut Turns, ends: &mut Ends) {
        turns.deadline = Some(self.begin_draining(turns.drain));
        if !self.journal.is_kept() {
            // Nobody would take up what comes now.
            self.receiving = None;
            ends.arrivals.close();
        }
    }

    /// The transport receives no more.
    fn received(&mut self, received: Result<()>, turns: &mut Turns) {
        self.receiving = None;
        if turns.deadline.is_none() {
            turns.received = received;
            turns.deadline = Some(self.begin_draining(turns.drain));
        } else if let Err(error) = received {
            tracing::warn!(error = error.chain(), "the transport gave up while the bot was stopping");
        }
    }
}

impl Turns {
    fn new(drain: Duration, is_shared: bool) -> Self {
        Self {
            drain,
            deadline: None,
            received: Ok(()),
            adoption: is_shared.then(|| Instant::now() + ADOPTION),
            outputs: Vec::new(),
            arrived: Vec::new(),
            asked: Vec::new(),
            finished: Vec::new(),
        }
    }
}
