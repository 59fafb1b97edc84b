//! The help text, made from what triggers say of themselves.

use std::fmt::Write;
use std::sync::Arc;

use crate::context::{Context, Matched};
use crate::reply::Reply;

/// Lists what this person may use here, or tells about one command.
pub(super) fn answer(cx: &Context, listing: Option<&Vec<Arc<Matched>>>) -> Reply {
    let (sender, here) = (cx.event().sender(), cx.event().conversation());
    let visible = listing.into_iter().flatten().map(|matched| &matched.facts);
    let visible = visible.filter(|facts| !facts.is_hidden && facts.allows(sender, here));
    let wanted = cx.rest().to_lowercase();
    if wanted.is_empty() {
        let mut text = String::new();
        for facts in visible {
            let name = facts.usage.as_ref().unwrap_or(&facts.name);
            let about = facts.about.as_ref().map(|about| format!(": {about}")).unwrap_or_default();
            // Writing to a string does not fail.
            let _written = writeln!(text, "{name}{about}");
        }
        return Reply::text(text.trim_end());
    }
    let mut visible = visible;
    let bare = |name: &str| name.to_lowercase().trim_start_matches(|c: char| !c.is_alphanumeric()).to_owned();
    match visible.find(|facts| facts.name.to_lowercase() == wanted || bare(&facts.name) == bare(&wanted)) {
        Some(facts) => {
            let usage = facts.usage.as_ref().unwrap_or(&facts.name);
            let about = facts.about.as_ref().map(|about| format!("{}: {about}\n", facts.name));
            Reply::text(format!("{}Usage: {usage}", about.unwrap_or_default()))
        }
        None => Reply::text("There is no such command."),
    }
}
