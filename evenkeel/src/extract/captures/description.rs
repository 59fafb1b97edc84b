//! What words or groups are for, as a type has it.

use regex::Regex;
use serde::de::DeserializeOwned;

use super::groups::always_there;
use super::trace::{Origin, Place, places};
use crate::command::{Described, ParameterKind};

/// What the words after a command are for.
pub(in crate::extract) fn words<T: DeserializeOwned>() -> Vec<Described> {
    let mut places = places::<T>(Origin::Words);
    let is_word = |place: &Place| place.kind != Some(ParameterKind::File);
    if let Some(last) = places.iter_mut().rfind(|place| is_word(place))
        && !last.is_list
        && last.kind.as_ref().is_none_or(|kind| *kind == ParameterKind::Word)
    {
        last.kind = Some(ParameterKind::Remainder);
    }
    // A word in the middle cannot be left out: the next one would take its place.
    let is_followed = |behind: &[Place]| behind.iter().any(|place| is_word(place) && !place.is_optional);
    let is_required = |index: usize| {
        let place: &Place = &places[index];
        !place.is_optional || (is_word(place) && is_followed(&places[index..]))
    };
    let is_required: Vec<_> = (0..places.len()).map(is_required).collect();
    places.into_iter().zip(is_required).map(|(place, is_required)| described(place, is_required)).collect()
}

/// What the groups of a pattern are for, in their order.
pub(in crate::extract) fn groups<T: DeserializeOwned>(regex: &Regex) -> Vec<Described> {
    let names: Vec<_> = regex.capture_names().skip(1).collect();
    let is_always = always_there(regex);
    let group = |(index, mut place): (usize, Place)| {
        let named = place.name.as_ref().and_then(|name| names.iter().position(|one| *one == Some(name)));
        let group = named.unwrap_or(index);
        let name = names.get(group).copied().flatten();
        place.name = place.name.or_else(|| name.map(str::to_owned));
        let is_required = !place.is_optional || is_always.get(group).copied().unwrap_or_default();
        (group, described(place, is_required))
    };
    let places = places::<T>(Origin::Groups(&names));
    let mut groups: Vec<_> = places.into_iter().enumerate().map(group).collect();
    groups.sort_by_key(|(group, _)| *group);
    groups.into_iter().map(|(_, described)| described).collect()
}

fn described(place: Place, is_required: bool) -> Described {
    let Place { name, type_name, kind, is_list, .. } = place;
    let kind = kind.unwrap_or(ParameterKind::Word);
    Described { name, type_name, kind, is_required, is_list, about: None }
}

/// Says which choice nobody can make.
pub(super) fn check_choices(described: &[Described]) -> Result<(), String> {
    let is_empty =
        |one: &&Described| matches!(&one.kind, ParameterKind::Choice(choices) if choices.is_empty());
    match described.iter().find(is_empty) {
        Some(one) => {
            let name = one.type_name.unwrap_or("choice");
            Err(format!(
                "no text gives a `{name}`: each of its variants holds a value, or it refuses them all"
            ))
        }
        None => Ok(()),
    }
}

/// The same, and which group cannot be what it is to be.
pub(super) fn check_groups(described: &[Described]) -> Result<(), String> {
    if described.iter().any(|one| one.kind == ParameterKind::File) {
        return Err("a file is in no group: take it from `Message`, or with `Args` behind a command".into());
    }
    check_choices(described)
}
