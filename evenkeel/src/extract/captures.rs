//! Turns what a pattern caught, or the words after a command, into the author's types.

mod value;
mod places;
mod groups;
mod trace;
mod description;

use std::panic::{AssertUnwindSafe, catch_unwind};

use regex::Regex;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use super::words::Word;
use crate::error::panic_message;
use crate::event::{Event, PERSON};
use crate::text::Clean;
use description::{check_choices, check_groups};
pub(super) use description::{groups as describe_groups, words as describe_words};
pub(super) use places::Plan;
use value::{Misfit, Value};

/// Fills `T` from the groups of a match in the clean `text`, as they are written.
pub(super) fn from_groups<T: DeserializeOwned>(
    regex: &Regex,
    groups: &regex::Captures<'_>,
    text: &Clean<'_>,
    event: &Event,
) -> Result<T, String> {
    let texts = groups.iter().skip(1).map(|group| group.map(|group| text.written(group.range()).into()));
    let named = regex.capture_names().skip(1).zip(texts);
    let values = named.map(|(name, text)| Value { name, text, event: Some(event), ..Value::default() });
    T::deserialize(Values { values: values.collect(), source: Source::Groups, plan: None })
        .map_err(|misfit| misfit.told("This"))
}

/// Fills `T` from words after a command, one after another; what is left over goes to the last place. A type that takes other
/// things than words has a plan.
pub(super) fn from_words<'a, T: DeserializeOwned>(
    command: &str,
    words: Vec<Word<'a>>,
    event: &'a Event,
    plan: Option<Plan<'a>>,
) -> Result<T, String> {
    let value = |Word { text, onward }| Value {
        text: Some(text.into()),
        onward,
        event: Some(event),
        ..Value::default()
    };
    let values = words.into_iter().map(value);
    T::deserialize(Values { values: values.collect(), source: Source::Words, plan })
        .map_err(|misfit| misfit.told(&format!("`{command}`")))
}

/// This many words are tried to see whether a shape fits.
const MOST_PROBED: usize = 16;

/// Says why no words can ever fill a `T`: tries made-up ones of each number.
pub(super) fn check_words<T: DeserializeOwned>() -> Result<(), String> {
    let mut why = "no number of words fills it".to_owned();
    for count in 1..=MOST_PROBED {
        match probe_words::<T>(count) {
            Err(Misfit::Shape(shape)) => why = shape,
            Err(Misfit::Count { .. } | Misfit::Missing(_)) => {}
            Err(Misfit::Duplicate(field)) => return Err(two_names(field)),
            Err(Misfit::Text(_) | Misfit::Absent) | Ok(()) => {
                return match probe_words::<T>(MOST_PROBED) {
                    Err(Misfit::Duplicate(field)) => Err(two_names(field)),
                    _ => check_choices(&describe_words::<T>()),
                };
            }
        }
    }
    Err(format!(
        "words after a command do not fit it ({why}): it may be a value, a tuple or struct of values with a list as its last, or a list"
    ))
}

fn probe_words<T: DeserializeOwned>(count: usize) -> Result<(), Misfit> {
    let value = || Value { text: Some("0".into()), onward: "0", ..Value::default() };
    let values = std::iter::repeat_with(value).take(count).collect();
    // What is made up may be no value of the author's: that a word does not parse is for anyone who writes it.
    let tried = catch_unwind(AssertUnwindSafe(|| {
        T::deserialize(Values { values, source: Source::Words, plan: None }).map(drop)
    }));
    tried.unwrap_or_else(|panic| Err(Misfit::Text(panic_message(panic))))
}

fn two_names(field: &str) -> String {
    format!("the field `{field}` has a second name, and words have none: take its `#[serde(alias)]` away")
}

/// Says why no match of `regex` can ever fill a `T`.
///
/// Fills a `T` from made-up text: texts that do not parse tell nothing, missing fields and groups do.
pub(super) fn check<T: DeserializeOwned>(regex: &Regex) -> Result<(), String> {
    let value = |name| Value { name, text: Some("0".into()), ..Value::default() };
    let values: Vec<_> = regex.capture_names().skip(1).map(value).collect();
    let names = values.iter().filter_map(|value| value.name).collect::<Vec<_>>().join("`, `");
    let groups = values.len();
    let probe = || T::deserialize(Values { values, source: Source::Probe, plan: None }).map(drop);
    let tried = catch_unwind(AssertUnwindSafe(probe));
    match tried.unwrap_or_else(|panic| Err(Misfit::Text(panic_message(panic)))) {
        Err(Misfit::Missing(field)) if names.is_empty() => {
            Err(format!("the field `{field}` has no group: name one with `(?P<{field}>..)`"))
        }
        Err(Misfit::Missing(field)) => {
            Err(format!("the field `{field}` has no group: the groups of the pattern are `{names}`"))
        }
        Err(Misfit::Count { wanted }) => {
            Err(format!("the handler takes {wanted} values, and the pattern has {groups} groups"))
        }
        Err(Misfit::Shape(why)) => Err(format!("groups do not fit it ({why}): a group is one value")),
        Err(Misfit::Text(_) | Misfit::Absent | Misfit::Duplicate(_)) | Ok(_) => {
            check_groups(&describe_groups::<T>(regex))
        }
    }
}

/// All values, before anybody knows which shape they are to fill.
struct Values<'a> {
    values: Vec<Value<'a>>,
    source: Source,
    plan: Option<Plan<'a>>,
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

    /// Exactly `wanted` values; surplus words become a part of the last one, which is then all that is written from
    /// there on: line breaks, spaces and quotes included.
    fn fit(mut self, wanted: usize) -> Result<Vec<Value<'a>>, Misfit> {
        if let Some(plan) = self.plan.filter(|plan| plan.takes.len() == wanted) {
            return Ok(plan.fill(self.values));
        }
        if self.source == Source::Words && self.values.len() > wanted && wanted > 0 {
            self.values.truncate(wanted);
            if let Some(last) = self.values.last_mut() {
                last.text = Some(last.onward.into());
            }
        }
        if self.values.len() != wanted {
            return Err(Misfit::Count { wanted });
        }
        // Only the last place may be a list, of all words that are left.
        let before_last = wanted.saturating_sub(1);
        self.values.iter_mut().take(before_last).for_each(|value| value.onward = "");
        Ok(self.values)
    }

    /// The values by their names.
    fn fields<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let named = self.values.into_iter().filter(|value| value.name.is_some());
        // A group that took no part is left out, so that `Option` and `#[serde(default)]` fields do as they say.
        let present = named.filter(Value::is_given).collect::<Vec<_>>();
        visitor.visit_map(Fields { fields: present.into_iter(), next: None })
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

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Misfit> {
        if self.plan.is_some_and(|plan| plan.takes.len() == 1) {
            return self.single()?.deserialize_seq(visitor);
        }
        // A list of lists has no end.
        self.values.iter_mut().for_each(|value| value.onward = "");
        visitor.visit_seq(Row(self.values.into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Misfit> {
        let wanted = self.plan.map_or(len, Plan::words);
        let is_short = self.source == Source::Words && self.values.len() < wanted;
        if is_short && self.plan.is_none() {
            // An `Option` at the end may be left out.
            self.values.resize_with(len, Value::default);
        }
        let filled = visitor.visit_seq(Row(self.fit(len)?.into_iter()));
        filled.map_err(|misfit| match misfit {
            Misfit::Absent if is_short => Misfit::Count { wanted },
            other => other,
        })
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
        if self.source == Source::Words {
            return Err(Misfit::Shape("words have no names".into()));
        }
        self.fields(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if value::is_value(name, fields) {
            return self.single()?.deserialize_struct(name, fields, visitor);
        }
        if self.source != Source::Words {
            return self.fields(visitor);
        }
        // Fewer words than fields may be right: `Option` and `#[serde(default)]` fields stand last.
        let given = self.plan.map_or(self.values.len(), |plan| plan.takes.len());
        let source = self.source;
        let mut values = self.fit(given.min(fields.len()))?;
        values.iter_mut().zip(fields).for_each(|(value, field)| value.name = Some(field));
        Self { values, source, plan: None }.fields(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if name == PERSON {
            return self.single()?.deserialize_newtype_struct(name, visitor);
        }
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
        if self.values.is_empty() && self.plan.is_none() {
            return visitor.visit_none();
        }
        self.single()?.deserialize_option(visitor)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::super::words::split;
    use super::*;
    use crate::event::{Conversation, Message, Sender};

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

    fn event() -> Event {
        Event::new("1", Conversation::direct("alice"), Sender::new("alice"), Message::text("1", ""))
    }

    fn take<T: DeserializeOwned>(pattern: &str, text: &str) -> Result<T, String> {
        let regex = Regex::new(pattern).expect("a pattern");
        let clean = Clean::new(text);
        let groups = regex.captures(clean.text()).expect("a match");
        from_groups(&regex, &groups, &clean, &event())
    }

    fn words<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        from_words("!x", split(text), &event(), None)
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
        assert_eq!(words("Oslo 3"), Ok(vec!["Oslo".to_owned(), "3".to_owned()]));
        assert_eq!(words("Oslo 3"), Ok(("Oslo".to_owned(), 3i8)));
        assert_eq!(words("Oslo 3"), Ok(City { city: "Oslo".into(), days: Some(3) }));
        assert_eq!(words("Oslo 3"), Ok(("Oslo 3".to_owned(),)), "the last place takes what is left");
        assert_eq!(
            words("Oslo"),
            Ok(City { city: "Oslo".into(), days: None }),
            "an `Option` may be left out"
        );
        assert_eq!(words::<City>(""), Err("`city` is missing.".into()));
        assert_eq!(words("a \"b c\" 3"), Ok(("a".to_owned(), vec!["b c".to_owned(), "3".to_owned()])));
        assert_eq!(words("a 1 2"), Ok(("a".to_owned(), vec![1u8, 2])));
        assert_eq!(words::<(String, u8, u8)>("Oslo 3"), Err("`!x` takes 3 words.".into()));
        assert_eq!(words::<(u8,)>(""), Err("`!x` takes 1 word.".into()));
    }

    #[test]
    fn options_at_the_end_of_a_tuple_may_be_left_out() {
        assert_eq!(words("Oslo"), Ok(("Oslo".to_owned(), None::<u8>, None::<u8>)));
        assert_eq!(words("Oslo 3"), Ok(("Oslo".to_owned(), Some(3u8), None::<u8>)));
        assert_eq!(words(""), Ok((None::<String>,)));
        assert_eq!(
            words::<(String, Option<u8>)>("Oslo x"),
            Err("`x` is not a whole number from 0 to 255.".into())
        );
        assert_eq!(words::<(Option<u8>, u8)>("3"), Err("`!x` takes 2 words.".into()));
        assert_eq!(words::<(String, Vec<u8>)>("Oslo"), Err("`!x` takes 2 words.".into()));
    }

    #[test]
    fn the_last_text_is_what_was_written() {
        for text in [
            "line one\nline  two",
            "'tis the season",
            "say \"hi\" now",
            "\"a b\" and 'c'",
            "“a” b\u{a0} \\ c",
        ] {
            assert_eq!(words(&format!("5 {text}")), Ok((5u32, text.to_owned())));
            assert_eq!(words(text), Ok(text.to_owned()));
        }
        assert_eq!(words("'old name' \"new name\""), Ok(("old name".to_owned(), "new name".to_owned())));
    }

    #[test]
    fn numbers_and_choices_are_read_however_they_are_typed() {
        assert_eq!(words("５ \u{2068}-7\u{2069} 1\u{200b}"), Ok((5u8, -7i8, 1.0f32)));
        assert_eq!(words("\u{2212}7 True"), Ok((-7i32, true)));
        assert_eq!(words("Ｍetric e\u{301}"), Ok((Unit::Metric, 'é')));
        assert_eq!(words::<u8>("５００"), Err("`５００` is not a whole number from 0 to 255.".into()));
    }

    #[test]
    fn a_duration_is_written_as_people_write_it() {
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("10s", seconds(10)),
            ("2h30m", seconds(9000)),
            ("2H 30Min", seconds(9000)),
            ("1d", seconds(86_400)),
            ("1w2d", seconds(9 * 86_400)),
            ("1.5h", seconds(5400)),
            ("250ms", Duration::from_millis(250)),
            ("９０ｓ", seconds(90)),
            ("0s", seconds(0)),
        ] {
            assert_eq!(words(text), Ok(expected), "{text}");
        }
        assert_eq!(words("5m tea is  ready"), Ok((seconds(300), "tea is  ready".to_owned())));
        assert_eq!(take("^in (.+)$", "in 5 minutes"), Ok(seconds(300)));
        assert_eq!(fits::<Duration>("(.+)"), Ok(()));
        for text in ["soon", "10", "-5m", "1mo", "1y", "2h30", "", "99999999999999999999s", "5m ago"] {
            let told = words::<(Duration,)>(&format!("'{text}'")).expect_err(text);
            assert_eq!(
                told,
                format!("`{text}` is not a length of time such as `10s`, `5m`, `2h30m` or `1d`.")
            );
        }
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
