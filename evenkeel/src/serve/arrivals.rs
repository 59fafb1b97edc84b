//! What the networks bring, in turns: however much one of them brings, that of the others is taken up with it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::transport::Arrival;

/// A network that has brought something within this time may do so again.
const BUSY: Duration = Duration::from_millis(50);

/// The ends of the inboxes, one for each network.
pub(super) struct Arrivals {
    inboxes: Vec<mpsc::UnboundedReceiver<Arrival>>,
    /// When each of several has last brought something.
    last: Vec<Option<Instant>>,
    /// Whose turn it is.
    turn: usize,
}

impl Arrivals {
    pub(super) fn new(inboxes: Vec<mpsc::UnboundedReceiver<Arrival>>) -> Self {
        let last = inboxes.iter().map(|_| None).collect();
        Self { inboxes, last, turn: 0 }
    }

    /// Whether more than one network has just brought something.
    pub(super) fn come_from_several(&self) -> bool {
        self.are_several() && {
            let now = Instant::now();
            let is_busy = |last: &&Option<Instant>| last.is_some_and(|last| now < last + BUSY);
            self.last.iter().filter(is_busy).count() > 1
        }
    }

    pub(super) fn are_several(&self) -> bool {
        self.inboxes.len() > 1
    }

    /// Takes nothing more, but what has come.
    pub(super) fn close(&mut self) {
        self.inboxes.iter_mut().for_each(mpsc::UnboundedReceiver::close);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inboxes.iter().all(mpsc::UnboundedReceiver::is_empty)
    }

    /// Waits until something has come, and takes at most so much of each network. Answers how much that is, which is nothing once
    /// nothing more can come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is not taken stays there.
    pub(super) async fn recv_many(&mut self, into: &mut Vec<Arrival>, most: usize) -> usize {
        poll_fn(|cx| self.poll(cx, into, most)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, into: &mut Vec<Arrival>, most: usize) -> Poll<usize> {
        let (mut taken, mut may_come, are_several) = (0, false, self.are_several());
        for (inbox, last) in self.inboxes.iter_mut().zip(&mut self.last) {
            match inbox.poll_recv_many(cx, into, most) {
                Poll::Ready(count) => {
                    if count > 0 && are_several {
                        *last = Some(Instant::now());
                    }
                    taken += count;
                }
                Poll::Pending => may_come = true,
            }
        }
        if taken > 0 || !may_come { Poll::Ready(taken) } else { Poll::Pending }
    }

    /// Takes what has come by now, up to so much in all.
    pub(super) fn take_ready(&mut self, into: &mut Vec<Arrival>, most: usize) {
        while into.len() < most
            && let Some(arrival) = self.try_next()
        {
            into.push(arrival);
        }
    }

    /// The next one, of each network in turn.
    pub(super) fn try_next(&mut self) -> Option<Arrival> {
        let count = self.inboxes.len();
        for _ in 0..count {
            let (inbox, last) = self.inboxes.get_mut(self.turn).zip(self.last.get_mut(self.turn))?;
            self.turn = if self.turn + 1 < count { self.turn + 1 } else { 0 };
            if let Ok(arrival) = inbox.try_recv() {
                if count > 1 {
                    *last = Some(Instant::now());
                }
                return Some(arrival);
            }
        }
        None
    }
}
