//! What a bot can be asked for, as plain data: for a network that wants to know its commands, for a help text, for a page.

mod usage;
mod parameters;

use std::fmt;
use std::ops::RangeInclusive;

pub use parameters::Parameters;
pub(crate) use parameters::{Described, Takes, Typed};

/// What one trigger with its handler looks like from outside. [`App::specs`](crate::App::specs) has all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandSpec {
    /// The name in help, metrics and logs, with the words of `nest` before it. It is what is written as well, unless the
    /// author said otherwise with [`Trigger::name`](crate::Trigger::name).
    pub name: String,
    /// What kind of text it is.
    pub trigger: TriggerKind,
    /// What people write, the words of `nest` included. Empty for a pattern.
    pub spelling: String,
    /// What they may write as well.
    pub aliases: Vec<String>,
    /// One line about it.
    pub about: Option<String>,
    /// How it is written: as the author says, or else as its parameters do, `!order <count> [note]`. `None` for a pattern of which
    /// the author does not say it.
    pub usage: Option<String>,
    /// What its handler takes, in the order in which it is written.
    pub parameters: Vec<Parameter>,
    /// Who may use it, by id or alias; anybody if `None`. For others it does not exist.
    pub senders: Option<Vec<String>>,
    /// The conversations in which it exists, by id; all if `None`.
    pub conversations: Option<Vec<String>>,
    /// Whether no list shows it.
    pub is_hidden: bool,
    /// What people may be shown before it has answered.
    pub deferral: Deferral,
}

/// One line: how it is written, and what it is about.
impl fmt::Display for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.usage.as_ref().unwrap_or(&self.name))?;
        match &self.about {
            Some(about) => write!(f, ": {about}"),
            None => Ok(()),
        }
    }
}

/// What kind of text a trigger matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TriggerKind {
    /// One that begins with certain words; what follows them are its parameters.
    Command,
    /// One that is a certain text and no more.
    Exact,
    /// One in which a pattern is found, whose groups are its parameters.
    Pattern,
}

/// What a network that wants an answer within seconds may be told while a handler takes longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deferral {
    /// That the bot is at work, for everybody in the conversation to see.
    #[default]
    Visible,
    /// The same, for the person who asks alone: nobody else sees the answer.
    Ephemeral,
    /// Nothing: the answer itself has to be the first thing that goes out.
    Never,
}

/// One thing that a handler takes from what people write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameter {
    /// What it is called.
    pub name: String,
    /// What it has to be.
    pub kind: ParameterKind,
    /// Whether the command cannot do without it.
    pub is_required: bool,
    /// Whether there may be several, to the end of the text.
    pub is_list: bool,
    /// What it is for.
    pub about: Option<String>,
}

/// What a parameter has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterKind {
    /// A word, or several in quotes. Also what nothing more is known about: the author's type may want a certain form.
    Word,
    /// All that is left of the text, as it was written.
    Remainder,
    /// One letter.
    Letter,
    /// A whole number. A range that ends at [`i128::MAX`] may go on beyond it.
    Integer(RangeInclusive<i128>),
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A length of time such as `2h30m`.
    Duration,
    /// One of these, in whatever case.
    Choice(Vec<String>),
    /// A person: somebody who is mentioned, or whose id is written.
    Person,
    /// A conversation to write in, by its id or by the person it is with.
    Destination,
    /// A file that comes with the message, and is no part of its text.
    File,
}

impl Parameter {
    /// One that is required.
    pub fn new(name: impl Into<String>, kind: ParameterKind) -> Self {
        Self { name: name.into(), kind, is_required: true, is_list: false, about: None }
    }

    /// One that may be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_required = false;
        self
    }

    /// Any number of them, to the end of the text.
    #[must_use]
    pub fn list(mut self) -> Self {
        self.is_list = true;
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }
}

/// A text, by its name alone.
impl From<&str> for Parameter {
    fn from(name: &str) -> Self {
        Self::new(name, ParameterKind::Word)
    }
}

/// A text, by its name and what it is for.
impl From<(&str, &str)> for Parameter {
    fn from((name, about): (&str, &str)) -> Self {
        Self::from(name).about(about)
    }
}

impl TriggerKind {
    /// How something is written whose author does not say it: nobody reads patterns.
    pub(crate) fn usage(self, spelling: &str, parameters: &[Parameter]) -> Option<String> {
        match self {
            Self::Command => Some(usage::line(spelling, parameters)),
            Self::Exact => Some(spelling.to_owned()),
            Self::Pattern => None,
        }
    }
}

/// For people: `a whole number from 0 to 255`.
impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word | Self::Remainder => "text",
            Self::Letter => "a letter",
            Self::Integer(range) => return integer(range, f),
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
            Self::Duration => "a length of time such as `10s`, `5m`, `2h30m` or `1d`",
            Self::Choice(choices) => return choice(choices, f),
            Self::Person => "a person",
            Self::Destination => "a conversation",
            Self::File => "a file",
        })
    }
}

/// Bounds that a person may run into are told, those of the machine are not.
fn integer(range: &RangeInclusive<i128>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const LARGE: i128 = u16::MAX as i128;
    let (least, most) = (*range.start(), *range.end());
    match (least >= -LARGE, most <= LARGE) {
        (true, true) => write!(f, "a whole number from {least} to {most}"),
        (true, false) => write!(f, "a whole number from {least} up"),
        (false, true) => write!(f, "a whole number up to {most}"),
        (false, false) => f.write_str("a whole number"),
    }
}

fn choice(choices: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, choice) in choices.iter().enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == choices.len() => " or ",
            _ => ", ",
        };
        write!(f, "{before}`{choice}`")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_in_the_words_of_people() {
        for (kind, expected) in [
            (ParameterKind::Integer(0..=255), "a whole number from 0 to 255"),
            (ParameterKind::Integer(0..=u64::MAX.into()), "a whole number from 0 up"),
            (ParameterKind::Integer(i128::MIN..=9), "a whole number up to 9"),
            (ParameterKind::Integer(i64::MIN.into()..=i64::MAX.into()), "a whole number"),
            (ParameterKind::Choice(["a", "b", "c"].map(String::from).into()), "`a`, `b` or `c`"),
            (ParameterKind::Choice(vec!["a".into()]), "`a`"),
        ] {
            assert_eq!(kind.to_string(), expected);
        }
    }
}
