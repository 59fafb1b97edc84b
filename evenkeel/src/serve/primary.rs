//! Which of the networks is the primary one: its conversations, events and sources have their own names in the journal, and those of
//! the others have the network's name before them.

use crate::error::{Error, Result};
use crate::journal::owner;

/// The name of the primary network. `kept` is what the journal says, `chosen` the operator, and `is_fresh` whether nothing was ever
/// kept in the journal.
///
/// # Errors
///
/// Where nobody knows it, or where it is to become another one.
pub(super) fn find(
    names: &[String],
    kept: Option<&str>,
    chosen: Option<&str>,
    is_fresh: bool,
) -> Result<String> {
    owner::check_primary(kept, chosen)?;
    match (kept, chosen, names) {
        (Some(kept), ..) => Ok(kept.to_owned()),
        (None, Some(chosen), _) if names.iter().any(|name| name == chosen) => Ok(chosen.to_owned()),
        (None, Some(chosen), _) => Err(Error::config(format!("the bot is not on the network `{chosen}`"))
            .with_hint(format!("set `EVENKEEL_PRIMARY_NETWORK` to {}", either(names)))),
        (None, None, [only]) => Ok(only.clone()),
        (None, None, [first, ..]) if is_fresh => Ok(first.clone()),
        (None, None, _) => Err(Error::config(
            "the journal was written by a bot on one network, and does not say which of these that was",
        )
        .with_hint(format!(
            "start it once with `EVENKEEL_PRIMARY_NETWORK` set to {}: the one from which all comes that is in the journal",
            either(names)
        ))),
    }
}

fn either(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_network_is_the_first_one_for_ever_and_never_guessed() {
        let (one, two) = (["signal".to_owned()], ["signal".to_owned(), "discord".to_owned()]);
        for (names, kept, chosen, is_fresh, expected) in [
            (&one[..], None, None, true, Some("signal")),
            (&one[..], None, None, false, Some("signal")),
            (&one[..], Some("sandbox"), None, false, Some("sandbox")),
            (&two[..], None, None, true, Some("signal")),
            (&two[..], None, None, false, None),
            (&two[..], None, Some("discord"), false, Some("discord")),
            (&two[..], None, Some("irc"), false, None),
            (&two[..], Some("discord"), None, false, Some("discord")),
            (&two[..], Some("discord"), Some("signal"), false, None),
        ] {
            let found = find(names, kept, chosen, is_fresh);
            assert_eq!(found.as_deref().ok(), expected, "{names:?} {kept:?} {chosen:?} {is_fresh}");
            if let Err(error) = found {
                assert!(
                    error.hint().is_some_and(|hint| hint.contains("EVENKEEL_PRIMARY_NETWORK")),
                    "{error:?}"
                );
            }
        }
    }
}
