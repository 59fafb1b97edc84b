//! One place, which says what it is asked for.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::super::value::{Instead, Misfit, Value, is_duration};
use super::notes::{Notes, Place};
use crate::command::ParameterKind;
use crate::event::{ATTACHMENT, Attachment, CONVERSATION, PERSON};

/// What a place is given, one after another, until it takes one; a choice is given each of its own.
pub(super) const PROBES: [&str; 7] =
    ["0", "1", "a", "2026-01-01", "12:00", "127.0.0.1", "https://example.org"];

/// Notes what it is asked for, and gives what a text gives.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) notes: &'a RefCell<Notes>,
    pub(super) place: usize,
    /// Which of the made-up texts.
    pub(super) probe: usize,
    pub(super) role: Role,
}

/// What stands in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A word, or several.
    Word,
    /// A group of a pattern.
    Group,
    /// One word of a list.
    Element,
}

impl Ask<'_> {
    /// Notes what is asked for; what was asked for first counts.
    fn note(self, change: impl FnOnce(&mut Place)) {
        change(self.notes.borrow_mut().place(self.place));
    }

    fn named(self, name: &'static str) {
        self.note(|place| {
            place.type_name.get_or_insert(name);
        });
    }

    fn is(self, kind: ParameterKind) -> Value<'static> {
        let probe = match kind {
            ParameterKind::Boolean => "true",
            _ => PROBES.get(self.probe).copied().unwrap_or_default(),
        };
        self.note(|place| {
            place.kind.get_or_insert(kind);
        });
        Value { text: Some(probe.into()), ..Value::default() }
    }
}

/// What is asked for, and the kind that it is.
macro_rules! asked {
    ($($method:ident $kind:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.is($kind).$method(visitor)
        }
    )*};
}

/// The range of a whole number of this type.
macro_rules! range {
    ($type:ty) => {
        ParameterKind::Integer(<$type>::MIN.into()..=<$type>::MAX.into())
    };
}

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = Misfit;

    asked! {
        deserialize_bool ParameterKind::Boolean;
        deserialize_i8 range!(i8);
        deserialize_i16 range!(i16);
        deserialize_i32 range!(i32);
        deserialize_i64 range!(i64);
        deserialize_i128 ParameterKind::Integer(i128::MIN..=i128::MAX);
        deserialize_u8 range!(u8);
        deserialize_u16 range!(u16);
        deserialize_u32 range!(u32);
        deserialize_u64 range!(u64);
        deserialize_u128 ParameterKind::Integer(0..=i128::MAX);
        deserialize_f32 ParameterKind::Number;
        deserialize_f64 ParameterKind::Number;
        deserialize_char ParameterKind::Letter;
        deserialize_any ParameterKind::Word;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.role != Role::Element {
            self.note(|place| place.is_optional = true);
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if name == PERSON {
            return self.is(ParameterKind::Person).deserialize_newtype_struct(name, visitor);
        }
        self.named(name);
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.named(name);
        let choices = variants.iter().map(|variant| (*variant).to_owned()).collect();
        let value = self.is(ParameterKind::Choice(choices));
        let text = variants.get(self.probe).map(|variant| (*variant).into());
        Value { text, ..value }.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if is_duration(name, fields) {
            let value = self.is(ParameterKind::Duration);
            return Value { text: Some("1s".into()), ..value }.deserialize_struct(name, fields, visitor);
        }
        match name {
            CONVERSATION => self.is(ParameterKind::Destination).deserialize_struct(name, fields, visitor),
            ATTACHMENT => {
                let file = Attachment {
                    id: "0".into(),
                    name: None,
                    content_type: "text/plain".to_owned(),
                    size_bytes: None,
                };
                let value = self.is(ParameterKind::File);
                let value = Value { instead: Some(Instead::File(&file)), ..value };
                value.deserialize_struct(name, fields, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.role != Role::Word {
            return self.deserialize_any(visitor);
        }
        self.note(|place| place.is_list = true);
        visitor.visit_seq(Elements(Some(Self { role: Role::Element, ..self })))
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

/// A list of one, whose element says what all of them are.
struct Elements<'a>(Option<Ask<'a>>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        self.0.take().map(|ask| seed.deserialize(ask)).transpose()
    }
}
