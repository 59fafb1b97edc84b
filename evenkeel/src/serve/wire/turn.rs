//! One turn of the wire after another: wait for the next thing to happen, and pass it on.

use std::future::Future;
use std::iter::{from_fn, once};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::deferring::Rung;
use super::{Ends, Wire};
use crate::engine::{Delivery, Download};
use crate::error::Result;
use crate::serve::leaving::End;
use crate::serve::link::{SendEnd, ToDriver, ToWire};
use crate::serve::outbox::deliver;
use crate::serve::wait::{at, polled};
use crate::status::Question;
use crate::transport::{Due, SendError, Sent};

/// How much is taken from one channel before the others get their turn.
const TURN: usize = 256;

/// A drain that no clock can measure ends after a year.
const LONGEST_DRAIN: Duration = Duration::from_secs(365 * 86_400);

/// How a send has ended.
type Delivered = (Delivery, std::result::Result<Sent, SendError>);

/// What lasts from one turn to the next, beside the wire itself.
struct Turns {
    /// Until when a stop may take; `None` while nobody has asked for it.
    deadline: Option<Instant>,
    /// How the transport has ended, if it has.
    received: Result<()>,
    /// What the driver says, in memory that is used again.
    said: Vec<ToWire>,
    /// The same of what wants an answer in time.
    due: Vec<Due>,
}

/// What has happened.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all that happens is the end of a send, and a box for each costs more"
)]
enum Woken {
    Stopped,
    AtDeadline,
    Asked(Question),
    /// Events came in that want answers in time; they lie in `Turns::due`.
    Expected,
    Rung(Rung),
    /// The driver has ended, which it does by itself only when the journal has failed.
    Driven(Result<()>),
    /// What it says lies in `Turns::said`.
    Said,
    Delivered(Delivered),
    Notified(Option<std::result::Result<Sent, SendError>>),
    Downloaded(u64),
    Wanted(Download),
    Received(Result<()>),
    Ticked,
}

impl Wire {
    /// The error is the journal's.
    pub(super) async fn turn(&mut self, ends: &mut Ends) -> Result<End> {
        let mut turns = Turns { deadline: None, received: Ok(()), said: Vec::new(), due: Vec::new() };
        let mut sends = FuturesUnordered::new();
        loop {
            self.beside.downloads.advance(&self.transport, self.beside.began.elapsed());
            match self.wait(&mut turns, &mut sends, ends).await {
                Woken::Stopped if turns.deadline.is_some() => return Ok(self.end(End::AtOnce, sends.len())),
                Woken::AtDeadline => return Ok(self.end(End::AtDeadline, sends.len())),
                Woken::Said => {
                    let mut said = take(&mut turns.said);
                    for one in said.drain(..) {
                        match one {
                            ToWire::Send(delivery) => {
                                sends.extend(self.beside.deferring.begin(delivery).map(|one| self.send(one)));
                            }
                            ToWire::Ended(token, ended) => {
                                self.beside.deferring.over(token, ended, &self.transport);
                            }
                            ToWire::Notify(notice) => self.notify(notice).await,
                            ToWire::Cut => {
                                self.tell(ToDriver::AllBack);
                                return Ok(turns.quiet());
                            }
                            // It comes after that.
                            ToWire::Flushed => {}
                        }
                    }
                    turns.said = said;
                }
                Woken::Delivered(first) => {
                    // With those that have ended as well by now.
                    let others = from_fn(|| sends.next().now_or_never().flatten()).take(TURN);
                    for (delivery, result) in once(first).chain(others) {
                        self.beside.deferring.ended(&delivery, &result, &self.transport);
                        self.tell(ToDriver::Sent(SendEnd::Delivered(delivery, result)));
                    }
                }
                Woken::Rung(Rung::Told(first)) => {
                    let released = self.beside.deferring.told_all(first, TURN, &self.transport);
                    sends.extend(released.into_iter().map(|one| self.send(one)));
                }
                // By itself it ends only when the journal has failed.
                Woken::Driven(ended) => return ended.map(|()| turns.quiet()),
                woken => self.note(woken, &mut turns),
            }
        }
    }

    /// Takes note of what is not about replies.
    fn note(&mut self, woken: Woken, turns: &mut Turns) {
        match woken {
            Woken::Stopped => {
                turns.deadline = Some(self.begin_draining(ToDriver::Drain(self.drain)));
                if !self.is_kept {
                    // Nobody would take up what comes now.
                    self.receiving = None;
                }
            }
            Woken::Received(received) => self.received(received, turns),
            Woken::Asked(question) => self.answer(question),
            Woken::Notified(ended) => self.notified(ended),
            Woken::Downloaded(slot) => self.beside.downloads.ended(slot, self.beside.began.elapsed()),
            Woken::Wanted(download) => self.beside.downloads.ask(download),
            Woken::Expected => turns.due.drain(..).for_each(|due| self.beside.deferring.expect(due)),
            Woken::Rung(_) => self.beside.deferring.ring(&self.transport),
            Woken::Ticked | Woken::AtDeadline | Woken::Said | Woken::Delivered(_) | Woken::Driven(_) => {}
        }
    }

    /// Sends a reply, in place of a notice under way there.
    fn send(&mut self, delivery: Delivery) -> impl Future<Output = Delivered> + use<> {
        self.beside.notices.let_go(delivery.outbound.conversation.id());
        deliver(Arc::clone(&self.transport), delivery)
    }

    /// Begins with a notice, which gets as far as it comes without waiting: it leaves before a reply that follows it.
    async fn notify(&mut self, notice: Delivery) {
        if let Some(refused) = self.beside.notices.begin(&self.transport, notice) {
            self.notified(Some(refused));
        }
        for ended in self.beside.notices.poll().await {
            self.notified(ended);
        }
    }

    /// A notice has ended, or was let go.
    fn notified(&self, ended: Option<std::result::Result<Sent, SendError>>) {
        self.tell(ToDriver::Sent(SendEnd::Notified(ended)));
    }

    /// The transport receives no more.
    fn received(&mut self, received: Result<()>, turns: &mut Turns) {
        self.receiving = None;
        if turns.deadline.is_none() {
            turns.received = received;
            turns.deadline = Some(self.begin_draining(ToDriver::Received(self.drain)));
        } else if let Err(error) = received {
            tracing::warn!(error = error.chain(), "the transport gave up while the bot was stopping");
        }
    }

    /// Answers until when that may take.
    fn begin_draining(&mut self, how: ToDriver) -> Instant {
        self.beside.is_draining = true;
        self.tell(how);
        let now = Instant::now();
        now.checked_add(self.drain).unwrap_or(now + LONGEST_DRAIN)
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
    ) -> Woken {
        let alarm = self.beside.downloads.next_look();
        // A moment that no clock can name never comes.
        let alarm = alarm.and_then(|elapsed| self.beside.began.checked_add(elapsed));
        tokio::select! {
            biased;
            Some(()) = ends.stops.recv() => Woken::Stopped,
            () = at(turns.deadline) => Woken::AtDeadline,
            Some(question) = ends.questions.recv() => Woken::Asked(question),
            1.. = ends.due.recv_many(&mut turns.due, TURN) => Woken::Expected,
            rung = self.beside.deferring.next(), if !self.beside.deferring.is_quiet() => Woken::Rung(rung),
            ended = &mut self.link.place => Woken::Driven(ended),
            1.. = self.link.from_driver.recv_many(&mut turns.said, TURN) => Woken::Said,
            Some(delivered) = sends.next(), if !sends.is_empty() => Woken::Delivered(delivered),
            ended = self.beside.notices.next() => Woken::Notified(ended),
            slot = self.beside.downloads.next() => Woken::Downloaded(slot),
            Some(download) = ends.downloads.recv() => Woken::Wanted(download),
            received = polled(&mut self.receiving) => Woken::Received(received),
            () = at(alarm) => Woken::Ticked,
        }
    }
}

impl Turns {
    /// The bot has nothing left to do.
    fn quiet(self) -> End {
        End::Quiet(self.deadline.unwrap_or_else(Instant::now), self.received)
    }
}
