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
use super::edge::Happened;
use super::{Ends, Wire};
use crate::engine::{Delivery, Download};
use crate::error::{Error, Result};
use crate::serve::leaving::End;
use crate::serve::link::{SendEnd, ToDriver, ToWire};
use crate::serve::outbox::deliver;
use crate::serve::receiving::Opened;
use crate::serve::wait::at;
use crate::status::{NetworkState, Question};
use crate::transport::{AnyTransport, Due, SendError, Sent};

/// How much is taken from one channel before the others get their turn.
const TURN: usize = 256;
/// The same where there are several networks: what one of them sends is not to hold the others up.
const TURN_OF_SEVERAL: usize = 8;

/// A drain that no clock can measure ends after a year.
const LONGEST_DRAIN: Duration = Duration::from_secs(365 * 86_400);

/// How a send has ended.
type Delivered = (Delivery, std::result::Result<Sent, SendError>);

/// What lasts from one turn to the next, beside the wire itself.
struct Turns {
    /// Until when a stop may take; `None` while nobody has asked for it.
    deadline: Option<Instant>,
    /// How the first transport has ended without which the bot does not go on, if one has.
    received: Result<()>,
    /// What the driver says, in memory that is used again.
    said: Vec<ToWire>,
    /// The same of what wants an answer in time.
    due: Vec<Due>,
    /// How much is taken from one channel.
    most: usize,
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
    /// On the network of this place.
    Happened(usize, Happened),
    Opened(Opened),
    /// The driver has ended, which it does by itself only when the journal has failed.
    Driven(Result<()>),
    /// What it says lies in `Turns::said`.
    Said,
    Delivered(Delivered),
    Wanted(Download),
}

impl Wire {
    /// The error is the journal's.
    pub(super) async fn turn(&mut self, ends: &mut Ends) -> Result<End> {
        let most = if self.edges.are_several() { TURN_OF_SEVERAL } else { TURN };
        let mut turns = Turns { deadline: None, received: Ok(()), said: Vec::new(), due: Vec::new(), most };
        let mut sends = FuturesUnordered::new();
        loop {
            match self.wait(&mut turns, &mut sends, ends).await {
                Woken::Stopped if turns.deadline.is_some() => return Ok(self.end(End::AtOnce, sends.len())),
                Woken::AtDeadline => return Ok(self.end(End::AtDeadline, sends.len())),
                Woken::Said => {
                    let mut said = take(&mut turns.said);
                    for one in said.drain(..) {
                        match one {
                            ToWire::Send(delivery) => {
                                sends.extend(
                                    self.begin(delivery).map(|(transport, one)| deliver(transport, one)),
                                );
                            }
                            ToWire::Ended(conversation, token, ended) => {
                                let edge = self.edges.of(conversation.network());
                                if let Some(edge) = edge.filter(|edge| edge.state != NetworkState::Opening) {
                                    edge.beside.deferring.over(token, ended, &edge.transport);
                                }
                            }
                            ToWire::Notify(notice) => self.notify(notice).await,
                            ToWire::NotStarted(error) => self.not_started(error, &mut turns),
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
                    let others = from_fn(|| sends.next().now_or_never().flatten()).take(turns.most);
                    for (delivery, result) in once(first).chain(others) {
                        if let Some(edge) = self.edges.of(delivery.outbound.conversation.network()) {
                            edge.beside.deferring.ended(&delivery, &result, &edge.transport);
                        }
                        self.tell(ToDriver::Sent(SendEnd::Delivered(delivery, result)));
                    }
                }
                Woken::Happened(index, Happened::Rung(Rung::Told(first))) => {
                    let Some(edge) = self.edges.get_mut(index) else { continue };
                    let released = edge.beside.deferring.told_all(first, turns.most, &edge.transport);
                    for one in released {
                        edge.beside.notices.let_go(one.outbound.conversation.key());
                        sends.push(deliver(Arc::clone(&edge.transport), one));
                    }
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
                    self.edges.stop_receiving();
                }
            }
            Woken::Happened(index, happened) => self.happened(index, happened, turns),
            Woken::Opened(opened) => self.opened(opened),
            Woken::Asked(question) => self.answer(question),
            Woken::Wanted(download) => match self.edges.of(download.conversation.network()) {
                Some(edge) if edge.state != NetworkState::Opening => {
                    edge.beside.downloads.ask(download);
                    edge.advance_downloads();
                }
                // The handler may have stopped waiting.
                _ => drop(download.answer.send(Err(Error::new("its network is not open").transient()))),
            },
            Woken::Expected => {
                for due in turns.due.drain(..) {
                    if let Some(edge) = self.edges.of(&due.network) {
                        edge.beside.deferring.expect(due);
                    }
                }
            }
            Woken::AtDeadline | Woken::Said | Woken::Delivered(_) | Woken::Driven(_) => {}
        }
    }

    /// Something has happened on one of the networks.
    fn happened(&mut self, index: usize, happened: Happened, turns: &mut Turns) {
        let Some(edge) = self.edges.get_mut(index) else { return };
        match happened {
            Happened::Rung(_) => edge.beside.deferring.ring(&edge.transport),
            Happened::Notified(ended) => {
                let key = Arc::clone(&edge.key);
                self.notified(&key, ended);
            }
            Happened::Downloaded(slot) => {
                let elapsed = edge.elapsed();
                edge.beside.downloads.ended(slot, elapsed);
                edge.advance_downloads();
            }
            Happened::Ticked => edge.advance_downloads(),
            Happened::Received(received) => self.received(index, received, turns),
        }
    }

    /// A network is open that was not when the bot began.
    fn opened(&mut self, Opened { index, greeting }: Opened) {
        let Some(edge) = self.edges.get_mut(index) else { return };
        tracing::info!(network = &*edge.name, "{}", if greeting.is_empty() { "ready" } else { &greeting });
        // It may have ended by now.
        if edge.state == NetworkState::Opening {
            edge.state = NetworkState::Open;
        }
        let key = Arc::clone(&edge.key);
        self.tell(ToDriver::Opened(key));
    }

    /// A reply is to be sent, in place of a notice under way there. Answers it with its transport, unless it has to wait for what the
    /// network says.
    fn begin(&mut self, delivery: Delivery) -> Option<(AnyTransport, Delivery)> {
        // The engine knows the networks, and sends nothing to others.
        let edge = self.edges.of(delivery.outbound.conversation.network())?;
        let delivery = edge.beside.deferring.begin(delivery)?;
        edge.beside.notices.let_go(delivery.outbound.conversation.key());
        Some((Arc::clone(&edge.transport), delivery))
    }

    /// Begins with a notice, which gets as far as it comes without waiting: it leaves before a reply that follows it.
    async fn notify(&mut self, notice: Delivery) {
        let Some(edge) = self.edges.of(notice.outbound.conversation.network()) else { return };
        let key = Arc::clone(&edge.key);
        let refused = edge.beside.notices.begin(&edge.transport, notice);
        let ended = edge.beside.notices.poll().await;
        refused.map(Some).into_iter().chain(ended).for_each(|ended| self.notified(&key, ended));
    }

    /// A notice has ended, or was let go.
    fn notified(&self, network: &Arc<str>, ended: Option<std::result::Result<Sent, SendError>>) {
        let ended = ended.map(|result| (Arc::clone(network), result));
        self.tell(ToDriver::Sent(SendEnd::Notified(ended)));
    }

    /// A transport receives no more. The bot goes on with the others, unless it is not to.
    fn received(&mut self, index: usize, received: Result<()>, turns: &mut Turns) {
        let Some(edge) = self.edges.get_mut(index) else { return };
        edge.receiving = None;
        edge.state = if received.is_ok() { NetworkState::Ended } else { NetworkState::Failed };
        let (network, is_essential) = (Arc::clone(&edge.name), edge.is_essential);
        let goes_on = !is_essential && self.edges.is_receiving();
        match received {
            Err(error) if turns.deadline.is_some() => {
                tracing::warn!(
                    network = &*network,
                    error = error.chain(),
                    "the transport gave up while the bot was stopping"
                );
            }
            _ if turns.deadline.is_some() => {}
            Err(error) if goes_on => tracing::error!(
                network = &*network,
                error = error.chain(),
                hint = error.hint(),
                "the transport gave up: the bot goes on without it"
            ),
            Ok(()) if goes_on => {
                tracing::info!(network = &*network, "the transport has ended: the bot goes on without it");
            }
            received => {
                turns.received = received;
                turns.deadline = Some(self.begin_draining(ToDriver::Received(self.drain)));
            }
        }
    }

    /// The bot is not to start: what it is on stops receiving.
    fn not_started(&mut self, error: Error, turns: &mut Turns) {
        self.edges.stop_receiving();
        tracing::error!(error = error.chain(), hint = error.hint(), "the bot does not start");
        if turns.deadline.is_none() {
            turns.received = Err(error);
            turns.deadline = Some(self.begin_draining(ToDriver::Received(self.drain)));
        }
    }

    /// Answers until when that may take.
    fn begin_draining(&mut self, how: ToDriver) -> Instant {
        self.stopping.is_draining = true;
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
        tokio::select! {
            biased;
            Some(()) = ends.stops.recv() => Woken::Stopped,
            () = at(turns.deadline) => Woken::AtDeadline,
            Some(question) = ends.questions.recv() => Woken::Asked(question),
            1.. = ends.due.recv_many(&mut turns.due, turns.most) => Woken::Expected,
            Some(opened) = ends.opened.recv() => Woken::Opened(opened),
            (index, happened) = self.edges.next() => Woken::Happened(index, happened),
            ended = &mut self.link.place => Woken::Driven(ended),
            1.. = self.link.from_driver.recv_many(&mut turns.said, turns.most) => Woken::Said,
            Some(delivered) = sends.next(), if !sends.is_empty() => Woken::Delivered(delivered),
            Some(download) = ends.downloads.recv() => Woken::Wanted(download),
        }
    }
}

impl Turns {
    /// The bot has nothing left to do.
    fn quiet(self) -> End {
        End::Quiet(self.deadline.unwrap_or_else(Instant::now), self.received)
    }
}
