//! Answers that a network wants by a certain time: where none is ready, it is told that the bot works on it.
//!
//! The timer is the wire's own. It is set when the event is handed over, so that it rings in time whatever handlers and the
//! journal do.

mod standing;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use self::standing::{Standing, Timer};
use crate::command::{CommandSpec, Deferral};
use crate::engine::{Delivery, Ended};
use crate::event::ReplyToken;
use crate::reply::Answered;
use crate::serve::outbox::{close, defer};
use crate::serve::wait::at;
use crate::transport::{AnyTransport, Due, SendError, Sent};

/// So many tokens are remembered whose events have ended: replies of theirs may still be on their way.
const REMEMBERED: usize = 8_192;
/// And not more than these in all. Of one that is forgotten nobody knows what has gone out by it.
const MOST: usize = 262_144;
/// After this the network is told again, where it was certainly not.
const RETRY: Duration = Duration::from_millis(100);

/// See the module. Dropping it drops what is under way.
#[derive(Default)]
pub(super) struct Deferring {
    tokens: HashMap<ReplyToken, Standing>,
    /// Those that wait for their time, the earliest first.
    timers: BTreeMap<Timer, ReplyToken>,
    /// Those whose events have ended, in that order.
    over: VecDeque<ReplyToken>,
    under_way: FuturesUnordered<BoxFuture<'static, Told>>,
    count: u64,
    /// What commands want said, by their names without what stands before the first letter. Others are told openly.
    deferrals: HashMap<Box<str>, Deferral>,
}

/// What the network said to what it was told.
pub(super) struct Told {
    token: ReplyToken,
    /// `None` where nothing follows.
    result: Option<Result<(), SendError>>,
}

/// What has happened.
pub(super) enum Rung {
    /// Somebody has waited long enough.
    Due,
    Told(Told),
}

impl Deferring {
    /// With what commands say of themselves.
    pub(super) fn new(specs: &[CommandSpec]) -> Self {
        let named = specs.iter().flat_map(|spec| {
            let names = [&spec.name, &spec.spelling].into_iter().chain(&spec.aliases);
            names.map(|name| (bare(name), spec.deferral))
        });
        Self { deferrals: named.collect(), ..Self::default() }
    }

    /// An event came in that wants an answer in time.
    pub(super) fn expect(&mut self, due: Due) {
        let Due { token, at, give_up, command, .. } = due;
        if let Some(standing) = self.tokens.get_mut(&token) {
            return standing.came_again();
        }
        if self.tokens.len() >= MOST {
            self.forget_oldest();
        }
        let deferral = self.deferrals.get(&bare(&command)).copied().unwrap_or(Deferral::Visible);
        let standing = self.tokens.entry(token.clone()).or_insert(Standing::new(deferral, give_up));
        if deferral != Deferral::Never {
            self.count += 1;
            let timer = Timer { at, number: self.count };
            standing.timer = Some(timer);
            self.timers.insert(timer, token);
        }
    }

    /// Whether nothing is to come by itself.
    pub(super) fn is_quiet(&self) -> bool {
        self.timers.is_empty() && self.under_way.is_empty()
    }

    /// Waits until a time has come or the network has said something, for ever if nothing is to come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is under way stays here.
    pub(super) async fn next(&mut self) -> Rung {
        let due = self.timers.keys().next().map(|timer| timer.at);
        tokio::select! {
            biased;
            () = at(due) => Rung::Due,
            Some(told) = self.under_way.next(), if !self.under_way.is_empty() => Rung::Told(told),
        }
    }

    /// Tells the network of all whose time has come.
    pub(super) fn ring(&mut self, transport: &AnyTransport) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().at <= now) {
            let token = entry.remove();
            let Some(standing) = self.tokens.get_mut(&token) else { continue };
            standing.timer = None;
            if standing.begins_to_defer() {
                let (transport, deferral) = (Arc::clone(transport), standing.deferral);
                let telling = async move {
                    let result = Some(defer(transport, &token, deferral).await);
                    Told { token, result }
                };
                self.under_way.push(telling.boxed());
            }
        }
    }

    /// The network has said something, and perhaps more by now, of which no more than `most` is heard. Answers what may go out now
    /// that waited for it.
    pub(super) fn told_all(&mut self, first: Told, most: usize, transport: &AnyTransport) -> Vec<Delivery> {
        let mut released = self.told(first, transport);
        for _ in 1..most {
            let Some(told) = self.under_way.next().now_or_never().flatten() else { break };
            released.extend(self.told(told, transport));
        }
        released
    }

    fn told(&mut self, told: Told, transport: &AnyTransport) -> Vec<Delivery> {
        let Told { token, result } = told;
        let (Some(result), Some(standing)) = (result, self.tokens.get_mut(&token)) else { return Vec::new() };
        let held = standing.deferred(&result);
        if let Err(error) = &result {
            // It names no person and no token.
            tracing::debug!(%error, "the network was not told that the bot works on an answer");
        }
        let mut released = Vec::new();
        for delivery in held {
            released.extend(self.begin(delivery));
        }
        let wait = result.as_ref().err().and_then(SendError::retry_after).unwrap_or(RETRY);
        self.set_again(&token, wait);
        self.close_if_over(&token, transport);
        released
    }

    /// A reply is to be sent. Answers it with what has gone out before; nothing while it has to wait for what the network says.
    pub(super) fn begin(&mut self, mut delivery: Delivery) -> Option<Delivery> {
        let standing = delivery.outbound.token.as_ref().and_then(|token| self.tokens.get_mut(token));
        let Some(standing) = standing else { return Some(delivery) };
        if !delivery.outbound.is_answer() {
            delivery.outbound.answered = standing.answered();
            return Some(delivery);
        }
        if standing.is_deferring {
            standing.held.push(delivery);
            return None;
        }
        delivery.outbound.answered = standing.begins_to_send();
        if let Some(timer) = standing.timer.take() {
            self.timers.remove(&timer);
        }
        Some(delivery)
    }

    /// A send has ended, one way or the other.
    pub(super) fn ended(
        &mut self,
        delivery: &Delivery,
        result: &Result<Sent, SendError>,
        transport: &AnyTransport,
    ) {
        let Some(token) = delivery.outbound.token.as_ref().filter(|_| delivery.outbound.is_answer()) else {
            return;
        };
        let Some(standing) = self.tokens.get_mut(token) else { return };
        standing.sent(delivery.outbound.answered, result);
        self.set_again(token, Duration::ZERO);
        self.close_if_over(token, transport);
    }

    /// An event has ended.
    pub(super) fn over(&mut self, token: ReplyToken, ended: Ended, transport: &AnyTransport) {
        let Some(standing) = self.tokens.get_mut(&token) else {
            // One that came before the process was started: the network knows what has gone out.
            if ended == Ended::Silent {
                self.close(token, Answered::Unknown, transport);
            }
            return;
        };
        match ended {
            Ended::Known if standing.has_come_again() => return,
            // What is to be said is said by what came in before the process was started, and is on its way perhaps.
            Ended::Known if !standing.is_at_rest() => return,
            Ended::Known => return self.remove(&token),
            Ended::Silent => standing.is_over = Some(true),
            Ended::Promising => standing.is_over = Some(false),
        }
        self.close_if_over(&token, transport);
        if self.tokens.contains_key(&token) {
            self.over.push_back(token);
            if self.over.len() > REMEMBERED {
                self.forget_oldest();
            }
        }
    }

    /// What has waited for the network: it is certainly not sent.
    pub(super) fn take_held(&mut self) -> Vec<Delivery> {
        self.tokens.values_mut().flat_map(|standing| std::mem::take(&mut standing.held)).collect()
    }

    /// Sets the timer once more, where something still has to go out and there is time left.
    fn set_again(&mut self, token: &ReplyToken, wait: Duration) {
        let Some(standing) = self.tokens.get_mut(token) else { return };
        let at = Instant::now() + wait;
        if standing.wants_to_defer() && at < standing.give_up {
            self.count += 1;
            let timer = Timer { at, number: self.count };
            standing.timer = Some(timer);
            self.timers.insert(timer, token.clone());
        }
    }

    /// Tells the network that nothing comes, where that is so.
    fn close_if_over(&mut self, token: &ReplyToken, transport: &AnyTransport) {
        let Some(answered) = self.tokens.get(token).and_then(Standing::is_left_unanswered) else { return };
        self.remove(token);
        self.close(token.clone(), answered, transport);
    }

    fn close(&mut self, token: ReplyToken, answered: Answered, transport: &AnyTransport) {
        let transport = Arc::clone(transport);
        let telling = async move {
            close(transport, &token, answered).await;
            Told { token, result: None }
        };
        self.under_way.push(telling.boxed());
    }

    fn remove(&mut self, token: &ReplyToken) {
        if let Some(Standing { timer: Some(timer), .. }) = self.tokens.remove(token) {
            self.timers.remove(&timer);
        }
    }

    /// Forgets what has gone out by the token whose event ended first.
    fn forget_oldest(&mut self) {
        while let Some(token) = self.over.pop_front() {
            let Some(standing) = self.tokens.get(&token) else { continue };
            if standing.is_at_rest() {
                return self.remove(&token);
            }
            // One that still sends goes later.
            self.over.push_back(token);
            return;
        }
    }
}

/// A command's name as any network may spell it: `!Roll` and `/roll` are `roll`.
fn bare(name: &str) -> Box<str> {
    name.trim_start_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase().into()
}
