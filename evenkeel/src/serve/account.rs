//! A journal belongs to one account: what one has promised never leaves from another.

use bytes::Bytes;

use crate::error::Result;
use crate::journal::{Answer, Entry, Journal, Query, owner};

/// Looks whose journal it is. Answers whether it is to become this account's, by [`keep`]: it is nobody's, or `granted` names the
/// account.
pub(super) async fn check(
    journal: &mut impl Journal,
    account: Option<&str>,
    granted: Option<&str>,
) -> Result<bool> {
    let recall = Entry::Query(Query::Recall { conversation: String::new(), name: owner::NAME.to_owned() });
    let answers = journal.write(vec![recall]).await?.into_answers();
    let kept = answers.into_iter().next().and_then(|answer| match answer {
        Answer::Recalled(kept) => kept,
        _ => None,
    });
    owner::check(kept.as_deref(), account, granted)?;
    Ok(kept.as_deref() != account.map(str::as_bytes))
}

/// Makes it this account's, once the network has let that in: one that was mistyped leaves no trace.
pub(super) async fn keep(journal: &mut impl Journal, account: Option<&str>) -> Result<()> {
    let value = account.map(|account| Bytes::copy_from_slice(account.as_bytes()));
    let remember = Entry::Remember { conversation: String::new(), name: owner::NAME.to_owned(), value };
    journal.write(vec![remember]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::memory::MemoryJournal;

    #[tokio::test]
    async fn a_journal_belongs_to_the_first_account_that_is_named_to_it() {
        let mut journal = MemoryJournal::default();
        for (account, granted, is_fine) in [
            (None, None, true),
            (Some("signal a"), None, true),
            (Some("signal a"), None, true),
            (Some("signal b"), None, false),
            (Some("signal b"), Some("signal c"), false),
            (None, None, false),
            (Some("signal b"), Some("signal b"), true),
            (Some("signal b"), Some("signal b"), true),
            (Some("signal a"), Some("signal b"), false),
        ] {
            let claimed = check(&mut journal, account, granted).await;
            assert_eq!(claimed.is_ok(), is_fine, "{account:?} {granted:?}");
            if let Ok(true) = claimed {
                keep(&mut journal, account).await.expect("memory keeps it");
            }
            if let (Err(error), Some(account)) = (claimed, account) {
                let grant = format!("`EVENKEEL_JOURNAL_ACCOUNT={account}`");
                assert!(error.hint().is_some_and(|hint| hint.contains(&grant)), "{error:?}");
            }
        }
    }
}
