//! What a bot tells of its commands.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU8;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::*;
use crate::command::{CommandSpec, Deferral, Parameter, ParameterKind, Parameters, TriggerKind};
use crate::context::Context;
use crate::extract::{FromEvent, Rejection};

fn spec(app: &App, name: &str) -> CommandSpec {
    let specs = app.specs();
    let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
    specs.into_iter().find(|spec| spec.name == name).unwrap_or_else(|| panic!("{name} is none of {names:?}"))
}

#[test]
fn what_people_can_call_is_told_with_all_its_spellings() {
    let add = Trigger::command("add").alias("put on").name("adding").about("adds").usage("add <what>");
    let inner = Router::new().route(add, rest).command("show", says!("shown")).fallback(says!("what?"));
    let app = Router::new()
        .route(Trigger::command("!ban").senders(["alice"]).conversations(["crew"]).hidden(), rest)
        .exact("good bot", says!("thanks"))
        .route(Trigger::regex(r"(?i)\bthanks\b").name("thanks"), says!("welcome"))
        .on(Event::reaction, says!("seen"))
        .fallback(says!("what?"))
        .nest("!list", inner)
        .with_state(());
    let names: Vec<_> = app.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["!ban", "good bot", "thanks", "!list adding", "!list show"]);

    let ban = spec(&app, "!ban");
    assert_eq!((ban.senders, ban.conversations), (Some(vec!["alice".into()]), Some(vec!["crew".into()])));
    assert!(ban.is_hidden);
    assert_eq!(spec(&app, "good bot").trigger, TriggerKind::Exact);
    let thanks = spec(&app, "thanks");
    assert_eq!((thanks.trigger, &*thanks.spelling), (TriggerKind::Pattern, ""));
    let add = spec(&app, "!list adding");
    assert_eq!((&*add.spelling, add.aliases), ("!list add", vec!["!list put on".to_owned()]));
    assert_eq!((add.about, add.senders, add.is_hidden), (Some("adds".into()), None, false));
    assert_eq!(add.trigger, TriggerKind::Command);
}

#[test]
fn what_may_go_out_before_the_answer_is_told() {
    let app = Router::new()
        .command("!visible", says!("1"))
        .route(Trigger::command("!ephemeral").ephemeral(), says!("2"))
        .route(Trigger::command("!form").opens_modal(), says!("3"))
        .with_state(());
    let deferrals = app.specs().into_iter().map(|spec| spec.deferral);
    assert_eq!(deferrals.collect::<Vec<_>>(), [Deferral::Visible, Deferral::Ephemeral, Deferral::Never]);
}

/// A parameter in one line: `[name...]: kind (about)`.
fn line(parameter: &Parameter) -> String {
    let Parameter { name, kind, is_required, is_list, about } = parameter;
    let dots = if *is_list { "..." } else { "" };
    let name = if *is_required { format!("<{name}{dots}>") } else { format!("[{name}{dots}]") };
    let kind = match kind {
        ParameterKind::Remainder => "rest".to_owned(),
        ParameterKind::Duration => "duration".to_owned(),
        kind => kind.to_string(),
    };
    let about = about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
    format!("{name}: {kind}{about}")
}

fn lines(app: &App) -> Vec<String> {
    app.specs()[0].parameters.iter().map(line).collect()
}

/// What a command tells whose handler takes a `T`.
#[track_caller]
fn check_words<T: DeserializeOwned + Send + 'static>(expected: &[&str]) {
    let app = Router::new().command("!x", |_: Args<T>| async {}).with_state(());
    assert_eq!(lines(&app), expected, "{}", std::any::type_name::<T>());
}

/// The same of a pattern.
#[track_caller]
fn check_groups<T: DeserializeOwned + Send + 'static>(pattern: &str, expected: &[&str]) {
    let app = Router::new().regex(pattern, |_: Captures<T>| async {}).with_state(());
    assert_eq!(lines(&app), expected, "{}", std::any::type_name::<T>());
}

/// The same of a trigger with more to it.
#[track_caller]
fn check_trigger<T: DeserializeOwned + Send + 'static>(trigger: Trigger, expected: &[&str]) {
    let app = Router::new().route(trigger, |_: Args<T>| async {}).with_state(());
    assert_eq!(lines(&app), expected);
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Size {
    Small,
    #[serde(rename = "XL")]
    VeryLarge,
    MiddleSized,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "nobody looks into it")]
struct Minutes(u16);

#[derive(Deserialize)]
#[allow(dead_code, reason = "nobody looks into it")]
struct UserName(String);

#[derive(Deserialize)]
#[allow(dead_code, reason = "nobody looks into it")]
struct Note(Option<String>);

/// Takes nothing that is made up here.
#[derive(Deserialize)]
#[serde(try_from = "String")]
#[allow(dead_code, reason = "nobody looks into it")]
struct Email(String);

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('@') { Ok(Self(text)) } else { Err("not an address") }
    }
}

/// Takes some of what is made up here.
#[derive(Deserialize)]
#[serde(try_from = "u8")]
struct Odd(u8);

impl TryFrom<u8> for Odd {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if number % 2 == 1 { Ok(Self(number)) } else { Err("not odd") }
    }
}

#[test]
fn each_type_of_a_value_tells_what_it_is() {
    check_words::<(u8, i8, u16, i16, u32)>(&[
        "<number1>: a whole number from 0 to 255",
        "<number2>: a whole number from -128 to 127",
        "<number3>: a whole number from 0 to 65535",
        "<number4>: a whole number from -32768 to 32767",
        "<number5>: a whole number from 0 up",
    ]);
    check_words::<(i32, i64, i128, u64, u128, usize)>(&[
        "<number1>: a whole number",
        "<number2>: a whole number",
        "<number3>: a whole number",
        "<number4>: a whole number from 0 up",
        "<number5>: a whole number from 0 up",
        "<number6>: a whole number from 0 up",
    ]);
    check_words::<(f32, bool, char, Duration, String, Cow<'static, str>)>(&[
        "<number>: a number",
        "<boolean>: `true` or `false`",
        "<letter>: a letter",
        "<duration>: duration",
        "<word>: text",
        "<text>: rest",
    ]);
    check_words::<(Size, Minutes, UserName)>(&[
        "<size>: `small`, `XL` or `middle-sized`",
        "<minutes>: a whole number from 0 to 65535",
        "<user_name>: rest",
    ]);
    check_words::<(Box<str>, std::net::Ipv4Addr, NonZeroU8, Box<f64>)>(&[
        "<word1>: text",
        "<word2>: text",
        "<number1>: a whole number from 0 to 255",
        "<number2>: a number",
    ]);
}

#[test]
fn ranges_are_told_to_the_last_number() {
    fn range<T: DeserializeOwned + Send + 'static>() -> ParameterKind {
        let app = Router::new().command("!x", |_: Args<T>| async {}).with_state(());
        app.specs()[0].parameters[0].kind.clone()
    }
    assert_eq!(range::<i8>(), ParameterKind::Integer(-128..=127));
    assert_eq!(range::<u64>(), ParameterKind::Integer(0..=18_446_744_073_709_551_615));
    assert_eq!(range::<i128>(), ParameterKind::Integer(i128::MIN..=i128::MAX));
    assert_eq!(range::<u128>(), ParameterKind::Integer(0..=i128::MAX));
}

#[test]
fn a_type_as_a_whole_tells_what_it_is() {
    check_words::<()>(&[]);
    check_words::<u8>(&["<number>: a whole number from 0 to 255"]);
    check_words::<Minutes>(&["<minutes>: a whole number from 0 to 65535"]);
    check_words::<String>(&["<text>: rest"]);
    check_words::<Duration>(&["<duration>: duration"]);
    check_words::<Size>(&["<size>: `small`, `XL` or `middle-sized`"]);
    check_words::<Vec<String>>(&["[words...]: text"]);
    check_words::<Vec<u8>>(&["[numbers...]: a whole number from 0 to 255"]);
    check_words::<(String, Vec<Size>)>(&["<word>: text", "<sizes...>: `small`, `XL` or `middle-sized`"]);
    check_words::<Option<u8>>(&["[number]: a whole number from 0 to 255"]);
    check_words::<Option<Option<bool>>>(&["[boolean]: `true` or `false`"]);
    check_words::<(u8, Option<Note>)>(&["<number>: a whole number from 0 to 255", "[note]: rest"]);
    check_words::<(u8, Option<f32>, char)>(&[
        "<number1>: a whole number from 0 to 255",
        "<number2>: a number",
        "<letter>: a letter",
    ]);

    #[derive(Deserialize)]
    struct Nothing;
    check_words::<Nothing>(&[]);

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Pair(u8, Option<String>);
    check_words::<Pair>(&["<number>: a whole number from 0 to 255", "[text]: rest"]);

    // What holds any number of texts is told as that.
    check_words::<serde_json::Value>(&["[words...]: text"]);
}

#[test]
fn fields_tell_their_names_and_which_may_be_left_out() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    #[serde(rename_all = "camelCase")]
    struct Order {
        item_count: u8,
        #[serde(rename = "what")]
        _item: String,
        #[serde(default)]
        urgent: bool,
        #[serde(skip)]
        _kept: u8,
        size: Option<Size>,
        #[serde(default)]
        notes: Vec<String>,
    }
    check_words::<Order>(&[
        "<itemCount>: a whole number from 0 to 255",
        "<what>: text",
        "[urgent]: `true` or `false`",
        "[size]: `small`, `XL` or `middle-sized`",
        "[notes...]: text",
    ]);

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Middle {
        from: Option<u8>,
        to: Email,
        #[serde(default)]
        again: Odd2,
    }
    #[derive(Default, Deserialize)]
    #[serde(try_from = "u8")]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Odd2(u8);
    impl TryFrom<u8> for Odd2 {
        type Error = &'static str;
        fn try_from(number: u8) -> Result<Self, Self::Error> {
            Odd::try_from(number).map(|odd| Self(odd.0))
        }
    }
    // Nobody can leave out what stands before something else; behind one that takes nothing made up, little is known.
    check_words::<Middle>(&[
        "<from>: a whole number from 0 to 255",
        "<to>: text",
        "<again>: a whole number from 0 to 255",
    ]);

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    #[serde(default)]
    struct Many {
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: String,
        l: String,
    }
    impl Default for Many {
        fn default() -> Self {
            let (a, k) = (0, String::new);
            Self { a, b: a, c: a, d: a, e: a, f: a, g: a, h: a, i: a, j: a, k: k(), l: k() }
        }
    }
    let number = |name: char| format!("[{name}]: a whole number from 0 to 255");
    let mut all: Vec<_> = ('a'..='j').map(number).collect();
    all.extend(["[k]: text".to_owned(), "[l]: rest".to_owned()]);
    check_words::<Many>(&all.iter().map(String::as_str).collect::<Vec<_>>());

    // What is made of another type is told as that.
    #[derive(Deserialize)]
    #[serde(try_from = "Raw")]
    struct Refined;
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Raw {
        low: i8,
        high: i8,
    }
    impl TryFrom<Raw> for Refined {
        type Error = &'static str;
        fn try_from(raw: Raw) -> Result<Self, Self::Error> {
            if raw.low < raw.high { Ok(Self) } else { Err("too low") }
        }
    }
    check_words::<Refined>(&[
        "<low>: a whole number from -128 to 127",
        "<high>: a whole number from -128 to 127",
    ]);
}

#[test]
fn what_takes_nothing_made_up_is_a_text_and_hides_only_what_stands_behind_it() {
    check_words::<(Odd, Size)>(&[
        "<number>: a whole number from 0 to 255",
        "<size>: `small`, `XL` or `middle-sized`",
    ]);
    check_words::<(Size, Email, u8)>(&[
        "<size>: `small`, `XL` or `middle-sized`",
        "<word>: text",
        "<text>: rest",
    ]);
    let trigger = Trigger::command("!x").parameters([
        Parameter::new("address", ParameterKind::Word),
        Parameter::new("age", ParameterKind::Integer(0..=255)).about("in years"),
    ]);
    check_trigger::<(Email, u8)>(
        trigger,
        &["<address>: text", "<age>: a whole number from 0 to 255 (in years)"],
    );

    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let number = u8::deserialize(deserializer)?;
            assert!(number > 200, "a number that nobody tries");
            Ok(Self)
        }
    }
    check_words::<(Panics, bool)>(&["<number>: a whole number from 0 to 255", "<text>: rest"]);
}

#[test]
fn choices_that_hold_a_value_are_no_choices() {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code, reason = "nobody makes one")]
    enum Shape {
        Dot,
        Circle(u8),
        Square { side: u8 },
        Line,
    }
    check_words::<(Shape, u8)>(&["<shape>: `dot` or `line`", "<number>: a whole number from 0 to 255"]);

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody makes one")]
    enum Full {
        Circle(u8),
    }
    check_panic(
        || Router::<()>::new().command("!x", |_: Args<(u8, Full)>| async {}),
        &["no text gives a `Full`"],
    );
}

#[test]
fn a_second_name_of_a_field_is_for_groups_alone() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Order {
        #[serde(alias = "n", default)]
        count: u8,
        what: Option<String>,
    }
    check_panic(
        || Router::<()>::new().command("!x", |_: Args<Order>| async {}),
        &["the field `count` has a second name"],
    );
    check_groups::<Order>(r"(?P<n>\d) (?P<what>.)?", &["<n>: a whole number from 0 to 255", "[what]: text"]);
}

#[test]
fn groups_tell_their_names_and_the_pattern_which_may_be_left_out() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Order {
        note: Option<String>,
        what: String,
        count: Option<u8>,
        #[serde(default)]
        _nowhere: u8,
    }
    let pattern = r"^!order (?P<count>\d+) (?P<what>\w+)( (?P<note>.+))?$";
    check_groups::<Order>(
        pattern,
        &["<count>: a whole number from 0 to 255", "<what>: text", "[note]: text"],
    );
    check_groups::<(u8, String, Option<String>, Option<String>)>(
        pattern,
        &["<count>: a whole number from 0 to 255", "<what>: text", "[word]: text", "[note]: text"],
    );
    check_groups::<(i64, i64)>(r"(\d+) (\d+)", &["<number1>: a whole number", "<number2>: a whole number"]);
    check_groups::<Duration>("in (.+)", &["<duration>: duration"]);
    check_groups::<Vec<String>>("(a) (?P<b>b)", &["<word>: text", "<b>: text"]);
    check_groups::<Vec<Option<u8>>>(
        "([0-9])|([0-8]b)",
        &["[number1]: a whole number from 0 to 255", "[number2]: a whole number from 0 to 255"],
    );
    check_groups::<HashMap<String, u8>>(
        "(?P<b>.)(?P<a>.)",
        &["<b>: a whole number from 0 to 255", "<a>: a whole number from 0 to 255"],
    );

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Flat {
        count: u8,
        #[serde(flatten)]
        _others: BTreeMap<String, String>,
    }
    check_groups::<Flat>(
        "(?P<count>.)(?P<more>.)?",
        &["<count>: a whole number from 0 to 255", "[more]: text"],
    );
}

#[test]
fn names_are_those_of_the_author_the_usage_the_type_or_the_kind() {
    let command = || Trigger::command("!x");
    check_trigger::<(u8, String)>(
        command().parameters(["n", "what"]),
        &["<n>: a whole number from 0 to 255", "<what>: rest"],
    );
    let usage = command().usage("!x <how much> small|XL [note]");
    check_trigger::<(f32, Size, Option<String>)>(
        usage,
        &["<how much>: a number", "<size>: `small`, `XL` or `middle-sized`", "[note]: rest"],
    );
    let same = command().usage("!x <n> <n>");
    check_trigger::<(u8, f32)>(same, &["<n1>: a whole number from 0 to 255", "<n2>: a number"]);
    let fewer = command().usage("!x <a>");
    check_trigger::<(u8, u8)>(
        fewer,
        &["<number1>: a whole number from 0 to 255", "<number2>: a whole number from 0 to 255"],
    );

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Order {
        count: u8,
        what: Option<String>,
    }
    let about = command().parameters([("what", "as in the list")]);
    check_trigger::<Order>(
        about,
        &["<count>: a whole number from 0 to 255", "[what]: rest (as in the list)"],
    );
    let wrong = || Router::<()>::new().route(command().parameters(["cuont"]), |_: Args<Order>| async {});
    check_panic(wrong, &["`!x`", "`cuont` is none of what the handler takes: `count`, `what`"]);
    let few = || Router::<()>::new().route(command().parameters(["a"]), |_: Args<(u8, u8)>| async {});
    check_panic(few, &["the handler takes 2, and 1 are named"]);
    let twice = || Router::<()>::new().route(command().parameters(["a", "a"]), |_: Args<(u8, u8)>| async {});
    check_panic(twice, &["two are called `a`"]);
}

#[test]
fn other_arguments_tell_what_they_take() {
    let app = |trigger, handler| Router::new().route(trigger, handler).with_state(());
    assert_eq!(lines(&app(Trigger::command("!x"), rest)), ["[text]: rest"]);
    assert_eq!(lines(&app(Trigger::command("!x").usage("!x <item>"), rest)), ["<item>: rest"]);
    assert_eq!(lines(&app(Trigger::command("!x").usage("!x [item]"), rest)), ["[item]: rest"]);
    assert_eq!(lines(&app(Trigger::exact("x"), rest)), [""; 0]);

    let both = |_: Rest, _: Sender, _: Option<Args<(u8, Size)>>, _: Context, _: Text| async {};
    let app = Router::new().command("!x", both).with_state(());
    assert_eq!(
        lines(&app),
        ["[number]: a whole number from 0 to 255", "[size]: `small`, `XL` or `middle-sized`"]
    );

    // The handler looks into its text by itself.
    let trigger =
        Trigger::command("!x").parameters([Parameter::new("who", ParameterKind::Person).optional()]);
    let app = Router::new().route(trigger, |_: Message| async {}).with_state(());
    assert_eq!(lines(&app), ["[who]: a person"]);

    struct Place;
    impl<S: Sync> FromEvent<S> for Place {
        async fn from_event(_: &Context, _: &S) -> Result<Self, Rejection> {
            Ok(Self)
        }
        fn describe(parameters: &mut Parameters) {
            parameters.add(Parameter::new("place", ParameterKind::Word).about("a town"));
        }
    }
    let app = Router::new().command("!x", |_: Place, _: Option<Place2>| async {}).with_state(());
    struct Place2;
    impl<S: Sync> FromEvent<S> for Place2 {
        async fn from_event(_: &Context, _: &S) -> Result<Self, Rejection> {
            Ok(Self)
        }
        fn describe(parameters: &mut Parameters) {
            parameters.add(Parameter::new("other", ParameterKind::Number).list());
        }
    }
    assert_eq!(lines(&app), ["<place>: text (a town)", "[other...]: a number"]);
}

#[tokio::test]
async fn help_writes_the_usage_that_nobody_has_written() {
    let order = Trigger::command("!order").about("takes an order").parameters([("size", "of the cup")]);
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "nobody looks into it")]
    struct Order {
        count: u8,
        size: Size,
        note: Option<String>,
    }
    let inner = Router::new().command("tag", |_: Args| async {});
    let app = Router::new()
        .route(order, |_: Args<Order>| async {})
        .nest("!list", inner)
        .route(Trigger::regex(r"(\d+) apples").name("apples"), |_: Captures<u8>| async {})
        .help("!help")
        .with_state(());
    let all = "!order <count> <size> [note]: takes an order\napples\n!help [command]: lists the commands\n!list tag [words...]";
    assert_eq!(say(&app, "!help").await, [all]);
    let one = "!order: takes an order\nUsage: !order <count> <size> [note]\ncount: a whole number from 0 to 255\n\
               size: of the cup (`small`, `XL` or `middle-sized`)";
    assert_eq!(say(&app, "!help order").await, [one]);
    assert_eq!(say(&app, "!help apples").await, ["Usage: apples\nnumber: a whole number from 0 to 255"]);
}
