//! One value, from one text.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use serde::de::value::SeqDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
};
use serde::{Serialize, forward_to_deserialize_any};

use super::super::words::split;
use crate::event::{ATTACHMENT, Attachment, CONVERSATION, Conversation, Event, PERSON, Sender};
use crate::text::{Case, fold, trim};

/// Why values do not fill a type.
#[derive(Debug)]
pub(super) enum Misfit {
    /// A field for which there is no group of its name.
    Missing(&'static str),
    /// A field that was given under two of its names.
    Duplicate(&'static str),
    /// The type wants another number of values.
    Count { wanted: usize },
    /// A value that nobody gave.
    Absent,
    /// A text that does not parse; the sentence is for the person who wrote it.
    Text(String),
    /// The type is none that a text can fill; why, for the author.
    Shape(String),
}

impl Misfit {
    /// For the person who wrote to `taker`.
    pub(super) fn told(self, taker: &str) -> String {
        match self {
            Self::Missing(field) => format!("`{field}` is missing."),
            Self::Duplicate(field) => format!("`{field}` is there twice."),
            Self::Count { wanted: 1 } => format!("{taker} takes 1 word."),
            Self::Count { wanted } => format!("{taker} takes {wanted} words."),
            Self::Absent => "Something is missing.".to_owned(),
            Self::Text(text) => text,
            Self::Shape(why) => format!("That does not fit: {why}."),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Text(format!("That does not fit: {message}."))
    }

    fn invalid_type(unexpected: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::Shape(format!("{unexpected} is not {expected}"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::Duplicate(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// A text with the name of its group, or nothing if the group took no part.
#[derive(Clone, Default)]
pub(super) struct Value<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) text: Option<Cow<'a, str>>,
    /// From a word to the end of what was written.
    pub(super) onward: &'a str,
    /// What people and conversations in the text are looked for in.
    pub(super) event: Option<&'a Event>,
    /// What stands in the place of a text.
    pub(super) instead: Option<Instead<'a>>,
}

/// What fills a place that has no text.
#[derive(Clone, Copy)]
pub(super) enum Instead<'a> {
    Person(&'a Sender),
    File(&'a Attachment),
    Files(&'a [Attachment]),
}

/// What a person reads who sent no file.
const NO_FILE: &str = "A file is missing: write this below the file that you send.";

/// A digit as people type it, full width included.
fn is_digit(letter: char) -> bool {
    letter.is_ascii_digit() || ('\u{ff10}'..='\u{ff19}').contains(&letter)
}

/// Whether a struct is the standard library's `Duration`, as serde names it.
pub(super) fn is_duration(name: &str, fields: &[&str]) -> bool {
    name == "Duration" && fields == ["secs", "nanos"]
}

/// Whether a struct is one value, and not one for each field.
pub(super) fn is_value(name: &str, fields: &[&str]) -> bool {
    is_duration(name, fields) || name == CONVERSATION || name == ATTACHMENT
}

impl Value<'_> {
    fn text(&self) -> Result<&str, Misfit> {
        self.text.as_deref().ok_or(Misfit::Absent)
    }

    /// Reads the text as it is written, or else as it is meant: full width, case and what nobody sees aside.
    fn parse<T: std::str::FromStr>(&self, wanted: &str) -> Result<T, Misfit> {
        let text = self.text()?;
        let meant = |case| fold(text, case).replace('\u{2212}', "-").parse().ok();
        // What only looks like a digit somewhere, such as a square, is none.
        let is_plain = text.chars().all(|letter| !letter.is_numeric() || is_digit(letter));
        let meant = |case| is_plain.then(|| meant(case)).flatten();
        let parsed = text.parse().ok().or_else(|| meant(Case::Kept)).or_else(|| meant(Case::Lower));
        parsed.ok_or_else(|| Misfit::Text(format!("`{text}` is not {wanted}.")))
    }

    /// `2h30m`, in seconds and nanoseconds. A month and a year are no certain length.
    fn duration(&self) -> Result<[u64; 2], Misfit> {
        let text = self.text()?;
        let parse = || {
            let span: Span = fold(text, Case::Lower).parse().ok()?;
            let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
            Duration::try_from(length).ok()
        };
        let misfit = || format!("`{text}` is not a length of time such as `10s`, `5m`, `2h30m` or `1d`.");
        let length = parse().ok_or_else(|| Misfit::Text(misfit()))?;
        Ok([length.as_secs(), length.subsec_nanos().into()])
    }
}

/// What no text alone can give.
impl<'a> Value<'a> {
    pub(super) fn is_given(&self) -> bool {
        self.text.is_some() || self.instead.is_some()
    }

    pub(super) fn is_mention(&self) -> bool {
        self.mentioned().is_some()
    }

    fn mentioned(&self) -> Option<&'a Sender> {
        match &self.text {
            Some(Cow::Borrowed(text)) => self.event?.message()?.mentioned_in(text),
            _ => None,
        }
    }

    fn person(&self) -> Result<Cow<'a, Sender>, Misfit> {
        if let Some(Instead::Person(who)) = self.instead {
            return Ok(Cow::Borrowed(who));
        }
        match self.mentioned() {
            Some(who) => Ok(Cow::Borrowed(who)),
            None => Ok(Cow::Owned(Sender::new(self.id("a person")?))),
        }
    }

    /// A written id is that of a group: with one person, that person is mentioned.
    fn conversation(&self) -> Result<Conversation, Misfit> {
        let here = self.event.map(Event::conversation);
        let network = here.map_or("", Conversation::network);
        if let Some(who) = self.mentioned() {
            return Ok(Conversation::direct(who.id()).with_network(network));
        }
        let id = self.id("a conversation")?;
        let here = here.filter(|here| here.id() == id);
        Ok(here.cloned().unwrap_or_else(|| Conversation::group(id).with_network(network)))
    }

    fn id(&self, what: &str) -> Result<&str, Misfit> {
        let id = trim(self.text()?);
        // What begins like a mention is one that the network did not understand.
        if id.is_empty() || id.contains(char::is_whitespace) || id.starts_with(['@', '\u{fffc}']) {
            return Err(Misfit::Text(format!("`{id}` is nobody I know: mention {what}, or write the id.")));
        }
        Ok(id)
    }

    fn file(&self) -> Result<&'a Attachment, Misfit> {
        match self.instead {
            Some(Instead::File(file)) => Ok(file),
            _ => Err(Misfit::Text(NO_FILE.to_owned())),
        }
    }
}

/// What is ours, in the form in which serde takes it.
fn json(value: &impl Serialize) -> Result<serde_json::Value, Misfit> {
    serde_json::to_value(value).map_err(Misfit::custom)
}

/// Values that are parsed from their text.
macro_rules! parsed {
    ($($method:ident $visit:ident $wanted:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            visitor.$visit(self.parse($wanted)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Misfit;

    parsed! {
        deserialize_bool visit_bool "`true` or `false`";
        deserialize_i8 visit_i8 "a whole number from -128 to 127";
        deserialize_i16 visit_i16 "a whole number from -32768 to 32767";
        deserialize_i32 visit_i32 "a whole number of that size";
        deserialize_i64 visit_i64 "a whole number of that size";
        deserialize_i128 visit_i128 "a whole number of that size";
        deserialize_u8 visit_u8 "a whole number from 0 to 255";
        deserialize_u16 visit_u16 "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 "a whole number from 0 up of that size";
        deserialize_u64 visit_u64 "a whole number from 0 up of that size";
        deserialize_u128 visit_u128 "a whole number from 0 up of that size";
        deserialize_f32 visit_f32 "a number";
        deserialize_f64 visit_f64 "a number";
        deserialize_char visit_char "a single letter";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.is_given() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if name == PERSON {
            return visitor.visit_newtype_struct(json(&*self.person()?)?).map_err(Misfit::custom);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let text = self.text()?;
        let wanted = fold(text, Case::Lower);
        match variants.iter().find(|variant| fold(variant, Case::Lower) == wanted) {
            Some(variant) => visitor.visit_enum(Variant(variant)),
            None => Err(Misfit::Text(format!("`{text}` is none of `{}`.", variants.join("`, `")))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if is_duration(name, fields) {
            let parts = self.duration()?.into_iter();
            return visitor.visit_seq(SeqDeserializer::<_, Misfit>::new(parts));
        }
        let ours = match name {
            CONVERSATION => json(&self.conversation()?)?,
            ATTACHMENT => json(self.file()?)?,
            _ => return self.deserialize_any(visitor),
        };
        ours.deserialize_struct(name, fields, visitor).map_err(Misfit::custom)
    }

    /// A list in the last place is all words that are left.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if let Some(Instead::Files(files)) = self.instead {
            let file = |file| Value { instead: Some(Instead::File(file)), ..Value::default() };
            return visitor.visit_seq(SeqDeserializer::new(files.iter().map(file)));
        }
        if self.onward.is_empty() {
            return self.deserialize_any(visitor);
        }
        let event = self.event;
        let words = split(self.onward).into_iter();
        let values = words.map(|word| Value { text: Some(word.text.into()), event, ..Value::default() });
        visitor.visit_seq(SeqDeserializer::new(values))
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A variant without content, chosen by its name.
struct Variant(&'static str);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Misfit> {
        Err(Misfit::custom("a choice cannot hold a value here"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Misfit> {
        Err(Misfit::custom("a choice cannot hold values here"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Misfit> {
        Err(Misfit::custom("a choice cannot hold values here"))
    }
}
