//! Whose a journal is: what one account has promised never leaves from another.

use crate::error::{Error, Result};

/// The value of no conversation in which a journal keeps its account.
pub(crate) const NAME: &str = "evenkeel.account";

/// Refuses a journal that is another account's, unless `granted` names this one.
pub(crate) fn check(owner: Option<&[u8]>, account: Option<&str>, granted: Option<&str>) -> Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    let Some(account) = account else {
        return Err(others()
            .with_hint("set `EVENKEEL_JOURNAL` to a file for this bot: this transport names no account"));
    };
    if owner == account.as_bytes() || granted == Some(account) {
        return Ok(());
    }
    Err(others().with_hint(format!(
        "set `EVENKEEL_JOURNAL` to a file for this account; or, if it is the same bot under a new number, start it with \
         `EVENKEEL_JOURNAL_ACCOUNT={account}`, and the journal is this account's from then on"
    )))
}

fn others() -> Error {
    Error::config("the journal belongs to another account: what that one promised would leave from this one")
}
