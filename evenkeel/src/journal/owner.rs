//! Whose a journal is: what one account has promised never leaves from another, nor what belongs to one network by another.

use crate::error::{Error, Result};

/// The value of no conversation in which a journal keeps its account.
pub(crate) const NAME: &str = "evenkeel.account";

/// The value of no conversation in which a journal keeps the name of its primary network.
pub(crate) const PRIMARY_NETWORK: &str = "evenkeel.primary_network";

/// Refuses to make another network the primary one of a journal that has one. `chosen` is `EVENKEEL_PRIMARY_NETWORK`.
pub(crate) fn check_primary(kept: Option<&str>, chosen: Option<&str>) -> Result<()> {
    match (kept, chosen) {
        (Some(kept), Some(chosen)) if kept != chosen => Err(Error::config(format!(
            "the primary network of the journal is `{kept}`, and cannot become `{chosen}`: what is in it has the names of the first"
        ))
        .with_hint("leave `EVENKEEL_PRIMARY_NETWORK` away")),
        _ => Ok(()),
    }
}

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
