//! Which route an event goes to.

use std::sync::Arc;

use super::compile::Compiled;
use super::matcher::{Found, Matcher};
use crate::context::Matched;
use crate::event::Event;

/// A longer message is looked at where handlers run, and is no concurrent command,
const LOOKED_AT_BYTES: usize = 4096;
/// and so is one with more mentions.
const LOOKED_AT_MENTIONS: usize = 64;

/// All routes of a bot. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Routes {
    matcher: Arc<Matcher>,
    all: Arc<[Compiled]>,
    /// Whether an edit is matched as the message that it makes.
    with_edits: bool,
}

/// The route of an event.
pub(super) struct Call<'a> {
    pub(super) route: &'a Compiled,
    /// How many words of the text are those of the command.
    pub(super) command_words: usize,
    /// What the handler sees in place of the event, if that is something else.
    pub(super) seen_as: Option<Event>,
}

impl Routes {
    pub(super) fn new(matcher: Matcher, all: Vec<Compiled>) -> Self {
        Self { matcher: Arc::new(matcher), all: all.into(), with_edits: false }
    }

    /// The same, where edits are matched as the messages that they make.
    pub(super) fn with_edits(self) -> Self {
        Self { with_edits: true, ..self }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Compiled> {
        self.all.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Which route an event goes to, if any.
    pub(super) fn find(&self, event: &Event) -> Option<Call<'_>> {
        let Some(edited) = self.edited(event) else {
            let found = self.matcher.find(event, &|index| self.allows(index, event))?;
            return Some(self.call(found, None));
        };
        // By its words it is that message; a handler of edits goes before one of messages.
        let allows = |index| self.allows(index, event);
        let by_words = self.matcher.find_text_of(&edited, &allows);
        if by_words.is_none()
            && let Some(found) = self.matcher.find(event, &allows)
        {
            return Some(self.call(found, None));
        }
        let found = by_words.or_else(|| self.matcher.find(&edited, &allows))?;
        Some(self.call(found, Some(edited)))
    }

    fn call(&self, Found { route, command_words }: Found, seen_as: Option<Event>) -> Call<'_> {
        Call { route: &self.all[route], command_words, seen_as }
    }

    /// An edit as the message that it makes, where the author wants that.
    fn edited(&self, event: &Event) -> Option<Event> {
        if self.with_edits { event.edited() } else { None }
    }

    fn allows(&self, index: usize, event: &Event) -> bool {
        self.all[index].matched.facts.allows(event.sender(), event.conversation())
    }

    /// The name of the command that an event's text asks for; empty if none. It runs no filter: this is asked by the driver,
    /// of events during which the process ended, perhaps in a filter.
    pub(super) fn command(&self, event: &Event) -> String {
        let edited = self.edited(event);
        let event = edited.as_ref().unwrap_or(event);
        let named = self.matcher.find_without_filters(event, &|index| self.allows(index, event));
        named.map(|found| self.all[found.route].label.name().to_owned()).unwrap_or_default()
    }

    /// Whether a message is a command: it goes to an exact text, to a command or what is behind `nest`, or to a pattern that reads
    /// as one. What anything may match is none.
    pub(super) fn is_command(&self, event: &Event) -> bool {
        let found = self.matcher.find_text_of(event, &|index| self.allows(index, event));
        found.is_some_and(|found| is_commanding(&self.all[found.route].matched))
    }

    /// Whether any route is concurrent.
    pub(super) fn has_concurrent(&self) -> bool {
        self.iter().any(|route| route.matched.facts.is_concurrent)
    }

    /// Whether an event goes to a concurrent command. This is asked by the driver: it runs no filter and no pattern, and looks
    /// at no text that would take it long.
    pub(super) fn is_concurrent(&self, event: &Event) -> bool {
        let message = event.message().or_else(|| event.edit().map(|edit| &edit.message));
        let is_short = message.is_some_and(|message| {
            message.text.len() <= LOOKED_AT_BYTES && message.mentions.len() <= LOOKED_AT_MENTIONS
        });
        if !is_short {
            return false;
        }
        let edited = self.edited(event);
        let event = edited.as_ref().unwrap_or(event);
        let route = self.matcher.find_by_words(event, &|index| self.allows(index, event));
        route.is_some_and(|route| self.all[route].matched.facts.is_concurrent)
    }
}

/// Whether what goes to this route is a command by its words.
fn is_commanding(matched: &Matched) -> bool {
    matched.nest_words > 0 || matched.pattern.is_none() || matched.has_first_words
}
