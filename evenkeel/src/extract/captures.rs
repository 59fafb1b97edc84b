//! Turns what a pattern caught, or the words after a command, into the author's types.

use std::borrow::Cow;
use std::fmt;

use regex::Regex;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// Fills `T` from the groups of a match.
pub(super) fn from_groups<T: DeserializeOwned>(
    regex: &Regex,
    groups: &regex::Captures<'_>,
) -> Result<T, String> {
    let texts = groups.iter().skip(1).map(|group| group.map(|group| Cow::Borrowed(group.as_str())));
    let values = regex.capture_names().skip(1).zip(texts).map(|(name, text)| Value { name, text });
    T::deserialize(Values { values: values.collect(), source: Source::Groups })
        .map_err(|misfit| misfit.told("This"))
}

/// Fills `T` from words after a command, one after another; what is left over goes to the last place.
pub(super) fn from_words<T: DeserializeOwned>(command: &str, words: &[String]) -> Result<T, String> {
    let values = words.iter().map(|word| Value { name: None, text: Some(Cow::Borrowed(word.as_str())) });
    T::deserialize(Values { values: values.collect(), source: Source::Words })
        .map_err(|misfit| misfit.told(&format!("`{command}`")))
}

/// Says why no match of `regex` can ever fill a `T`.
///
/// Fills a `T` from made-up text: texts that do not parse tell nothing, missing fields and groups do.
pub(super) fn check<T: DeserializeOwned>(regex: &Regex) -> Result<(), String> {
    let value = |name| Value { name, text: Some(Cow::Borrowed("0")) };
    let values: Vec<_> = regex.capture_names().skip(1).map(value).collect();
    let names = values.iter().filter_map(|value| value.name).collect::<Vec<_>>().join("`, `");
    let groups = values.len();
    match T::deserialize(Values { values, source: Source::Probe }) {
        Err(Misfit::Missing(field)) if names.is_empty() => {
            Err(format!("the field `{field}` has no group: name one with `(?P<{field}>..)`"))
        }
        Err(Misfit::Missing(field)) => {
            Err(format!("the field `{field}` has no group: the groups of the pattern are `{names}`"))
        }
        Err(Misfit::Count { wanted }) => {
            Err(format!("the handler takes {wanted} values, and the pattern has {groups} groups"))
        }
        Err(Misfit::Text(_)) | Ok(_) => Ok(()),
    }
}

/// Why values do not fill a type.
#[derive(Debug)]
enum Misfit {
    /// A field for which there is no group of its name.
    Missing(&'static str),
    /// The type wants another number of values.
    Count { wanted: usize },
    /// A text that does not parse; the sentence is for the person who wrote it.
    Text(String),
}

impl Misfit {
    /// For the person who wrote to `taker`.
    fn told(self, taker: &str) -> String {
        match self {
            Self::Missing(field) => format!("`{field}` is missing."),
            Self::Count { wanted: 1 } => format!("{taker} takes 1 word."),
            Self::Count { wanted } => format!("{taker} takes {wanted} words."),
            Self::Text(text) => text,
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

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// A text with the name of its group, or nothing if the group took no part.
struct Value<'a> {
    name: Option<&'a str>,
    text: Option<Cow<'a, str>>,
}

/// All values, before anybody knows which shape they are to fill.
struct Values<'a> {
    values: Vec<Value<'a>>,
    source: Source,
}

/// Where the values come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The groups of a match.
    Groups,
    /// The words after a command.
    Words,
    /// Made up, to see whether the shape fits.
    Probe,
}

impl<'a> Values<'a> {
    fn single(self) -> Result<Value<'a>, Misfit> {
        let mut fitted = self.fit(1)?.into_iter();
        fitted.next().ok_or(Misfit::Count { wanted: 1 })
    }

    /// Exactly `wanted` values; surplus words become a part of the last one.
    fn fit(mut self, wanted: usize) -> Result<Vec<Value<'a>>, Misfit> {
        if self.source == Source::Words && self.values.len() > wanted && wanted > 0 {
            let rest = self.values.drain(wanted - 1..).filter_map(|value| value.text);
            let text = Some(Cow::Owned(rest.collect::<Vec<_>>().join(" ")));
            self.values.push(Value { name: None, text });
        }
        if self.values.len() == wanted { Ok(self.values) } else { Err(Misfit::Count { wanted }) }
    }
}

/// A single value is the shape for these.
macro_rules! single {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.single()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Values<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Row(self.values.into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Row(self.fit(len)?.into_iter()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let named = self.values.into_iter().filter(|value| value.name.is_some());
        // A group that took no part is left out, so that `Option` and `#[serde(default)]` fields do as they say.
        let present = named.filter(|value| value.text.is_some()).collect::<Vec<_>>();
        visitor.visit_map(Fields { fields: present.into_iter(), next: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if self.source != Source::Words {
            return self.deserialize_map(visitor);
        }
        // Fewer words than fields may be right: `Option` and `#[serde(default)]` fields stand last.
        let count = self.values.len().min(fields.len());
        visitor.visit_seq(Row(self.fit(count)?.into_iter()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
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

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.values.is_empty() { visitor.visit_none() } else { self.single()?.deserialize_option(visitor) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }

    single! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_identifier
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }
}

/// Values in order.
struct Row<'a>(std::vec::IntoIter<Value<'a>>);

impl<'de> SeqAccess<'de> for Row<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        self.0.next().map(|value| seed.deserialize(value)).transpose()
    }
}

/// Values by name.
struct Fields<'a> {
    fields: std::vec::IntoIter<Value<'a>>,
    next: Option<Value<'a>>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        self.next = self.fields.next();
        let name = self.next.as_ref().and_then(|value| value.name);
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let value =
            self.next.take().ok_or_else(|| Misfit::custom("a value was asked for before its name"))?;
        seed.deserialize(value)
    }
}

impl Value<'_> {
    fn text(&self) -> Result<&str, Misfit> {
        self.text.as_deref().ok_or_else(|| Misfit::Text("Something is missing.".into()))
    }

    fn parse<T: std::str::FromStr>(&self, wanted: &str) -> Result<T, Misfit> {
        let text = self.text()?;
        text.parse().map_err(|_| Misfit::Text(format!("`{text}` is not {wanted}.")))
    }
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
        if self.text.is_some() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let text = self.text()?;
        match variants.iter().find(|variant| variant.eq_ignore_ascii_case(text)) {
            Some(variant) => visitor.visit_enum(Variant(variant)),
            None => Err(Misfit::Text(format!("`{text}` is none of `{}`.", variants.join("`, `")))),
        }
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct City {
        city: String,
        days: Option<u8>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Unit {
        Metric,
        Imperial,
    }

    fn take<T: DeserializeOwned>(pattern: &str, text: &str) -> Result<T, String> {
        let regex = Regex::new(pattern).expect("a pattern");
        let groups = regex.captures(text).expect("a match");
        from_groups(&regex, &groups)
    }

    fn fits<T: DeserializeOwned>(pattern: &str) -> Result<(), String> {
        check::<T>(&Regex::new(pattern).expect("a pattern"))
    }

    #[test]
    fn named_groups_fill_a_struct() {
        let pattern = r"^!w (?P<city>\w+)( (?P<days>\d+))?$";
        assert_eq!(take(pattern, "!w Oslo 3"), Ok(City { city: "Oslo".into(), days: Some(3) }));
        assert_eq!(take(pattern, "!w Oslo"), Ok(City { city: "Oslo".into(), days: None }));
        assert_eq!(
            take::<City>(pattern, "!w Oslo 300"),
            Err("`300` is not a whole number from 0 to 255.".into())
        );
    }

    #[test]
    fn numbered_groups_fill_a_tuple_and_one_group_a_value() {
        assert_eq!(take(r"(\w+) (\d+)", "a 7"), Ok(("a".to_owned(), 7u64)));
        assert_eq!(take(r"(\d+)", "7"), Ok(7u32));
        assert_eq!(take(r"(\d+)", "7"), Ok((7u32,)));
        assert_eq!(take(r"(\w+)", "IMPERIAL"), Ok(Unit::Imperial));
        assert_eq!(take::<Unit>(r"(\w+)", "x"), Err("`x` is none of `metric`, `imperial`.".into()));
    }

    #[test]
    fn words_fill_a_list_a_tuple_or_a_struct() {
        let words = ["Oslo".to_owned(), "3".to_owned()];
        assert_eq!(from_words("!weather", &words), Ok(vec!["Oslo".to_owned(), "3".to_owned()]));
        assert_eq!(from_words("!weather", &words), Ok(("Oslo".to_owned(), 3i8)));
        assert_eq!(from_words("!weather", &words), Ok(City { city: "Oslo".into(), days: Some(3) }));
        assert_eq!(
            from_words("!weather", &words),
            Ok(("Oslo 3".to_owned(),)),
            "the last place takes what is left"
        );
        assert_eq!(
            from_words::<(String, u8, u8)>("!weather", &words),
            Err("`!weather` takes 3 words.".into())
        );
        assert_eq!(from_words::<(u8,)>("!roll", &[]), Err("`!roll` takes 1 word.".into()));
    }

    #[test]
    fn shapes_that_can_never_fit_are_told_at_start_up() {
        assert_eq!(fits::<City>(r"(?P<city>.+)"), Ok(()), "`days` may be missing");
        let missing = "the field `city` has no group: the groups of the pattern are `town`";
        assert_eq!(fits::<City>(r"(?P<town>.+)"), Err(missing.into()));
        let unnamed = "the field `city` has no group: name one with `(?P<city>..)`";
        assert_eq!(fits::<City>(r"(.+)"), Err(unnamed.into()));
        let count = "the handler takes 2 values, and the pattern has 1 groups";
        assert_eq!(fits::<(u8, u8)>(r"(\d+)"), Err(count.into()));
        assert_eq!(fits::<u8>(r"(\d+)"), Ok(()));
        assert_eq!(fits::<Vec<String>>(r"(\d+) (\d+)"), Ok(()));
    }
}
