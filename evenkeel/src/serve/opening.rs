//! How a bot begins: its journal is opened and read, and then its networks are opened.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::spawn_blocking;

use super::account::{self, Claim, Claimed};
use super::entered::Entered;
use super::entering::enter;
use crate::command::CommandSpec;
use crate::error::{Error, Result};
use crate::journal::{Journal, Place, Recovered};
use crate::transport::Network;

/// Opens the journal, once the settings are known.
pub(super) type OpenJournal<J> = Box<dyn FnOnce(Place) -> Result<J> + Send>;

/// What the operator has said of the journal.
pub(super) struct Said {
    pub(super) place: Place,
    /// The account that it is to belong to from now on.
    pub(super) account: Option<String>,
    /// The network that is to be the primary one.
    pub(super) primary: Option<String>,
}

/// Opens the journal and then the networks, which are told the commands and greet.
pub(super) async fn opened<J: Journal>(
    journal: OpenJournal<J>,
    networks: Vec<Network>,
    specs: Arc<[CommandSpec]>,
    said: Said,
) -> Result<(J, Recovered, Vec<Entered>)> {
    let (mut entered, accounts) = described(networks).await?;
    specs.iter().for_each(|spec| tracing::debug!("people can ask for {spec}"));
    let Said { place, account: granted, primary: chosen } = said;
    let opened = spawn_blocking(move || journal(place)).await?;
    let mut journal = opened.map_err(|error| error.context("the journal could not be opened"))?;
    let blocks = journal.blocks();
    let names = entered.iter().map(|one| one.name.to_string()).collect();
    let rehearsals = entered.iter().map(|one| one.network.transport.is_rehearsal()).collect();
    let mut claim = Claim { names, accounts, granted, chosen, rehearsals, is_fresh: false };
    let (mut journal, mut recovered, claimed) = aside(blocks, async move {
        let recovered = journal.recover_in_pages().await?;
        claim.is_fresh = recovered.latest_ms == 0;
        let claimed = account::check(&mut journal, &claim).await?;
        Ok((journal, recovered, claimed))
    })
    .await?;
    let Claimed { keys, primary, accounts, others } = claimed;
    others.iter().for_each(|network| account::hide(&mut recovered, network));
    for ((one, key), account) in entered.iter_mut().zip(keys).zip(accounts) {
        (one.key, one.account) = (key, account);
    }
    enter(&mut entered, &specs).await?;
    let let_in = entered.iter_mut().filter(|one| one.is_open());
    let mut kept: Vec<_> = let_in.filter_map(|one| one.account.take()).collect();
    kept.extend(primary);
    if !kept.is_empty() {
        journal = aside(blocks, async move {
            account::keep(&mut journal, kept).await?;
            Ok(journal)
        })
        .await?;
    }
    Ok((journal, recovered, entered))
}

/// The networks of a bot, and its account on each of them.
async fn described(networks: Vec<Network>) -> Result<(Vec<Entered>, Vec<Option<String>>)> {
    if networks.is_empty() {
        return Err(Error::config("the bot has no transport")
            .with_hint("say on which network it is: `Bot::new(app()).transport(..)`"));
    }
    let (mut entered, mut accounts, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for network in networks {
        let (one, account) = Entered::new(network).await?;
        if !names.insert(Arc::clone(&one.name)) {
            return Err(Error::config(format!("two networks of the bot are called `{}`", one.name)).with_hint(
                "give one of them another name, and keep that: `.network(Network::new(..).with_name(..))`",
            ));
        }
        accounts.push(account);
        entered.push(one);
    }
    Ok((entered, accounts))
}

/// Does something with a journal; where that blocks, on a thread for it.
async fn aside<R: Send + 'static>(
    blocks: bool,
    work: impl Future<Output = Result<R>> + Send + 'static,
) -> Result<R> {
    if !blocks {
        return work.await;
    }
    let never_waits = || Error::new("a journal that says that it blocks has waited for something else");
    spawn_blocking(move || work.now_or_never().unwrap_or_else(|| Err(never_waits()))).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Cursor;
    use crate::journal::Entry;
    use crate::journal::memory::{MemoryJournal, MemoryStore};
    use crate::reply::Outbound;
    use crate::reserved::TRANSPORT;
    use crate::transport::{Inbox, SendError, Sent, Transport};

    struct Account(&'static str);

    impl Transport for Account {
        fn name(&self) -> &'static str {
            "a-network"
        }

        fn identity(&self) -> Option<String> {
            Some(self.0.to_owned())
        }

        async fn receive(&self, _: Inbox) -> Result<()> {
            Ok(())
        }

        async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
            Ok(Sent::done())
        }
    }

    async fn open(
        store: &MemoryStore,
        account: &'static str,
        granted: Option<&str>,
    ) -> Result<(usize, usize)> {
        let store = store.clone();
        let journal: OpenJournal<_> = Box::new(move |_| Ok(MemoryJournal::over(store)));
        let said = Said { place: Place::default(), account: granted.map(str::to_owned), primary: None };
        let networks = vec![Network::new(Account(account))];
        let (mut journal, recovered, _) = opened(journal, networks, Vec::new().into(), said).await?;
        let (source, position) = Cursor::of("0", "17").into_parts();
        let conversation = TRANSPORT.to_owned();
        let value = Some("Alice".into());
        let name = Entry::Remember { conversation, name: "name".to_owned(), value };
        journal.write(vec![name, Entry::Cursor { source, position }]).await?;
        Ok((recovered.kept.len(), recovered.cursors.len()))
    }

    #[tokio::test]
    async fn a_transport_is_handed_nothing_that_another_account_has_kept() {
        let store = MemoryStore::default();
        assert_eq!(open(&store, "one", None).await.expect("it is nobody's"), (0, 0));
        assert_eq!(open(&store, "one", None).await.expect("it is its own"), (1, 1));
        open(&store, "other", None).await.expect_err("it is another's");
        assert_eq!(open(&store, "other", Some("other")).await.expect("it was granted"), (0, 0));
        assert_eq!(open(&store, "other", None).await.expect("it is its own"), (1, 1));
    }
}
