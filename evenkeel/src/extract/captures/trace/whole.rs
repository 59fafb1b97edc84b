//! A type as a whole, before it has said of which shape it is.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::super::value::{Misfit, is_value};
use super::ask::{Ask, Role};
use super::notes::{Feed, Notes, Origin, Shape};
use crate::event::PERSON;

/// Notes the shape, and gives each place to the one who asks for it.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) notes: &'a RefCell<Notes>,
    pub(super) feed: &'a Feed,
}

impl<'a> Whole<'a> {
    /// Lets a place be filled, and notes if it does not take its text.
    fn fill<R>(
        self,
        place: usize,
        role: Role,
        fill: impl FnOnce(Ask<'a>) -> Result<R, Misfit>,
    ) -> Result<R, Misfit> {
        let Self { notes, feed, .. } = self;
        notes.borrow_mut().place(place);
        let filled = fill(Ask { notes, place, probe: feed.probe(place), role });
        if filled.is_err() {
            notes.borrow_mut().refused = Some(place);
        }
        filled
    }

    fn role(self) -> Role {
        match self.origin {
            Origin::Words => Role::Word,
            Origin::Groups(_) => Role::Group,
        }
    }

    fn single<R>(self, fill: impl FnOnce(Ask<'a>) -> Result<R, Misfit>) -> Result<R, Misfit> {
        let mut notes = self.notes.borrow_mut();
        let type_name = notes.type_name;
        notes.place(0).type_name = type_name;
        drop(notes);
        self.fill(0, self.role(), fill)
    }

    fn by_name<'de, V: Visitor<'de>>(
        self,
        names: Vec<String>,
        shape: impl FnOnce(Vec<String>) -> Shape,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.notes.borrow_mut().shape = shape(names.clone());
        let fields = self.feed.fields.clone().into_iter();
        visitor.visit_map(Fields { whole: self, names, fields, next: 0 })
    }
}

/// A single value is the shape for these.
macro_rules! single {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.single(|ask| ask.$method(visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Whole<'_> {
    type Error = Misfit;

    single! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_identifier deserialize_option
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.notes.borrow_mut().shape = Shape::List;
        let (count, role) = match self.origin {
            Origin::Words => {
                self.notes.borrow_mut().place(0).is_list = true;
                (1, Role::Element)
            }
            Origin::Groups(names) => (names.len(), Role::Group),
        };
        let count = if self.feed.is_empty { 0 } else { count };
        visitor.visit_seq(Row { whole: self, role, next: 0, count })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Misfit> {
        if let Some(last) = count.checked_sub(1) {
            self.notes.borrow_mut().place(last);
        }
        visitor.visit_seq(Row { whole: self, role: self.role(), next: 0, count })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Origin::Groups(groups) = self.origin else {
            return Err(Misfit::Shape("words have no names".into()));
        };
        let names = groups.iter().flatten().map(|name| (*name).to_owned()).collect();
        self.by_name(names, Shape::Map, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if is_value(name, fields) {
            return self.single(|ask| ask.deserialize_struct(name, fields, visitor));
        }
        // A field without a group stays empty for ever.
        let is_given = |field: &&&'static str| match self.origin {
            Origin::Words => true,
            Origin::Groups(names) => names.contains(&Some(**field)),
        };
        let names = fields.iter().filter(is_given).map(|field| (*field).to_owned()).collect();
        self.by_name(names, Shape::Fields, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if name == PERSON {
            return self.single(|ask| ask.deserialize_newtype_struct(name, visitor));
        }
        self.notes.borrow_mut().type_name = Some(name);
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.single(|ask| ask.deserialize_enum(name, variants, visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }
}

/// Places in order.
struct Row<'a> {
    whole: Whole<'a>,
    role: Role,
    next: usize,
    count: usize,
}

impl<'de> SeqAccess<'de> for Row<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        if self.next == self.count {
            return Ok(None);
        }
        let place = self.next;
        self.next += 1;
        self.whole.fill(place, self.role, |ask| seed.deserialize(ask)).map(Some)
    }
}

/// Places by name.
struct Fields<'a> {
    whole: Whole<'a>,
    names: Vec<String>,
    fields: std::vec::IntoIter<usize>,
    /// The place whose name was asked for.
    next: usize,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(next) = self.fields.next() else { return Ok(None) };
        self.next = next;
        let name: &str = &self.names[next];
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        self.whole.fill(self.next, self.whole.role(), |ask| seed.deserialize(ask))
    }
}
