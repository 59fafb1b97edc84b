//! The help text, made from what triggers say of themselves.

use std::fmt::Write;
use std::sync::Arc;

use crate::command::{CommandSpec, Parameter, ParameterKind};
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
    let visible = readable.filter(|matched| !matched.facts.is_hidden && matched.facts.allows(sender, here));
    let mut specs = visible.filter_map(|matched| matched.spec());
    let wanted = fold(cx.rest(), Case::Lower);
    if wanted.is_empty() {
        let mut text = String::new();
        for spec in specs {
            // Writing to a string does not fail.
            let _written = writeln!(text, "{spec}");
        }
        return Reply::text(text.trim_end());
    }
    match specs.find(|spec| is_called(spec, &wanted)) {
        Some(spec) => Reply::text(told(&spec)),
        None => Reply::text("There is no such command."),
    }
}

/// Whether a person means this one, with or without the sign before it.
fn is_called(spec: &CommandSpec, wanted: &str) -> bool {
    let bare = |name: &str| {
        let name = fold(name, Case::Lower);
        name.trim_start_matches(|c: char| !c.is_alphanumeric()).to_owned()
    };
    let is_wanted = |name: &String| fold(name, Case::Lower) == wanted || bare(name) == bare(wanted);
    let names = [&spec.name, &spec.spelling].into_iter().chain(&spec.aliases);
    // A pattern has no spelling.
    names.filter(|name| !name.is_empty()).any(is_wanted)
}

/// All that is known of one command.
fn told(spec: &CommandSpec) -> String {
    let about = spec.about.as_ref().map(|about| format!("{}: {about}\n", spec.name)).unwrap_or_default();
    let mut text = format!("{about}Usage: {}", spec.usage.as_ref().unwrap_or(&spec.name));
    for line in spec.parameters.iter().filter_map(parameter) {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

/// What the usage does not say of a parameter.
fn parameter(parameter: &Parameter) -> Option<String> {
    let Parameter { name, kind, is_required, is_list, about, .. } = parameter;
    let is_text = matches!(kind, ParameterKind::Word | ParameterKind::Remainder);
    let mut facts = Vec::new();
    facts.extend((!is_text).then(|| kind.to_string()));
    facts.extend(is_list.then(|| "one or more".to_owned()));
    facts.extend((!is_required).then(|| "may be left out".to_owned()));
    let facts = facts.join(", ");
    match about {
        Some(about) if facts.is_empty() => Some(format!("{name}: {about}")),
        Some(about) => Some(format!("{name}: {about} ({facts})")),
        None => (!is_text).then(|| format!("{name}: {facts}")),
    }
}
