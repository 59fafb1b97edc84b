//! Which conversation somebody means who has typed what the lists show.

use evenkeel::Error;
use evenkeel::journal::sqlite::DeadLetterAdmin;
use evenkeel::journal::{DeadFilter, titled};

use crate::command::DeadAction;
use crate::table::line;
use crate::terminal::Failure;

/// Puts the journal's own name of a conversation in the place of what was typed. `discord:42` may be a conversation of the network
/// `discord`, or one of this id on the primary network: the one of which there are dead letters is meant.
///
/// # Errors
///
/// Where there are dead letters of both: what one of them has lost is not to be replayed or discarded for the other.
pub(super) fn find(letters: &DeadLetterAdmin, mut action: DeadAction) -> Result<DeadAction, Failure> {
    let filters = match &mut action {
        DeadAction::Show { .. } => &mut [],
        DeadAction::List { filter, .. } | DeadAction::Export { filter, .. } => std::slice::from_mut(filter),
        DeadAction::Replay(chosen) | DeadAction::Discard(chosen) => &mut chosen.filters[..],
    };
    for filter in filters {
        let Some(typed) = filter.conversation.take() else { continue };
        let mut there = Vec::new();
        for name in titled(&typed) {
            let of_it = DeadFilter { conversation: Some(name.clone()), ..DeadFilter::default() };
            if letters.count(&of_it)? > 0 {
                there.push(name);
            }
        }
        filter.conversation = Some(match there.len() {
            0 => typed,
            1 => there.swap_remove(0),
            _ => return Err(unclear(&typed).into()),
        });
    }
    Ok(action)
}

fn unclear(typed: &str) -> Error {
    let shown = line(typed);
    Error::new(format!("`{shown}` is a conversation of the primary network, and another one elsewhere"))
        .with_hint("name the dead letters by their IDs: in `evenkeel dead --json`, those of another network have a `network`")
}
