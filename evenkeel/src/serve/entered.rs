//! A network on its way into the bot.

use std::sync::Arc;

use super::account;
use super::foreign;
use super::receiving::Door;
use crate::capability::Capabilities;
use crate::error::Result;
use crate::networks::{KnownNetwork, Networks};
use crate::transport::Network;

/// See the module.
pub(super) struct Entered {
    pub(super) network: Network,
    pub(super) name: Arc<str>,
    /// Its name in the record: empty for the primary one.
    pub(super) key: Arc<str>,
    capabilities: Capabilities,
    pub(super) door: Door,
    /// What it said when it was opened.
    pub(super) greeting: String,
    /// What is to be kept of its account once it is open.
    pub(super) account: Option<account::Kept>,
}

impl Entered {
    /// One that is not open, and whose name in the record is not known; and its account, if it has one.
    pub(super) async fn new(network: Network) -> Result<(Self, Option<String>)> {
        let (transport, name) = (Arc::clone(&network.transport), network.name()?.into());
        let described = async { Ok((transport.capabilities(), transport.identity())) };
        let (capabilities, identity) = foreign::caught("the transport", described).await?;
        let (key, door, greeting) = (Arc::from(""), Door::Refused, String::new());
        Ok((Self { network, name, key, capabilities, door, greeting, account: None }, identity))
    }

    /// Says that it is open, or that it is not.
    pub(super) fn tell(&self) {
        let network = &*self.name;
        match (&self.door, &*self.greeting) {
            (Door::Open, "") => tracing::info!(network, "ready"),
            (Door::Open, greeting) => tracing::info!(network, "{greeting}"),
            (Door::Opening(_) | Door::Refused, _) => {
                tracing::warn!(network, "the network is not open yet: the bot begins without it");
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.door, Door::Open)
    }
}

/// What handlers know of the networks.
pub(super) fn known(entered: &[Entered]) -> Networks {
    Networks::new(entered.iter().map(|one| KnownNetwork {
        key: Arc::clone(&one.key),
        name: Arc::clone(&one.name),
        capabilities: one.capabilities,
    }))
}
