//! The help text, made from what triggers say of themselves.

use std::fmt::Write;
use std::sync::Arc;

use crate::context::{Context, Matched};
use crate::reply::Reply;
use crate::text::{Case, clean, fold};

/// Lists what this person may use here, or tells about one command.
pub(super) fn answer(cx: &Context, listing: Option<&Vec<Arc<Matched>>>) -> Reply {
    let (sender, here) = (cx.event().sender(), cx.event().conversation());
    // A pattern is not for people to read: one whose author gave no usage and no name is left out.
    let readable = listing.into_iter().flatten().filter(|matched| {
        let pattern = matched.pattern.as_ref().map(|regex| regex.as_str());
        let is_named = |pattern: &str| !clean(&matched.facts.name).ends_with(pattern);
        matched.facts.usage.is_some() || pattern.is_none_or(is_named)
    });
    let visible = readable.map(|matched| &matched.facts);
    let mut visible = visible.filter(|facts| !facts.is_hidden && facts.allows(sender, here));
    let wanted = fold(cx.rest(), Case::Lower);
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
    let bare = |name: &str| {
        let name = fold(name, Case::Lower);
        name.trim_start_matches(|c: char| !c.is_alphanumeric()).to_owned()
    };
    match visible.find(|facts| fold(&facts.name, Case::Lower) == wanted || bare(&facts.name) == bare(&wanted))
    {
        Some(facts) => {
            let usage = facts.usage.as_ref().unwrap_or(&facts.name);
            let about = facts.about.as_ref().map(|about| format!("{}: {about}\n", facts.name));
            Reply::text(format!("{}Usage: {usage}", about.unwrap_or_default()))
        }
        None => Reply::text("There is no such command."),
    }
}
