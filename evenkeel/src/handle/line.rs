//! The way from handles to the bot that runs.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::ended::BotEnded;
use crate::engine::{OutsideRequest, Told};
use crate::error::Result;
use crate::networks::Networks;

/// So many requests may wait for the driver; the next one waits to ask. Each may ask for a thousand things.
const REQUESTS: usize = 64;

/// The end of the handles of one bot.
#[derive(Debug)]
pub(super) struct Line(watch::Receiver<Option<Arc<RunningBot>>>);

/// The bot's end. Once all clones are dropped and no bot runs, none ever will.
#[derive(Clone, Debug)]
pub(crate) struct LineEnd(watch::Sender<Option<Arc<RunningBot>>>);

/// A bot that runs.
#[derive(Debug)]
pub(super) struct RunningBot {
    /// The driver holds the other end; a stopped bot has dropped it.
    requests: mpsc::Sender<OutsideRequest>,
    /// The networks on which it is.
    pub(super) networks: Networks,
    /// Whether it shares a runtime with whoever asks.
    pub(super) is_beside: bool,
}

impl Line {
    pub(super) fn new() -> (Self, LineEnd) {
        let (runs, running) = watch::channel(None);
        (Self(running), LineEnd(runs))
    }

    /// The bot, if it runs or has ended by now.
    pub(super) fn now(&self) -> Option<Arc<RunningBot>> {
        self.0.borrow().clone()
    }

    /// The bot, once it runs.
    pub(super) async fn running(&self) -> Result<Arc<RunningBot>> {
        if let Some(running) = self.now() {
            return Ok(running);
        }
        let mut running = self.0.clone();
        let began = running.wait_for(Option::is_some).await.ok().and_then(|running| running.clone());
        began.ok_or_else(|| BotEnded::NothingKept.into_error())
    }
}

impl RunningBot {
    /// Asks the bot for something, and waits until it has it.
    ///
    /// # Cancel safety
    ///
    /// Once it was asked, it may happen although the future is dropped.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Told<T>>) -> OutsideRequest,
    ) -> Result<T> {
        let (answer, told) = oneshot::channel();
        let asked = self.requests.send(request(answer)).await;
        asked.map_err(|_| BotEnded::NothingKept.into_error())?;
        let told = told.await.map_err(|_| BotEnded::Unknown.into_error())?;
        told.map_err(|_| BotEnded::NothingKept.into_error())
    }
}

impl LineEnd {
    /// A bot runs from now on, on these networks.
    pub(crate) fn open(&self, networks: Networks, is_beside: bool) -> mpsc::Receiver<OutsideRequest> {
        let (requests, receiver) = mpsc::channel(REQUESTS);
        self.0.send_replace(Some(Arc::new(RunningBot { requests, networks, is_beside })));
        receiver
    }

    /// Another bot is about to run in the place of the last one, which has ended: what is asked waits for it.
    pub(crate) fn close(&self) {
        self.0.send_replace(None);
    }
}
