//! What one pass gives, and what is known after it.

use crate::command::ParameterKind;

/// Where the values come from.
#[derive(Clone, Copy)]
pub(in super::super) enum Origin<'a> {
    /// Words after a command.
    Words,
    /// Groups of a pattern, some of which have names.
    Groups(&'a [Option<&'a str>]),
}

/// One value that a type asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Place {
    pub(in super::super) name: Option<String>,
    /// What the author calls its type.
    pub(in super::super) type_name: Option<&'static str>,
    /// Unknown where no pass has come so far.
    pub(in super::super) kind: Option<ParameterKind>,
    /// Whether it may be left out.
    pub(in super::super) is_optional: bool,
    /// Whether it is all words that are left.
    pub(in super::super) is_list: bool,
}

/// What one pass gives.
#[derive(Default)]
pub(super) struct Feed {
    /// The fields, in this order.
    pub(super) fields: Vec<usize>,
    /// For each place, which of the made-up texts.
    pub(super) probes: Vec<usize>,
    /// Whether a list gets nothing.
    pub(super) is_empty: bool,
}

impl Feed {
    pub(super) fn probe(&self, place: usize) -> usize {
        self.probes.get(place).copied().unwrap_or_default()
    }
}

/// What a type as a whole is.
#[derive(Clone, Default)]
pub(super) enum Shape {
    /// One value or several, in order.
    #[default]
    Row,
    /// Any number of values.
    List,
    /// Values by the names of its fields, in the order in which they are declared.
    Fields(Vec<String>),
    /// Values by the names of the groups.
    Map(Vec<String>),
}

/// What is known by now.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) shape: Shape,
    /// What the author calls the type as a whole.
    pub(super) type_name: Option<&'static str>,
    pub(super) places: Vec<Place>,
    /// The place that did not take its text in this pass.
    pub(super) refused: Option<usize>,
}

impl Notes {
    pub(super) fn place(&mut self, index: usize) -> &mut Place {
        if self.places.len() <= index {
            self.places.resize_with(index + 1, Place::default);
        }
        &mut self.places[index]
    }
}
