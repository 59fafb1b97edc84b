//! What an earlier run left, of a journal that answers it in pages, at once.

use super::{Answer, Entry, Journal, Query, Recovered};
use crate::error::{Error, Result};

/// This many events are asked for at a time.
const PAGE: usize = 1_000;

/// Loads one page after another, and puts them together.
pub(super) async fn recover_whole(journal: &mut impl Journal) -> Result<Recovered> {
    let mut whole = journal.recover_in_pages().await?;
    while whole.has_more {
        let load = Entry::Query(Query::Load { limit: PAGE, limit_bytes: usize::MAX });
        let answer = journal.write(vec![load]).await?.into_answers().pop();
        let Some(Answer::Loaded(page)) = answer else {
            return Err(Error::new("the journal answered something else than a page"));
        };
        whole.events.extend(page.events);
        whole.replies.extend(page.replies);
        whole.has_more = page.has_more;
    }
    whole.events.sort_unstable_by_key(|event| event.sequence);
    whole.replies.sort_unstable_by_key(|reply| (reply.outbound.key.sequence, reply.outbound.key.index));
    Ok(whole)
}
