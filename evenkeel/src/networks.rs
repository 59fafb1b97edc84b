//! The networks that a bot is on, as its handlers know them.

use std::sync::Arc;

use crate::capability::Capabilities;
use crate::error::{Error, Result};
use crate::event::Conversation;

/// See the module. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Networks(Arc<[KnownNetwork]>);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct KnownNetwork {
    /// Its name in the record: empty for the primary one.
    pub(crate) key: Arc<str>,
    /// What the bot calls it.
    pub(crate) name: Arc<str>,
    pub(crate) capabilities: Capabilities,
}

/// One of which nothing is known but that it is the primary one.
impl Default for Networks {
    fn default() -> Self {
        let none = || Arc::from("");
        Self::new([KnownNetwork { key: none(), name: none(), capabilities: Capabilities::default() }])
    }
}

impl Networks {
    pub(crate) fn new(networks: impl IntoIterator<Item = KnownNetwork>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// The one on which a conversation is, if the bot is on it: by its name in the record, or by what the bot calls it.
    fn of(&self, conversation: &Conversation) -> Option<&KnownNetwork> {
        let wanted = conversation.network();
        let by_key = self.0.iter().find(|network| *network.key == *wanted);
        by_key.or_else(|| self.0.iter().find(|network| *network.name == *wanted))
    }

    /// What the bot calls the network on which a conversation is; as the conversation says it, if the bot is not on it.
    pub(crate) fn name<'a>(&'a self, conversation: &'a Conversation) -> &'a str {
        self.of(conversation).map_or(conversation.network(), |network| &network.name)
    }

    /// What the network can carry on which a conversation is; nothing is known of one on which the bot is not.
    pub(crate) fn capabilities(&self, conversation: &Conversation) -> &Capabilities {
        self.of(conversation).map_or(&Capabilities::USUAL, |network| &network.capabilities)
    }

    /// A conversation as the record knows it, and what its network can carry.
    ///
    /// # Errors
    ///
    /// When the bot is not on its network.
    pub(crate) fn find(&self, conversation: &Conversation) -> Result<(Conversation, &Capabilities)> {
        let network = self.of(conversation).ok_or_else(|| self.unknown(conversation.network()))?;
        Ok((conversation.clone().with_network(&network.key), &network.capabilities))
    }

    fn unknown(&self, wanted: &str) -> Error {
        let names: Vec<_> = self.0.iter().map(|network| format!("`{}`", network.name)).collect();
        let error = match wanted {
            "" => Error::new("the bot is not on the primary network of its journal"),
            wanted => Error::new(format!("the bot is not on the network `{wanted}`")),
        };
        let names = names.join(" and ");
        error.with_hint(format!(
            "it is on {names}: `Conversation::with_network` says which, and one that says none is on the primary one"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Networks {
        let network = |key: &str, name: &str| KnownNetwork {
            key: key.into(),
            name: name.into(),
            capabilities: Capabilities::default(),
        };
        Networks::new([network("", "signal"), network("discord", "discord")])
    }

    #[test]
    fn a_conversation_is_on_the_network_that_it_names() {
        let (networks, here) = (two(), Conversation::group("42"));
        for (named, key, name) in
            [("", "", "signal"), ("signal", "", "signal"), ("discord", "discord", "discord")]
        {
            let conversation = here.clone().with_network(named);
            assert_eq!(networks.name(&conversation), name);
            let (found, _) = networks.find(&conversation).expect("the bot is on it");
            assert_eq!((found.network(), found.id()), (key, "42"));
        }
    }

    #[test]
    fn a_network_on_which_the_bot_is_not_is_an_error_that_names_those_on_which_it_is() {
        let error = two().find(&Conversation::group("42").with_network("irc")).expect_err("nobody said so");
        assert_eq!(error.to_string(), "the bot is not on the network `irc`");
        assert!(error.hint().is_some_and(|hint| hint.contains("`signal` and `discord`")), "{error:?}");
    }
}
