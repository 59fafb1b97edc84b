//! Which word goes to which place, where some places take no word.

use super::value::{Instead, Value};
use crate::command::Takes;
use crate::event::Event;

/// What each place of a type takes, and the event that has it.
#[derive(Clone, Copy)]
pub(in crate::extract) struct Plan<'a> {
    pub(in crate::extract) takes: &'a [Takes],
    pub(in crate::extract) event: &'a Event,
}

impl<'a> Plan<'a> {
    /// How many words there are places for.
    pub(super) fn words(self) -> usize {
        self.takes.iter().filter(|takes| !takes.is_file()).count()
    }

    /// One value for each place, some of which nobody gave; surplus words are a part of the last that is one.
    pub(super) fn fill(self, words: Vec<Value<'a>>) -> Vec<Value<'a>> {
        let message = self.event.message();
        let mut files = message.map_or(&[][..], |message| &message.attachments);
        let mut quoted = self.event.quoted_person();
        let mut words = words.into_iter().peekable();
        let mut filled = Vec::with_capacity(self.takes.len());
        for (place, takes) in self.takes.iter().enumerate() {
            let is_last = self.takes[place + 1..].iter().all(|takes| takes.is_file());
            let is_mention = |word: &Value<'_>| word.is_mention();
            let instead = match takes {
                Takes::File => {
                    let next = files.split_first();
                    files = next.map_or(&[][..], |(_, others)| others);
                    next.map(|(file, _)| Instead::File(file))
                }
                Takes::Files => Some(Instead::Files(std::mem::take(&mut files))),
                // The words are for another place, or there are none.
                Takes::Person if !is_last || words.peek().is_none() => {
                    let is_named = words.peek().is_some_and(is_mention);
                    if is_named { None } else { quoted.take().map(Instead::Person) }
                }
                Takes::Person | Takes::Word => None,
            };
            let value = match instead {
                Some(_) => None,
                None if takes.is_file() => None,
                None => words.next(),
            };
            let mut value = value.unwrap_or_default();
            if !is_last {
                value.onward = "";
            } else if words.peek().is_some() && value.text.is_some() {
                value.text = Some(value.onward.into());
            }
            filled.push(Value { instead, ..value });
        }
        filled
    }
}
