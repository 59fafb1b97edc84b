//! One turn of the driver after another.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Driver;
use super::starting::Starting;
use crate::engine::{HandlerOutcome, HandlerRequest, Input, Load, NameCommand, Output, OutsideRequest};
use crate::error::Result;
use crate::journal::{Journal, Recovered, Written};
use crate::operator::OperatorCommand;
use crate::schedule::SteadyClock;
use crate::serve::arrivals::Arrivals;
use crate::serve::link::{SendEnd, ToDriver, ToWire};
use crate::serve::wait::{at, polled};
use crate::transport::Arrival;

/// How much is taken from one channel in one turn, so that the others get theirs.
const TURN: usize = 256;
/// The same while several networks bring something: what one of them brings is not to hold the others up.
const TURN_OF_SEVERAL: usize = 8;
/// The same of handles, each request of which may ask for many things: no message waits for more than these to be written.
const OUTSIDE: usize = 1_024;
/// How often it is asked what another process has put into the journal.
const ADOPTION: Duration = Duration::from_secs(1);
/// After so long without a batch the journal tidies up a little.
const IDLE: Duration = Duration::from_millis(20);

/// A journal that takes so long for a batch is slow: what comes a moment too late for one waits for all of it,
const SLOW: Duration = Duration::from_millis(4);
/// so that the next batch waits for handlers that have just begun, for this part of the time
const PART: u32 = 8;
/// and no longer than this: one that does not end soon holds nobody up, however long a disk stood still.
const MOST_WAIT: Duration = Duration::from_millis(2);

/// The channels that end at the driver.
pub(in crate::serve) struct Inputs {
    pub(in crate::serve) from_wire: mpsc::UnboundedReceiver<ToDriver>,
    pub(in crate::serve) arrivals: Arrivals,
    pub(in crate::serve) operator_commands: mpsc::Receiver<OperatorCommand>,
    pub(in crate::serve) finished: mpsc::UnboundedReceiver<HandlerOutcome>,
    pub(in crate::serve) asked: mpsc::UnboundedReceiver<HandlerRequest>,
    pub(in crate::serve) outside: mpsc::Receiver<OutsideRequest>,
}

/// What lasts from one turn to the next, beside the driver itself: what was taken from the channels, and what the engine says, in
/// memory that is used again.
#[derive(Default)]
struct Turns {
    told: Vec<ToDriver>,
    sent: Vec<SendEnd>,
    finished: Vec<HandlerOutcome>,
    asked: Vec<HandlerRequest>,
    arrived: Vec<Arrival>,
    commands: Vec<OperatorCommand>,
    outside: Vec<OutsideRequest>,
    outputs: Vec<Output>,
    /// Handlers that began after the last batch, and until when the next one waits for their ends.
    fresh: usize,
    fresh_until: Option<Instant>,
    /// How much is taken from one channel.
    most: usize,
    /// When to ask for what another process has put into the journal; `None` where none can.
    adoption: Option<Instant>,
    /// When the journal may tidy up; `None` where there is nothing.
    tidying: Option<Instant>,
}

/// What has happened. What came by a channel lies in `Turns`.
enum Woken {
    /// Something came from the wire, from handlers, from the transport or from the operator.
    Told,
    Written(Result<Written>),
    Ticked,
    /// The workers have taken handlers up.
    Started,
    Adoption,
    Idle,
    /// The hooks have ended that ran.
    Lived(Result<()>),
    /// The wire is gone.
    Alone,
}

/// How it came to its end.
pub(super) enum Over {
    /// There is nothing left to do, or somebody wants it to end.
    Ended,
    /// There is nobody left to tell: as at kill -9.
    Alone,
}

impl<J: Journal> Driver<J> {
    /// Begins with what an earlier run left.
    pub(super) fn take_up(&mut self, recovered: Recovered) {
        self.begun.steady = SteadyClock::new(recovered.latest_ms);
        let (now, app) = (self.now(), self.app.clone());
        let name_command: NameCommand = Box::new(move |event| app.command(event));
        let (schedules, functions) = (self.app.schedules(), self.app.job_functions());
        let mut core = self.core.lock();
        core.recover(recovered, now, name_command, schedules, functions);
        if self.begun.life.is_starting() {
            core.hold();
        }
    }

    /// The error is the journal's.
    pub(super) async fn turn(&mut self, inputs: &mut Inputs) -> Result<Over> {
        let adoption = self.journal.is_shared().then(|| Instant::now() + ADOPTION);
        self.begun.starting = inputs.arrivals.are_several().then(Starting::default);
        let mut turns = Turns { adoption, ..Turns::default() };
        loop {
            turns.most = if inputs.arrivals.come_from_several() { TURN_OF_SEVERAL } else { TURN };
            self.carry_out(&mut turns);
            self.start_next();
            self.write(&mut turns);
            if self.is_over(inputs) {
                return Ok(Over::Ended);
            }
            match self.wait(&mut turns, inputs).await {
                Woken::Alone => return Ok(Over::Alone),
                Woken::Written(written) => {
                    self.begun.writing = None;
                    self.written(written?)?;
                }
                Woken::Adoption => {
                    turns.adoption = Some(Instant::now() + ADOPTION);
                    turns.commands.push(OperatorCommand::Adopt);
                }
                Woken::Idle => {
                    let is_tidy = !self.journal.tidy();
                    turns.tidying = (!is_tidy).then(|| Instant::now() + IDLE);
                }
                Woken::Lived(lived) => self.lived(lived),
                Woken::Started => {
                    self.start_next();
                    continue;
                }
                Woken::Told | Woken::Ticked => {}
            }
            inputs.take_ready(&mut turns, || self.core.lock().engine().room_outside());
            if self.take_note(&mut turns, inputs)? {
                return Ok(Over::Ended);
            }
        }
    }

    /// Does what the engine says.
    fn carry_out(&mut self, turns: &mut Turns) {
        {
            let mut core = self.core.lock();
            let (taken, released) = core.outputs(&mut turns.outputs);
            self.backlogs.settle(taken, released);
        }
        for output in turns.outputs.drain(..) {
            match output {
                Output::Start(attempt) => {
                    turns.fresh += 1;
                    self.start(attempt);
                }
                Output::Cancel(sequence) => self.cancel(sequence),
                Output::Send(delivery) => self.tell(ToWire::Send(delivery)),
                Output::Notify(notice) => self.notify(notice),
                Output::Died(dead) => self.notify_dead(*dead),
                Output::Ended(conversation, token, ended) => {
                    self.tell(ToWire::Ended(conversation, token, ended));
                }
            }
        }
    }

    /// Begins to write the next batch as soon as the one before is written; what comes meanwhile fills it.
    fn write(&mut self, turns: &mut Turns) {
        if self.begun.writing.is_some() || self.waits_for_fresh(turns) {
            return;
        }
        let batch = self.core.lock().batch();
        if let Some(batch) = batch {
            self.begun.writing = Some(Box::pin(self.journal.write(batch)));
            turns.tidying = self.journal.blocks().then(|| Instant::now() + IDLE);
        }
    }

    /// Whether the next batch is worth holding back for the ends of handlers that have just begun.
    fn waits_for_fresh(&self, turns: &mut Turns) -> bool {
        if turns.fresh > 0 && self.begun.took >= SLOW && !self.begun.is_draining {
            let (now, wait) = (Instant::now(), (self.begun.took / PART).min(MOST_WAIT));
            if now < *turns.fresh_until.get_or_insert(now + wait) {
                return true;
            }
        }
        (turns.fresh, turns.fresh_until) = (0, None);
        false
    }

    pub(super) fn written(&mut self, written: Written) -> Result<()> {
        let now = self.now();
        self.begun.took = self.core.lock().written(written, now)?;
        Ok(())
    }

    /// Whether the bot has been told to stop and has nothing left to do. Tells those who wait for it to have nothing to do.
    fn is_over(&mut self, inputs: &mut Inputs) -> bool {
        let (is_idle, is_written, is_notifying, is_running, has_events) = {
            let core = self.core.lock();
            let engine = core.engine();
            let (is_idle, is_written) = (engine.is_idle(), engine.is_written());
            (is_idle, is_written, core.is_notifying(), engine.has_handlers(), engine.has_events())
        };
        let is_told = !inputs.asked.is_empty() || !inputs.finished.is_empty();
        // Where nothing is kept, what waits is handled as well.
        let is_finished = !is_running && !is_told && (!has_events || self.journal.is_kept());
        let lives = self.begun.is_draining && self.begun.life.ends(is_finished);
        if self.begun.is_draining && is_finished && !lives {
            // Whoever goes on speaking must not prolong a stop for ever. What was said by now is kept.
            inputs.outside.close();
        }
        if is_told || !is_idle || lives || self.begun.life.is_starting() {
            return false;
        }
        let is_all_taken = inputs.arrivals.is_empty() && inputs.outside.is_empty() && is_written;
        if is_all_taken && !is_notifying {
            self.tell_idlers();
        }
        if self.begun.is_draining && !is_all_taken {
            // What still comes in must not prolong a stop for ever. What has come is written, and acknowledged.
            inputs.arrivals.close();
        }
        self.begun.is_draining && is_all_taken
    }

    /// Waits for the next thing to happen.
    ///
    /// # Cancel safety
    ///
    /// Each arm is cancel safe: the channels are, and the batch that is being written is kept by the driver.
    async fn wait(&mut self, turns: &mut Turns, inputs: &mut Inputs) -> Woken {
        let (alarm, has_room) = {
            let core = self.core.lock();
            (core.engine().next_look(), core.engine().room_outside() > 0)
        };
        // Of a channel that is closed, what is left is taken: that has an end.
        let has_room = has_room || inputs.outside.is_closed();
        // A moment that no clock can name never comes.
        let alarm = alarm.and_then(|elapsed| self.begun.at.checked_add(elapsed));
        // A batch that is held back is due all the time.
        let alarm = alarm.map(|alarm| turns.fresh_until.map_or(alarm, |until| alarm.max(until)));
        let stop_hooks = self.begun.life.latest();
        tokio::select! {
            biased;
            written = polled(&mut self.begun.writing) => Woken::Written(written),
            lived = polled(self.begun.life.running()) => Woken::Lived(lived),
            () = at(stop_hooks) => Woken::Ticked,
            told = inputs.from_wire.recv() => match told {
                Some(told) => { turns.told.push(told); Woken::Told }
                None => Woken::Alone,
            },
            1.. = inputs.finished.recv_many(&mut turns.finished, turns.most) => Woken::Told,
            1.. = inputs.asked.recv_many(&mut turns.asked, turns.most) => Woken::Told,
            1.. = inputs.arrivals.recv_many(&mut turns.arrived, turns.most) => Woken::Told,
            Some(request) = inputs.outside.recv(), if has_room => { turns.outside.push(request); Woken::Told }
            Some(command) = inputs.operator_commands.recv() => { turns.commands.push(command); Woken::Told }
            () = started(self.begun.starting.as_ref()) => Woken::Started,
            () = at(alarm) => Woken::Ticked,
            () = at(turns.fresh_until) => Woken::Ticked,
            () = at(turns.adoption) => Woken::Adoption,
            () = at(turns.tidying) => Woken::Idle,
        }
    }

    /// Takes note of what has happened: first what the wire says, so that what is rare and urgent is not starved by what is always
    /// ready. Answers whether this is the end.
    fn take_note(&mut self, turns: &mut Turns, inputs: &mut Inputs) -> Result<bool> {
        let (now, mut is_over) = (self.now(), false);
        for told in turns.told.drain(..) {
            match told {
                ToDriver::End => is_over = true,
                ToDriver::Drain(within) => self.drain(within, &mut inputs.arrivals),
                ToDriver::Received(within) => self.begun.drains_when_taken = Some(within),
                ToDriver::Idle(idler) => self.begun.idlers.push(idler),
                ToDriver::Sent(sent) => turns.sent.push(sent),
                ToDriver::Opened(network) => self.core.lock().opened(network, now)?,
                // Only asked for at the end.
                ToDriver::AllBack => {}
            }
        }
        let mut core = self.core.lock();
        turns.sent.drain(..).try_for_each(|sent| core.sent(sent, now))?;
        // What these handlers asked for, they asked for before they finished.
        core.step_all(turns.asked.drain(..).map(Input::Asked), now)?;
        turns.fresh = turns.fresh.saturating_sub(turns.finished.len());
        turns.finished.drain(..).try_for_each(|outcome| core.ended(outcome, now))?;
        core.arrived(turns.arrived.drain(..), now)?;
        core.step_all(turns.commands.drain(..).map(Input::Operator), now)?;
        core.step_all(turns.outside.drain(..).map(Input::Outside), now)?;
        core.step_all([Input::Ticked], now)?;
        drop(core);
        if inputs.arrivals.is_empty()
            && let Some(within) = self.begun.drains_when_taken.take()
        {
            self.drain(within, &mut inputs.arrivals);
        }
        Ok(is_over)
    }

    /// The hooks have ended that ran.
    fn lived(&mut self, lived: Result<()>) {
        if !self.begun.life.ended(lived.is_ok()) {
            return;
        }
        match lived {
            Ok(()) => self.core.lock().admit(),
            Err(error) => {
                // What has come in is not handled.
                self.core.lock().drain();
                self.tell(ToWire::NotStarted(error));
            }
        }
    }

    /// The bot is to stop.
    fn drain(&mut self, within: Duration, arrivals: &mut Arrivals) {
        self.begun.is_draining = true;
        let was_starting = self.begun.life.is_starting();
        self.begun.life.drain(within);
        let mut core = self.core.lock();
        if was_starting {
            // Nothing has been let in yet, and nothing will be.
            core.drain();
        }
        let Load { running, waiting, outbox } = core.engine().load();
        if self.journal.is_kept() {
            // What waits is as safe in the journal, and the next start takes it up, with what still comes.
            core.drain();
            tracing::info!(running, waiting, outbox, deadline = ?within, "stopping: what comes now is kept for the next start");
        } else {
            tracing::info!(running, waiting, outbox, deadline = ?within, "stopping: no more events are taken");
            // Nobody would take up what comes now.
            arrivals.close();
        }
    }
}

impl Inputs {
    /// Takes what has come by now, so that one step and one batch are for all of it.
    fn take_ready(&mut self, turns: &mut Turns, room_outside: impl FnOnce() -> usize) {
        let most = turns.most;
        fill(&mut turns.told, most, || self.from_wire.try_recv().ok());
        fill(&mut turns.finished, most, || self.finished.try_recv().ok());
        // All that those asked for who have finished.
        while let Ok(request) = self.asked.try_recv() {
            turns.asked.push(request);
        }
        self.arrivals.take_ready(&mut turns.arrived, most);
        fill(&mut turns.commands, most, || self.operator_commands.try_recv().ok());
        if !self.outside.is_empty() {
            let taken = turns.outside.iter().map(OutsideRequest::len).sum();
            self.take_outside(&mut turns.outside, room_outside().min(OUTSIDE).saturating_sub(taken));
        }
    }
}

impl Inputs {
    /// Takes what handles ask for, until it is this much.
    fn take_outside(&mut self, taken: &mut Vec<OutsideRequest>, mut room: usize) {
        while room > 0
            && let Ok(request) = self.outside.try_recv()
        {
            room = room.saturating_sub(request.len());
            taken.push(request);
        }
    }
}

/// Waits until the workers have taken up handlers, where others wait for that.
async fn started(starting: Option<&Starting>) {
    match starting.filter(|starting| !starting.is_empty()) {
        Some(starting) => starting.changed().await,
        None => std::future::pending().await,
    }
}

/// Takes what there is, until there is enough for a turn.
fn fill<T>(taken: &mut Vec<T>, most: usize, mut next: impl FnMut() -> Option<T>) {
    while taken.len() < most
        && let Some(one) = next()
    {
        taken.push(one);
    }
}
