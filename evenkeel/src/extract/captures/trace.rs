//! Asks a type of the author's what it is made of.
//!
//! Serde has no question for that. But a type that is to be filled says what it wants next: the names of its fields, and for
//! each place a number of this width, one of these choices, a text. So it is filled from made-up texts, again and again. A
//! visitor stops at the first text that it does not take, which is why each field is given first in a pass of its own, and each
//! place is given other texts until it takes one. Whether a field may be left out is seen by leaving it out.

mod notes;
mod ask;
mod whole;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use super::value::Misfit;
use crate::command::ParameterKind;
use notes::{Feed, Notes, Shape};
pub(super) use notes::{Origin, Place};
use whole::Whole;

/// All that a `T` asks for: in the order of its fields, or of the groups where it takes whatever there is.
pub(super) fn places<T: DeserializeOwned>(origin: Origin<'_>) -> Vec<Place> {
    let tracer = Tracer { origin, notes: RefCell::default() };
    let mut feed = Feed::default();
    let _first = tracer.pass::<T>(&feed);
    let shape = tracer.notes.borrow().shape.clone();
    match &shape {
        Shape::Row => tracer.row::<T>(&mut feed),
        Shape::List => {
            tracer.row::<T>(&mut feed);
            feed.is_empty = true;
            let is_optional = matches!(tracer.pass::<T>(&feed), Some(Ok(())));
            tracer.notes.borrow_mut().places.iter_mut().for_each(|place| place.is_optional |= is_optional);
        }
        Shape::Fields(names) | Shape::Map(names) => {
            tracer.fields::<T>(names, matches!(shape, Shape::Map(_)));
        }
    }
    tracer.notes.into_inner().places
}

struct Tracer<'a> {
    origin: Origin<'a>,
    notes: RefCell<Notes>,
}

impl Tracer<'_> {
    /// Fills a `T` once; `None` if the author's code panics about a made-up text.
    fn pass<T: DeserializeOwned>(&self, feed: &Feed) -> Option<Result<(), Misfit>> {
        self.notes.borrow_mut().refused = None;
        let whole = Whole { origin: self.origin, notes: &self.notes, feed };
        catch_unwind(AssertUnwindSafe(|| T::deserialize(whole).map(drop))).ok()
    }

    /// Gives places in a row other texts until all take theirs, or one takes none.
    fn row<T: DeserializeOwned>(&self, feed: &mut Feed) {
        loop {
            let _tried = self.pass::<T>(feed);
            let (count, refused) = {
                let notes = self.notes.borrow();
                (notes.places.len(), notes.refused)
            };
            feed.probes.resize(count, 0);
            let Some(place) = refused.filter(|place| self.is_probed_on(*place, feed)) else { break };
            feed.probes[place] += 1;
        }
        for place in 0..feed.probes.len() {
            self.choices::<T>(place, feed);
        }
    }

    /// Whether there is another text for a place.
    fn is_probed_on(&self, place: usize, feed: &Feed) -> bool {
        let next = feed.probe(place) + 1;
        match self.notes.borrow().places.get(place).and_then(|place| place.kind.as_ref()) {
            Some(ParameterKind::Choice(choices)) => next < choices.len(),
            _ => next < ask::PROBES.len(),
        }
    }

    /// Leaves out the choices that no text can give, because they hold a value.
    fn choices<T: DeserializeOwned>(&self, place: usize, feed: &mut Feed) {
        let Some(ParameterKind::Choice(mut choices)) = self.notes.borrow().places[place].kind.clone() else {
            return;
        };
        let usual = feed.probe(place);
        let mut index = 0;
        choices.retain(|_| {
            feed.probes[place] = index;
            index += 1;
            let _tried = self.pass::<T>(feed);
            self.notes.borrow().refused != Some(place)
        });
        feed.probes[place] = usual;
        self.notes.borrow_mut().places[place].kind = Some(ParameterKind::Choice(choices));
    }

    /// Gives each field first, and other texts until it takes one; then leaves each out.
    fn fields<T: DeserializeOwned>(&self, names: &[String], is_map: bool) {
        let mut is_good = vec![true; names.len()];
        let mut feed = Feed { probes: vec![0; names.len()], ..Feed::default() };
        for (place, name) in names.iter().enumerate() {
            self.notes.borrow_mut().place(place).name = Some(name.clone());
            feed.fields = vec![place];
            loop {
                let _tried = self.pass::<T>(&feed);
                is_good[place] = self.notes.borrow().refused.is_none();
                if is_good[place] || !self.is_probed_on(place, &feed) {
                    break;
                }
                feed.probes[place] += 1;
            }
            self.choices::<T>(place, &mut feed);
        }
        for place in 0..names.len() {
            // A derived visitor misses its fields in their order: those behind need not be there.
            let others = (0..if is_map { names.len() } else { place }).filter(|other| *other != place);
            let is_left_out =
                |other: &usize| *other < place && self.notes.borrow().places[*other].is_optional;
            feed.fields = others.filter(|other| !is_left_out(other)).collect();
            // Nothing is known where one before it takes no text that is made up.
            if feed.fields.iter().all(|other| is_good[*other])
                && let Some(filled) = self.pass::<T>(&feed)
            {
                let is_missed = matches!(filled, Err(Misfit::Missing(name)) if name == names[place]);
                self.notes.borrow_mut().places[place].is_optional = !is_missed;
            }
        }
    }
}
