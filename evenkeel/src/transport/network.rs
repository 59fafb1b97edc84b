//! One of the networks of a bot, with what the bot wants of it.

use std::sync::Arc;

use super::Transport;
use super::erased::AnyTransport;
use crate::error::{Error, Result};
use crate::guarantee::OnUnknown;

/// One of the networks of a bot, for [`Bot::network`](crate::Bot::network).
///
/// ```
/// use evenkeel::sandbox::Sandbox;
/// use evenkeel::transport::Network;
/// use evenkeel::{Bot, Router};
///
/// let bot = Bot::new(Router::new().command("!ping", async || "pong"))
///     .transport(Sandbox::new())
///     .network(Network::new(Sandbox::new()).with_name("rehearsal").essential());
/// ```
#[must_use = "a network does nothing until a bot is on it"]
pub struct Network {
    pub(crate) transport: AnyTransport,
    name: Option<String>,
    pub(crate) is_essential: bool,
    pub(crate) on_unknown: Option<OnUnknown>,
}

impl Network {
    /// The network that this transport speaks to.
    pub fn new(transport: impl Transport) -> Self {
        Self { transport: Arc::new(transport), name: None, is_essential: false, on_unknown: None }
    }

    /// Calls it so, in logs, pages and [`Conversation::network`](crate::Conversation::network): letters, digits, `-`, `_` and `.`; as the
    /// transport [calls itself](Transport::name), unless told. Two networks of one bot have different names, and a name that was used
    /// once stays: conversations are kept under it.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The bot is not to go on without it: it does not start before this one is open, and it stops when this one ends.
    pub fn essential(mut self) -> Self {
        self.is_essential = true;
        self
    }

    /// What is done here with a reply when nobody knows whether it arrived; as the [`App`](crate::App) says, unless told.
    pub fn with_on_unknown(mut self, on_unknown: OnUnknown) -> Self {
        self.on_unknown = Some(on_unknown);
        self
    }

    /// What the bot calls it.
    pub(crate) fn name(&self) -> Result<String> {
        let name = self.name.clone().unwrap_or_else(|| self.transport.name().to_owned());
        let is_fine = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
        match !name.is_empty() && name.chars().all(is_fine) {
            true => Ok(name),
            false => Err(Error::config(format!("`{}` is no name for a network", crate::visible(&name)))
                .with_hint("use letters, digits, `-`, `_` and `.`: `Network::new(..).with_name(..)`")),
        }
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_deref().unwrap_or(self.transport.name());
        f.debug_struct("Network").field("name", &name).field("is_essential", &self.is_essential).finish()
    }
}
