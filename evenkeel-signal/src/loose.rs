//! Values that the wire may leave out, write as null, or write in another type than expected.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text; anything else counts as none. Borrows what has no escapes in it.
#[derive(Default)]
pub(crate) struct Text<'a>(pub(crate) Option<Cow<'a, str>>);

impl Text<'_> {
    /// Returns the text unless there is none or nothing is in it.
    pub(crate) fn filled(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.trim().is_empty())
    }
}

/// A number from 0, or such a number in a text; anything else counts as none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Number(pub(crate) Option<u64>);

/// `true`; anything else counts as `false`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flag(pub(crate) bool);

/// Whether there is anything but null.
#[derive(Clone, Copy, Default)]
pub(crate) struct Presence(pub(crate) bool);

macro_rules! loose {
    ($visitor:ident -> $out:ty, $none:expr; $($method:ident($arg:ty) $value:expr;)*) => {
        struct $visitor;

        impl<'de> Visitor<'de> for $visitor {
            type Value = $out;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            $(fn $method<E: Error>(self, value: $arg) -> Result<Self::Value, E> {
                Ok($value(value))
            })*

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(<$out>::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rest: A) -> Result<Self::Value, A::Error> {
                while rest.next_element::<IgnoredAny>()?.is_some() {}
                Ok($none)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut rest: A) -> Result<Self::Value, A::Error> {
                while rest.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok($none)
            }
        }
    };
}

loose! {
    Numbers -> Number, Number(None);
    visit_u64(u64) |value| Number(Some(value));
    visit_i64(i64) |value| Number(u64::try_from(value).ok());
    visit_f64(f64) whole;
    visit_str(&str) |value: &str| Number(value.parse().ok());
    visit_bool(bool) |_| Number(None);
}

loose! {
    Flags -> Flag, Flag(false);
    visit_u64(u64) |_| Flag(false);
    visit_i64(i64) |_| Flag(false);
    visit_f64(f64) |_| Flag(false);
    visit_str(&str) |_| Flag(false);
    visit_bool(bool) Flag;
}

loose! {
    Presences -> Presence, Presence(true);
    visit_u64(u64) |_| Presence(true);
    visit_i64(i64) |_| Presence(true);
    visit_f64(f64) |_| Presence(true);
    visit_str(&str) |_| Presence(true);
    visit_bool(bool) |_| Presence(true);
}

fn whole(value: f64) -> Number {
    // Beyond 2^53 a float no longer names one millisecond.
    let is_whole = value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value);
    Number(is_whole.then_some(value as u64))
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Numbers)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Flags)
    }
}

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Presences)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(value))))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_owned()))))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rest: A) -> Result<Self::Value, A::Error> {
        while rest.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rest: A) -> Result<Self::Value, A::Error> {
        while rest.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_type_than_expected_counts_as_none() {
        for json in ["null", "true", "[1,{}]", r#"{"a":[1]}"#, "1.5", "-1", r#""x""#] {
            assert_eq!(serde_json::from_str::<Number>(json).unwrap().0, None, "{json}");
            assert!(!serde_json::from_str::<Flag>(json).unwrap().0 || json == "true");
            assert_eq!(serde_json::from_str::<Presence>(json).unwrap().0, json != "null");
            assert_eq!(serde_json::from_str::<Text<'_>>(json).unwrap().0.is_some(), json == r#""x""#);
        }
    }

    #[test]
    fn a_number_may_be_written_as_text_or_with_a_point() {
        for json in ["7", r#""7""#, "7.0"] {
            assert_eq!(serde_json::from_str::<Number>(json).unwrap().0, Some(7), "{json}");
        }
    }
}
