//! Whose a journal is: of one account of each network. What one has promised never leaves from another.

use std::sync::Arc;

use bytes::Bytes;

use super::primary;
use crate::error::Result;
use crate::journal::{Answer, Entry, Journal, Query, Recovered, owner};
use crate::reserved;

/// What the journal is asked about.
pub(super) struct Claim {
    /// What the bot calls its networks,
    pub(super) names: Vec<String>,
    /// and its account on each of them, where that has one.
    pub(super) accounts: Vec<Option<String>>,
    /// The account that the journal is to belong to from now on.
    pub(super) granted: Option<String>,
    /// The network that is to be the primary one.
    pub(super) chosen: Option<String>,
    /// Which of them only stand in for a network.
    pub(super) rehearsals: Vec<bool>,
    /// Whether nothing was ever kept in the journal.
    pub(super) is_fresh: bool,
}

/// What came of it.
pub(super) struct Claimed {
    /// The name of each network in the record: empty for the primary one.
    pub(super) keys: Vec<Arc<str>>,
    /// What is to be kept once a network has let its account in.
    pub(super) primary: Option<Kept>,
    pub(super) accounts: Vec<Option<Kept>>,
    /// The networks on which it was another account's, by their names in the record: the operator has granted it to this one.
    pub(super) others: Vec<Arc<str>>,
}

/// A value that is to be kept: its name, and what it says.
pub(super) type Kept = (String, String);

/// Looks which network is the primary one, and whose the journal is.
///
/// # Errors
///
/// Where nobody knows that, or it is somebody else's.
pub(super) async fn check(journal: &mut impl Journal, claim: &Claim) -> Result<Claimed> {
    let names = [owner::PRIMARY_NETWORK, owner::NAME].map(str::to_owned);
    let kept = recall(journal, names.into()).await?;
    let [kept, owner] = kept.try_into().unwrap_or_default();
    let is_fresh = claim.is_fresh && owner.is_none();
    let kept = kept.as_deref().map(String::from_utf8_lossy);
    let chosen = claim.chosen.as_deref();
    let primary = primary::find(&claim.names, kept.as_deref(), chosen, is_fresh)?;
    let key = |name: &String| Arc::from(if *name == primary { "" } else { name.as_str() });
    let keys: Vec<Arc<str>> = claim.names.iter().map(key).collect();
    let owners: Vec<_> = keys.iter().map(|key| reserved::on(key, owner::NAME)).collect();
    let kept_owners = recall(journal, owners.clone()).await?;
    let (mut accounts, mut others) = (Vec::new(), Vec::new());
    for (((owner, account), name), key) in kept_owners.iter().zip(&claim.accounts).zip(owners).zip(&keys) {
        owner::check(owner.as_deref(), account.as_deref(), claim.granted.as_deref())?;
        let is_new = owner.as_deref() != account.as_deref().map(str::as_bytes);
        others.extend((is_new && owner.is_some()).then(|| Arc::clone(key)));
        accounts.push(account.clone().filter(|_| is_new).map(|account| (name, account)));
    }
    if !keys.iter().any(|key| key.is_empty()) {
        tracing::warn!(
            primary,
            "the bot is not on the primary network of its journal: ids in lists that name no network mean that one"
        );
    }
    // Of several, one has to be known at the next start.
    let is_rehearsal = claim.rehearsals == [true];
    let primary = (kept.is_none() && !is_rehearsal).then(|| (owner::PRIMARY_NETWORK.to_owned(), primary));
    Ok(Claimed { keys, primary, accounts, others })
}

/// Takes away what the transport of another account kept for itself on this network, which is nothing to this one: names that it has
/// learned, and how far its sources were read. It stays in the journal until something else has the same name there.
pub(super) fn hide(recovered: &mut Recovered, network: &str) {
    let (kept, cursors) = (recovered.kept.len(), recovered.cursors.len());
    recovered.kept.retain(|(name, _)| reserved::name_on(network, name).is_none());
    recovered.cursors.retain(|(source, _)| reserved::name_on(network, source).is_none());
    let (kept, cursors) = (kept - recovered.kept.len(), cursors - recovered.cursors.len());
    if kept + cursors > 0 {
        tracing::info!(
            kept,
            cursors,
            "what the transport of another account has kept for itself is left aside"
        );
    }
}

async fn recall(journal: &mut impl Journal, names: Vec<String>) -> Result<Vec<Option<Bytes>>> {
    let query = |name| Entry::Query(Query::Recall { conversation: String::new(), name });
    let answers = journal.write(names.into_iter().map(query).collect()).await?.into_answers();
    let kept = |answer| match answer {
        Answer::Recalled(kept) => kept,
        _ => None,
    };
    Ok(answers.into_iter().map(kept).collect())
}

/// Keeps this, once the network has let the account in: one that was mistyped leaves no trace.
pub(super) async fn keep(journal: &mut impl Journal, kept: impl IntoIterator<Item = Kept>) -> Result<()> {
    let entries: Vec<_> = kept.into_iter().map(|(name, value)| remember(name, value)).collect();
    if !entries.is_empty() {
        journal.write(entries).await?;
    }
    Ok(())
}

fn remember(name: String, value: String) -> Entry {
    Entry::Remember { conversation: String::new(), name, value: Some(Bytes::from(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::memory::MemoryJournal;

    /// Of a bot on these networks, with these accounts there.
    fn claim(networks: &[(&str, Option<&str>)], granted: Option<&str>) -> Claim {
        Claim {
            names: networks.iter().map(|(name, _)| (*name).to_owned()).collect(),
            accounts: networks.iter().map(|(_, account)| account.map(str::to_owned)).collect(),
            granted: granted.map(str::to_owned),
            rehearsals: networks.iter().map(|(name, _)| *name == "sandbox").collect(),
            chosen: None,
            is_fresh: true,
        }
    }

    async fn start(journal: &mut MemoryJournal, claim: &Claim) -> Result<Claimed> {
        let claimed = check(journal, claim).await?;
        let kept = claimed.primary.iter().chain(claimed.accounts.iter().flatten());
        keep(journal, kept.cloned()).await.expect("memory keeps it");
        Ok(claimed)
    }

    #[tokio::test]
    async fn a_journal_belongs_to_the_first_account_that_is_named_to_it() {
        let mut journal = MemoryJournal::default();
        // Whether it was another's, where this one may have it.
        for (account, granted, was_anothers) in [
            (None, None, Some(false)),
            (Some("signal a"), None, Some(false)),
            (Some("signal a"), None, Some(false)),
            (Some("signal b"), None, None),
            (Some("signal b"), Some("signal c"), None),
            (None, None, None),
            (Some("signal b"), Some("signal b"), Some(true)),
            (Some("signal b"), Some("signal b"), Some(false)),
            (Some("signal a"), Some("signal b"), None),
        ] {
            let claimed = start(&mut journal, &claim(&[("signal", account)], granted)).await;
            let found = claimed.as_ref().ok().map(|claimed| !claimed.others.is_empty());
            assert_eq!(found, was_anothers, "{account:?} {granted:?}");
            if let (Err(error), Some(account)) = (claimed, account) {
                let grant = format!("`EVENKEEL_JOURNAL_ACCOUNT={account}`");
                assert!(error.hint().is_some_and(|hint| hint.contains(&grant)), "{error:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_journal_of_rehearsals_becomes_the_first_real_networks() {
        let mut journal = MemoryJournal::default();
        for networks in [[("sandbox", None)], [("signal", Some("s"))]] {
            let claimed = start(&mut journal, &claim(&networks, None)).await.expect("it is nobody's");
            assert_eq!(claimed.keys, ["".into()], "{networks:?}");
        }
        let rehearsed = start(&mut journal, &claim(&[("sandbox", None)], None)).await;
        assert_eq!(rehearsed.expect("it has no account there").keys, ["sandbox".into()]);
    }

    #[tokio::test]
    async fn each_network_has_its_account_and_the_primary_one_stays_it() {
        let mut journal = MemoryJournal::default();
        let keys = |claimed: Result<Claimed>| claimed.expect("it is its own").keys;
        let signal = ("signal", Some("s"));
        assert_eq!(keys(start(&mut journal, &claim(&[signal], None)).await), ["".into()]);
        let both = claim(&[("discord", Some("d")), signal], None);
        assert_eq!(keys(start(&mut journal, &both).await), ["discord".into(), "".into()]);
        let alone = claim(&[("discord", Some("d"))], None);
        assert_eq!(keys(start(&mut journal, &alone).await), ["discord".into()]);
        let other = claim(&[("discord", Some("e")), signal], None);
        assert!(start(&mut journal, &other).await.is_err(), "another account of the second network");
    }
}
