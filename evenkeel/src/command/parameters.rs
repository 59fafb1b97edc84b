//! What the arguments of a handler say that they take, and what each of it is called in the end.

use std::sync::Arc;

use regex::Regex;

use super::usage::{Placeholder, placeholders};
use super::{Parameter, ParameterKind, TriggerKind};

/// What the arguments of a handler say that they take; [`FromEvent::describe`](crate::FromEvent::describe) adds to it.
#[derive(Debug)]
pub struct Parameters {
    trigger: Option<TriggerKind>,
    pattern: Option<Arc<Regex>>,
    /// What the words or groups are taken for, once an argument has said so.
    taken: Option<Vec<Described>>,
    /// Where what is taken apart are words, and not all of its places are for words.
    typed: Option<Typed>,
    /// Whether an argument takes what follows the command as it is.
    has_rest: bool,
    /// Told by extractors of the author's.
    own: Vec<Described>,
}

/// What a place of a type takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Word,
    /// Somebody who is mentioned, or quoted, or whose id is a word.
    Person,
    /// A file of the message.
    File,
    /// All files that are left.
    Files,
}

impl Takes {
    pub(crate) fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Files)
    }
}

/// What the places of a type take that takes other things than words.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    /// The name of the type: layers may take the same text for another one.
    type_name: &'static str,
    takes: Vec<Takes>,
}

impl Typed {
    fn of(type_name: &'static str, described: &[Described]) -> Option<Self> {
        let takes = |one: &Described| match (&one.kind, one.is_list) {
            (ParameterKind::File, false) => Takes::File,
            (ParameterKind::File, true) => Takes::Files,
            (ParameterKind::Person, false) => Takes::Person,
            _ => Takes::Word,
        };
        let takes: Vec<_> = described.iter().map(takes).collect();
        takes.iter().any(|takes| *takes != Takes::Word).then_some(Self { type_name, takes })
    }

    /// What the places of a `T` take, if this is about it.
    pub(crate) fn takes<T>(&self) -> Option<&[Takes]> {
        (self.type_name == std::any::type_name::<T>()).then_some(&self.takes)
    }
}

/// A parameter that may be without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: Option<String>,
    /// What the author calls its type, if it is one of theirs.
    pub(crate) type_name: Option<&'static str>,
    pub(crate) kind: ParameterKind,
    pub(crate) is_required: bool,
    pub(crate) is_list: bool,
    pub(crate) about: Option<String>,
}

impl Parameters {
    pub(crate) fn new(trigger: Option<TriggerKind>, pattern: Option<Arc<Regex>>) -> Self {
        Self { trigger, pattern, taken: None, typed: None, has_rest: false, own: Vec::new() }
    }

    /// Adds one, behind those that are there.
    pub fn add(&mut self, parameter: Parameter) {
        let Parameter { name, kind, is_required, is_list, about } = parameter;
        self.own.push(Described { name: Some(name), type_name: None, kind, is_required, is_list, about });
    }

    /// What the handler waits for, if it is a text.
    pub(crate) fn trigger(&self) -> Option<TriggerKind> {
        self.trigger
    }

    /// The pattern whose groups are taken.
    pub(crate) fn pattern(&self) -> Option<&Regex> {
        self.pattern.as_deref()
    }

    /// Says what words or groups are taken for. A second argument that takes them apart sees the same ones again.
    pub(crate) fn take(&mut self, described: Vec<Described>) {
        self.taken.get_or_insert(described);
    }

    /// The same of the words that a `T` is filled from.
    pub(crate) fn take_words<T>(&mut self, described: Vec<Described>) {
        if self.taken.is_none() {
            self.typed = Typed::of(std::any::type_name::<T>(), &described);
            self.taken = Some(described);
        }
    }

    /// What was said so far of places that are not for words.
    pub(crate) fn typed(&self) -> Option<&Typed> {
        self.typed.as_ref()
    }

    /// Says that what follows the command is taken as it is.
    pub(crate) fn take_rest(&mut self) {
        self.has_rest |= self.trigger == Some(TriggerKind::Command);
    }

    /// Adds what `describe` adds, all of which may be left out.
    pub(crate) fn optionally(&mut self, describe: impl FnOnce(&mut Self)) {
        let mut inner = Self::new(self.trigger, self.pattern.clone());
        describe(&mut inner);
        let all = inner.taken.iter_mut().flatten().chain(&mut inner.own);
        all.for_each(|one| one.is_required = false);
        self.has_rest |= inner.has_rest;
        self.own.extend(inner.own);
        if self.taken.is_none() {
            (self.taken, self.typed) = (inner.taken, inner.typed);
        }
    }

    /// All of them, each with a name: that of the type, the author's, that in the usage, or one that says what it is.
    ///
    /// # Errors
    ///
    /// When the author's list does not fit what the handler takes.
    pub(crate) fn finish(self, given: &[Parameter], usage: Option<&str>) -> Result<Vec<Parameter>, String> {
        let Self { taken, has_rest, own, .. } = self;
        let places = usage.map(placeholders).unwrap_or_default();
        let mut described = taken.unwrap_or_default();
        if described.is_empty() && has_rest {
            described.push(rest(&places));
        }
        described.extend(own);
        if described.is_empty() {
            // The handler takes its text apart by itself: what it looks for is the author's to say.
            return distinct(given.to_vec());
        }
        let is_named = described.iter().all(|one| one.name.is_some());
        if !is_named && !given.is_empty() {
            name_in_order(&mut described, given)?;
        }
        let places = if places.len() == described.len() { &places[..] } else { &[] };
        let mut parameters = named(described, places);
        explain(&mut parameters, given)?;
        distinct(parameters)
    }
}

impl Described {
    /// What it is called where nobody calls it anything.
    fn usual_name(&self) -> String {
        let name = self.type_name.map_or_else(|| noun(&self.kind).to_owned(), snake_case);
        if self.is_list { name + "s" } else { name }
    }
}

/// What follows a command as it is. Only its author knows whether it may be empty, and may have said so in the usage.
fn rest(places: &[Placeholder<'_>]) -> Described {
    let is_required = matches!(places, [Placeholder { is_required: true, .. }]);
    let kind = ParameterKind::Remainder;
    Described { name: None, type_name: None, kind, is_required, is_list: false, about: None }
}

/// Names what has no name by its place in the author's list.
fn name_in_order(described: &mut [Described], given: &[Parameter]) -> Result<(), String> {
    let (taken, named) = (described.len(), given.len());
    if taken != named {
        return Err(format!("the handler takes {taken}, and {named} are named"));
    }
    for (one, given) in described.iter_mut().zip(given) {
        one.name.get_or_insert_with(|| given.name.clone());
    }
    Ok(())
}

/// Those without a name are called as their places in the usage, or what they are; and numbered where two would be called the
/// same.
fn named(described: Vec<Described>, places: &[Placeholder<'_>]) -> Vec<Parameter> {
    let name = |(index, one): (usize, &Described)| {
        let in_usage = || places.get(index)?.name.map(str::to_owned);
        one.name.clone().or_else(in_usage).unwrap_or_else(|| one.usual_name())
    };
    let names: Vec<_> = described.iter().enumerate().map(name).collect();
    let parameter = |(index, one): (usize, Described)| {
        let name = &names[index];
        let count = |names: &[String]| names.iter().filter(|other| *other == name).count();
        let is_clear = one.name.is_some() || count(&names) == 1;
        let name = if is_clear { name.clone() } else { format!("{name}{}", count(&names[..=index])) };
        let Described { kind, is_required, is_list, about, .. } = one;
        Parameter { name, kind, is_required, is_list, about }
    };
    described.into_iter().enumerate().map(parameter).collect()
}

/// Adds what the author says of each: what it is for, and what it is where the type does not tell.
fn explain(parameters: &mut [Parameter], given: &[Parameter]) -> Result<(), String> {
    for given in given {
        let Some(one) = parameters.iter_mut().find(|one| one.name == given.name) else {
            let names: Vec<_> = parameters.iter().map(|one| &*one.name).collect();
            return Err(format!(
                "`{}` is none of what the handler takes: `{}`",
                given.name,
                names.join("`, `")
            ));
        };
        one.about = given.about.clone().or(one.about.take());
        if matches!(one.kind, ParameterKind::Word | ParameterKind::Remainder)
            && given.kind != ParameterKind::Word
        {
            one.kind.clone_from(&given.kind);
        }
    }
    Ok(())
}

fn distinct(parameters: Vec<Parameter>) -> Result<Vec<Parameter>, String> {
    let is_repeated =
        |(index, one): &(usize, &Parameter)| parameters[..*index].iter().any(|other| other.name == one.name);
    match parameters.iter().enumerate().find(is_repeated) {
        Some((_, one)) => Err(format!("two are called `{}`", one.name)),
        None => Ok(parameters),
    }
}

fn noun(kind: &ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Word => "word",
        ParameterKind::Remainder => "text",
        ParameterKind::Letter => "letter",
        ParameterKind::Integer(_) | ParameterKind::Number => "number",
        ParameterKind::Boolean => "boolean",
        ParameterKind::Duration => "duration",
        ParameterKind::Choice(_) => "choice",
        ParameterKind::Person => "person",
        ParameterKind::Destination => "conversation",
        ParameterKind::File => "file",
    }
}

/// `FirstName` is `first_name`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        let is_within = snake.ends_with(|before: char| before.is_lowercase() || before.is_numeric());
        if letter.is_uppercase() && is_within {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
