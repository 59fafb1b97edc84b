use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use regex::Regex;
use serde::Deserialize;

use super::patterns::Patterns;
use super::*;
use crate::engine::{Attempt, Ending, HandlerOutcome, HandlerRequests};
use crate::event::{Conversation, Message, MessageId, Reaction, Sender};
use crate::extract::{Args, Captures, Rest, State, Text};
use crate::layer::{Next, from_fn};
use crate::reply::Action;
use crate::reply::{Outbound, Reply};

fn from(sender: &str, text: &str) -> Event {
    Event::new("1", Conversation::direct(sender), Sender::new(sender), Message::text("1", text))
}

async fn answer(app: &App, event: Event) -> HandlerOutcome {
    let (requests, _asked) = HandlerRequests::new();
    let (facts, has_begun, is_replayed) = (Vec::new(), false, false);
    let attempt = Attempt { event, sequence: 1, number: 1, has_begun, is_replayed, facts, now_ms: 0 };
    app.answer(attempt, Arc::default(), requests).await
}

/// What a bot answers to Alice's text, one after another.
async fn say(app: &App, text: &str) -> Vec<String> {
    told(answer(app, from("alice", text)).await)
}

fn told(answer: HandlerOutcome) -> Vec<String> {
    let text = |outbound: Outbound| match outbound.action {
        Action::Send(draft) => draft.text,
        other => panic!("not a message: {other:?}"),
    };
    answer.outbound.into_iter().map(text).collect()
}

/// A handler that answers with this text.
macro_rules! says {
    ($text:literal) => {
        || async { $text }
    };
}

/// A layer that leaves its mark on the reply.
macro_rules! marks {
    ($mark:literal) => {
        from_fn(|event: Event, next: Next| async move { next.run(event).await.push($mark) })
    };
}

mod specs;
mod typed;

async fn rest(Rest(rest): Rest) -> String {
    format!("[{rest}]")
}

#[tokio::test]
async fn a_command_is_whole_words() {
    let app = Router::new().command("!ping", rest).with_state(());
    assert_eq!(say(&app, "!ping").await, ["[]"]);
    assert_eq!(say(&app, "  !PING\tme  now ").await, ["[me  now]"]);
    assert_eq!(say(&app, "!pingpong").await, [""; 0]);
    assert_eq!(say(&app, "say !ping").await, [""; 0]);
    assert_eq!(say(&app, "").await, [""; 0]);
}

#[tokio::test]
async fn the_longest_command_wins() {
    let app = Router::new()
        .command("!list", rest)
        .command("!list add", says!("add"))
        .command("!list add all of the things that are in the shop", says!("all"))
        .with_state(());
    assert_eq!(say(&app, "!list addition").await, ["[addition]"]);
    assert_eq!(say(&app, "!list add milk").await, ["add"]);
    assert_eq!(say(&app, "!list \n Add milk").await, ["add"]);
    assert_eq!(say(&app, "!list add all of the things that are in the shop").await, ["all"]);
}

#[tokio::test]
async fn an_alias_leaves_its_own_rest() {
    let trigger = Trigger::command("!list add").alias("!la").alias("!please list add");
    let app = Router::new().route(trigger, rest).with_state(());
    for text in ["!list add oat milk", "!la oat milk", "!please list add oat milk"] {
        assert_eq!(say(&app, text).await, ["[oat milk]"], "{text}");
    }
}

#[tokio::test]
async fn case_matters_where_it_is_told_to() {
    let app = Router::new()
        .route(Trigger::command("!Who").case_sensitive(), says!("large"))
        .route(Trigger::command("!WHO").case_sensitive().senders(["bob"]), says!("largest"))
        .command("!who", says!("any"))
        .exact("Ὀδυσσεύς", says!("nobody"))
        .with_state(());
    assert_eq!(say(&app, "!Who").await, ["large"]);
    assert_eq!(say(&app, "!wHo").await, ["any"]);
    assert_eq!(say(&app, "!WHO").await, ["any"], "Alice may not use the largest one");
    assert_eq!(say(&app, "ὈΔΥΣΣΕΎΣ").await, ["nobody"]);
}

#[tokio::test]
async fn exact_goes_before_command_before_pattern_before_kind_before_fallback() {
    let app = Router::new()
        .fallback(says!("fallback"))
        .on(|event: &Event| event.text().filter(|text| text.contains('?')), says!("kind"))
        .regex("b", says!("first pattern"))
        .regex("a", says!("second pattern"))
        .command("!a", says!("command"))
        .exact("!a", says!("exact"))
        .with_state(());
    assert_eq!(say(&app, " !a ").await, ["exact"]);
    assert_eq!(say(&app, "!a b?").await, ["command"]);
    assert_eq!(say(&app, "a b?").await, ["first pattern"]);
    assert_eq!(say(&app, "a?").await, ["second pattern"]);
    assert_eq!(say(&app, "who?").await, ["kind"]);
    assert_eq!(say(&app, "").await, ["fallback"]);
}

#[tokio::test]
async fn typed_events_reach_their_kind_and_no_fallback() {
    async fn thank(reaction: Reaction) -> String {
        reaction.emoji
    }
    let event = |is_removed| {
        let reaction = Reaction { target: MessageId::new("7"), emoji: "👍".into(), is_removed };
        Event::new("1", Conversation::direct("alice"), Sender::new("alice"), reaction)
    };
    fn added(event: &Event) -> Option<&Reaction> {
        event.reaction().filter(|reaction| !reaction.is_removed)
    }
    let app = Router::new().on(added, thank).fallback(says!("fallback")).with_state(());
    assert_eq!(told(answer(&app, event(false)).await), ["👍"]);
    assert_eq!(told(answer(&app, event(true)).await), [""; 0]);
}

#[tokio::test]
async fn a_nested_router_sees_what_follows_its_prefix() {
    let inner = Router::new()
        .command("add", rest)
        .exact("all", says!("everything"))
        .regex(r"^(\d+) (\w+)$", |Captures((count, what)): Captures<(u8, String)>| async move {
            format!("{count} of {what}")
        })
        .nest("shop", Router::new().command("at", |Args(words): Args| async move { words.join("+") }))
        .fallback(|Text(text): Text| async move { format!("what is {text}?") });
    let app = Router::new().nest("!my  list", inner).fallback(says!("outside")).with_state(());
    assert_eq!(say(&app, "!my list add oat  milk ").await, ["[oat  milk]"]);
    assert_eq!(say(&app, "!My  List ALL").await, ["everything"]);
    assert_eq!(say(&app, "!my list 3 apples ").await, ["3 of apples"], "space around it is nobody's");
    assert_eq!(say(&app, "!my list shop at 'the corner' 8").await, ["the corner+8"]);
    assert_eq!(say(&app, "!my list dance").await, ["what is !my list dance?"]);
    assert_eq!(say(&app, "!my lists").await, ["outside"]);
}

#[tokio::test]
async fn without_a_fallback_inside_the_text_goes_on_outside() {
    let app = Router::new()
        .nest("!list", Router::new().command("add", says!("add")))
        .regex("^!list", says!("pattern"))
        .with_state(());
    assert_eq!(say(&app, "!list add").await, ["add"]);
    assert_eq!(say(&app, "!list dance").await, ["pattern"]);
}

#[tokio::test]
async fn layers_cover_their_router_outermost_first_before_and_after() {
    let inner = Router::new().command("inner", says!("inner")).layer(marks!("3"));
    let merged = Router::new().command("merged", says!("merged")).nest("deep", inner).layer(marks!("2"));
    let app = Router::new()
        .command("early", says!("early"))
        .layer(marks!("1"))
        .merge(merged)
        .layer(marks!("0"))
        .command("late", says!("late"))
        .with_state(());
    // The mark of the innermost layer comes first.
    assert_eq!(say(&app, "early").await, ["early01"]);
    assert_eq!(say(&app, "late").await, ["late01"]);
    assert_eq!(say(&app, "merged").await, ["merged201"]);
    assert_eq!(say(&app, "deep inner").await, ["inner3201"]);
}

#[tokio::test]
async fn a_layer_answers_or_changes_the_event_or_passes_it_on() {
    async fn gate(Text(text): Text, event: Event, next: Next) -> Reply {
        match text.as_str() {
            "!ping stop" => "stopped".into_reply(),
            "!ping turn" => next.run(event.with_text("!ping turned")).await,
            _ => next.run(event).await,
        }
    }
    let app = Router::new().command("!ping", rest).layer(from_fn(gate)).with_state(());
    assert_eq!(say(&app, "!ping stop").await, ["stopped"]);
    assert_eq!(say(&app, "!ping turn").await, ["[turned]"]);
    assert_eq!(say(&app, "!ping pass").await, ["[pass]"]);
}

#[tokio::test]
async fn a_layer_whose_extractor_rejects_covers_what_it_covers() {
    let bound = from_fn(|_: Reaction, event: Event, next: Next| next.run(event));
    let app = Router::new().command("!ping", says!("pong")).layer(bound).with_state(());
    assert_eq!(say(&app, "!ping").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn tower_layers_fit() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    async fn slow() -> &'static str {
        MOST.fetch_max(RUNNING.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        "done"
    }
    let limit = tower::limit::ConcurrencyLimitLayer::new(1);
    let app = Router::new().command("!slow", slow).layer(limit).with_state(());
    let both = tokio::join!(say(&app, "!slow"), say(&app, "!slow"));
    assert_eq!(both, (vec!["done".to_owned()], vec!["done".to_owned()]));
    assert_eq!(MOST.load(Ordering::Relaxed), 1, "one at a time");
}

#[tokio::test]
async fn what_a_person_may_not_use_does_not_exist_for_them() {
    let app = Router::new()
        .route(Trigger::exact("!ban").senders(["bob"]), says!("exact"))
        .route(Trigger::command("!ban all").conversations(["bob"]), says!("long"))
        .route(Trigger::command("!ban").senders(["alice", "bob"]), says!("short"))
        .route(Trigger::regex("^!").senders(["bob"]), says!("bob's pattern"))
        .regex("^!", says!("pattern"))
        .with_state(());
    let bob = |text| from("bob", text);
    assert_eq!(told(answer(&app, bob("!ban")).await), ["exact"]);
    assert_eq!(told(answer(&app, bob("!ban all")).await), ["long"]);
    assert_eq!(told(answer(&app, bob("!dance")).await), ["bob's pattern"]);
    assert_eq!(say(&app, "!ban").await, ["short"]);
    assert_eq!(say(&app, "!ban all").await, ["short"]);
    assert_eq!(told(answer(&app, from("carol", "!ban all")).await), ["pattern"]);
}

#[tokio::test]
async fn help_lists_what_a_person_may_use() {
    let list = Router::new()
        .route(Trigger::command("add").about("puts it on the list").usage("add <thing>"), says!("ok"))
        .help("help");
    let app = Router::new()
        .command("!ping", says!("pong"))
        .route(Trigger::command("!ban").senders(["bob"]), says!("ok"))
        .route(Trigger::command("!secret").hidden(), says!("ok"))
        .regex(r"^!prime (\d+)$", says!("ok"))
        .route(Trigger::regex(r"^!add (\d+) (\d+)$").name("!add").usage("!add <n> <n>"), says!("ok"))
        .nest("!list", list)
        .merge(Router::new().help("!help"))
        .fallback(says!("ok"))
        .with_state(());
    let all = "!ping\n!add <n> <n>\n!help [command]: lists the commands\n\
               !list add <thing>: puts it on the list\n!list help [command]: lists the commands";
    assert_eq!(say(&app, "!help").await, [all]);
    let inner = "!list add <thing>: puts it on the list\n!list help [command]: lists the commands";
    assert_eq!(say(&app, "!list help").await, [inner]);
    assert_eq!(say(&app, "!help ping").await, ["Usage: !ping"]);
    let about = "!list add: puts it on the list\nUsage: !list add <thing>";
    assert_eq!(say(&app, "!help List Add").await, [about]);
    assert_eq!(say(&app, "!help ban").await, ["There is no such command."]);
    assert!(told(answer(&app, from("bob", "!help")).await)[0].contains("!ban"));
}

/// The message with which making a router panics.
#[track_caller]
fn check_panic(make: impl FnOnce() -> Router, parts: &[&str]) {
    let panic = catch_unwind(AssertUnwindSafe(make)).expect_err("a panic");
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.unwrap_or_else(|| (*panic.downcast::<&str>().expect("a text")).to_owned());
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn a_trigger_that_is_taken_panics_with_both_lines() {
    static PANICKED_AT: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
    let first = line!() + 1;
    let router = || Router::new().command("!Ping", says!("first"));
    let taken = format!("the command !ping is taken: it was added at {}:{first}:", file!());
    check_panic(|| router().command("!ping", says!("second")), &[&taken]);
    check_panic(|| router().nest("!ping", Router::new()), &[&taken]);
    check_panic(|| router().merge(Router::new().help("!ping")), &["the command !ping is taken"]);
    check_panic(|| router().fallback(says!("a")).fallback(says!("b")), &["the fallback is taken"]);
    check_panic(
        || router().route(Trigger::exact("a").alias("A"), says!("a")),
        &["the exact text a is taken"],
    );
    check_panic(|| router().command("！ｐｉ\u{200b}ng", says!("second")), &[&taken]);
    let accents = || Router::new().command("!cafe\u{301}", says!("a"));
    check_panic(|| accents().command("!CAFÉ", says!("b")), &["the command !café is taken"]);

    // The other line is the panic's own. Other tests panic at the same time, on threads of their own.
    let here = std::thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == here {
            *PANICKED_AT.lock().unwrap() = panic.location().map_or(0, |location| location.line());
        }
    }));
    let second = line!() + 1;
    let made = catch_unwind(|| Router::<()>::new().help("!ping").command("!ping", says!("second")));
    std::panic::set_hook(before);
    assert!(made.is_err());
    assert_eq!(*PANICKED_AT.lock().unwrap(), second);
}

#[test]
fn what_can_never_run_panics_at_start_up() {
    let captures = |_: Captures<(u8,)>| async {};
    let args = |_: Args| async {};
    check_panic(|| Router::new().command("!a", captures), &["`!a` can never run", "needs a pattern"]);
    check_panic(|| Router::new().regex("a", args), &["`a` can never run", "needs a command"]);
    check_panic(|| Router::new().fallback(args), &["`fallback` can never run"]);
    let told = ["`!a` can never run", "words after a command do not fit it"];
    check_panic(|| Router::new().command("!a", async |_: Args<(Vec<String>, String)>| ()), &told);
    check_panic(|| Router::new().command("!a", async |_: Args<((u8, u8), u8)>| ()), &told);
    check_panic(
        || Router::new().command("!a", async |_: Args<std::collections::HashMap<String, u8>>| ()),
        &told,
    );
    check_panic(|| Router::new().command("!a", async |_: Args<Vec<Vec<u8>>>| ()), &told);
    #[derive(serde::Deserialize)]
    #[serde(from = "String")]
    struct Picky;
    impl From<String> for Picky {
        fn from(text: String) -> Self {
            assert!(text.contains(':'), "what was made up is none of the author's");
            Self
        }
    }
    let _fine = Router::<()>::new()
        .command("!a", async |_: Args<(Picky, u8)>| ())
        .regex("(.*)", async |_: Captures<Picky>| ());
    let router = Router::<()>::new().command("!a", async |_: Args<(bool, Vec<std::net::IpAddr>)>| ());
    let _fine =
        router.command("!b", async |_: Args<(u8, Option<String>)>| ()).command("!c", async |_: Args<()>| ());
    async fn reads(_: Text) {}
    async fn reacts(_: Reaction) {}
    async fn may_read(_: Option<Text>, _: Context) {}
    check_panic(
        || Router::new().schedule("every 1m", reads),
        &["reads` can never run", "a job has no `Text`"],
    );
    async fn counts(_: crate::job::Job<(u64,)>) {}
    check_panic(
        || Router::new().schedule("every 1m", counts),
        &["counts` can never run", "a schedule has no arguments"],
    );
    check_panic(|| Router::new().job(reacts), &["reacts` can never run", "a job has no `Reaction`"]);
    check_panic(
        || Router::new().command("!a", reacts),
        &["`!a` can never run", "`Reaction` is in no message"],
    );
    let _fine = Router::<()>::new().schedule("every 1m", may_read).command("!a", may_read);
    check_panic(|| Router::new().nest(" ", Router::new()), &["`nest` needs at least one word"]);
    let inner = || Router::new().on(Event::reaction, says!("thanks"));
    check_panic(|| Router::new().nest("!a", inner()), &["the router behind `!a` has an `on` handler"]);
    check_panic(|| Router::new().route(Trigger::command("!a").alias(" "), says!("a")), &["an alias needs"]);
    check_panic(|| Router::new().command("\u{200b}", says!("a")), &["at least one visible character"]);
    check_panic(
        || Router::new().route(Trigger::regex("^!a").concurrent(), says!("a")),
        &["a regular expression cannot be concurrent"],
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_get_the_usage() {
    async fn add(Args((a, b)): Args<(u8, u8)>) -> String {
        (u16::from(a) + u16::from(b)).to_string()
    }
    async fn prime(Captures(n): Captures<u8>) -> String {
        n.to_string()
    }
    let app = Router::new()
        .route(Trigger::command("!add").usage("!add <n> <n>"), add)
        .regex(r"^!prime (\d+)$", prime)
        .with_state(());
    assert_eq!(say(&app, "!add 1 2").await, ["3"]);
    assert_eq!(say(&app, "!add 1").await, ["`!add` takes 2 words.\nUsage: !add <n> <n>"]);
    let number = "`x` is not a whole number from 0 to 255.\nUsage: !add <n> <n>";
    assert_eq!(say(&app, "!add 1 x").await, [number]);
    assert_eq!(say(&app, "!prime 300").await, ["`300` is not a whole number from 0 to 255."]);
}

#[tokio::test]
async fn an_optional_argument_may_be_missing() {
    async fn handler(reaction: Option<Reaction>, args: Option<Args<(u8,)>>) -> String {
        format!("{} {:?}", reaction.is_some(), args.map(|Args((n,))| n))
    }
    let app = Router::new().command("!maybe", handler).with_state(());
    assert_eq!(say(&app, "!maybe 7").await, ["false Some(7)"]);
    assert_eq!(say(&app, "!maybe x").await, ["false None"]);
}

#[tokio::test]
async fn named_groups_fill_a_struct() {
    #[derive(Deserialize)]
    struct City {
        city: String,
    }
    let weather = |Captures(City { city }): Captures<City>| async move { city };
    let app = Router::new().regex("^!weather (?P<city>.+)$", weather).with_state(());
    assert_eq!(say(&app, "!weather New York").await, ["New York"]);
}

#[tokio::test]
async fn handlers_and_layers_share_the_state_and_its_parts() {
    #[derive(Clone)]
    struct Shop {
        name: String,
        prices: Arc<Vec<u8>>,
    }
    crate::state_parts!(Shop { name: String, prices: Arc<Vec<u8>> });
    async fn whole(State(shop): State<Shop>, State(name): State<String>) -> String {
        format!("{} {name}", shop.name)
    }
    async fn price(State(prices): State<Arc<Vec<u8>>>) -> String {
        format!("{prices:?}")
    }
    async fn sign(State(name): State<String>, event: Event, next: Next) -> Reply {
        next.run(event).await.push(" says ").push(&name)
    }
    let app = Router::new().command("!shop", whole).command("!price", price).layer(from_fn(sign));
    let app = app.with_state(Shop { name: "Bo".into(), prices: Arc::new(vec![3]) });
    assert_eq!(say(&app, "!shop").await, ["Bo Bo says Bo"]);
    assert_eq!(say(&app, "!price").await, ["[3] says Bo"]);
}

#[tokio::test]
async fn an_error_is_one_polite_sentence_and_drops_what_was_promised() {
    async fn fails(cx: Context) -> crate::error::Result<()> {
        cx.reply("half an answer");
        Err("password=hunter2".parse::<u8>().unwrap_err())?
    }
    let app = Router::new().command("!fail", fails).with_state(());
    let answer = answer(&app, from("alice", "!fail")).await;
    assert!(matches!(answer.ending, Ending::Failed(_)));
    assert_eq!(told(answer), ["Sorry, something went wrong. It has been logged."]);
}

#[tokio::test]
async fn a_command_runs_however_it_is_typed() {
    let app = Router::new()
        .command("!ping", rest)
        .command("!café crème", says!("au lait"))
        .exact("good  bot\u{200b}", says!("thanks"))
        .exact("❤", says!("too"))
        .nest("!liste", Router::new().command("hinzufügen", rest))
        .with_state(());
    for text in [
        "\u{200b}!ping",
        "\u{feff}!ping",
        "!ping\u{200e}",
        "\u{2068}!ping\u{2069}",
        "！ｐｉｎｇ",
        "\u{2060} !pi\u{ad}ng",
    ] {
        assert_eq!(say(&app, text).await, ["[]"], "{text:?}");
        assert_eq!(
            say(&app, &format!("{text}\u{a0}me\n👩\u{200d}💻 ")).await,
            ["[me\n👩\u{200d}💻]"],
            "{text:?}"
        );
    }
    assert_eq!(say(&app, "!cafe\u{301}\u{3000}CRE\u{300}ME").await, ["au lait"]);
    assert_eq!(say(&app, "Good\u{a0}bot").await, ["thanks"]);
    assert_eq!(say(&app, "❤\u{fe0f}").await, ["too"]);
    assert_eq!(say(&app, "!liste \u{200b} hinzufu\u{308}gen  Ä").await, ["[Ä]"]);
    assert_eq!(say(&app, "!liste\u{200b}hinzufügen").await, [""; 0], "nobody sees a space there");
    assert_eq!(say(&app, "\u{200b}").await, [""; 0]);
    assert_eq!(say(&app, &"\u{301}".repeat(100_000)).await, [""; 0]);
}

#[tokio::test]
async fn a_pattern_is_found_however_it_is_typed_and_catches_what_was_written() {
    let app = Router::new()
        .regex("^!cafe\u{301} (?P<what>.+)$", |Captures(what): Captures<String>| async move {
            format!("[{what}]")
        })
        .regex(
            r"^!add (\d+) (\d+)$",
            |Captures((a, b)): Captures<(u8, u8)>| async move { (a + b).to_string() },
        )
        .regex("^I ❤\u{fe0f} (.+)$", |Captures(whom): Captures<String>| async move { whom })
        .with_state(());
    assert_eq!(say(&app, "\u{200b}!café e\u{301}\u{200d}a\u{feff}").await, ["[e\u{301}\u{200d}a]"]);
    assert_eq!(say(&app, "!a\u{ad}dd ４\u{2068} 2\u{2069}").await, ["6"]);
    assert_eq!(say(&app, "I ❤ 👩\u{200d}💻").await, ["👩\u{200d}💻"]);
    assert_eq!(say(&app, "I ❤\u{fe0f} U").await, ["U"]);
}

#[tokio::test]
async fn who_speaks_to_the_bot_by_name_is_heard() {
    async fn chat(
        crate::extract::Addressed(is_addressed): crate::extract::Addressed,
        Rest(text): Rest,
    ) -> String {
        format!("{is_addressed} [{text}]")
    }
    let app = Router::new()
        .command("!ping", rest)
        .regex("^[0-9]+$", says!("a number"))
        .fallback(chat)
        .with_state(());
    let bot = || Sender::known_as("bot", Some("Bot"), None::<&str>);
    let event = |text: &str| {
        let mut message = Message::text("1", text);
        let places = text.match_indices('\u{fffc}').map(|(at, place)| at..at + place.len());
        message.mentions = places.map(|range| crate::event::Mention { who: bot(), range }).collect();
        Event::new("1", Conversation::group("g"), Sender::new("alice"), message).with_bot(bot())
    };
    assert_eq!(told(answer(&app, event("\u{fffc} !ping")).await), ["[]"]);
    assert_eq!(told(answer(&app, event("\u{fffc}: !ping \u{fffc} now")).await), ["[\u{fffc} now]"]);
    assert_eq!(told(answer(&app, event("\u{fffc} 42")).await), ["a number"]);
    assert_eq!(told(answer(&app, event("\u{fffc}\u{2069} hello")).await), ["true [hello]"]);
    assert_eq!(told(answer(&app, event("\u{fffc}")).await), ["true []"]);
    assert_eq!(told(answer(&app, event("hello")).await), ["false [hello]"]);
}

#[tokio::test]
async fn the_last_argument_is_what_was_written() {
    async fn note(Args((n, text)): Args<(u32, String)>) -> String {
        format!("{n} [{text}]")
    }
    let app = Router::new().command("!note", note).with_state(());
    for text in [
        "line one\nline  two",
        "'tis the season",
        "rock 'n roll",
        "a 3\" pipe",
        "say \"hi\" now",
        "to \u{fffc} 👩\u{200d}💻",
    ] {
        assert_eq!(say(&app, &format!("!note\u{a0}５ {text} ")).await, [format!("5 [{text}]")]);
    }
    assert_eq!(say(&app, "!note 5 'one thing'").await, ["5 [one thing]"]);
}

#[test]
fn a_bot_without_concurrent_commands_is_not_asked_for_them_and_a_long_text_is_none() {
    let app = Router::new().command("!stop", says!("ok")).with_state(());
    assert!(app.concurrency().is_none());
    let app = Router::new().route(Trigger::command("!stop").concurrent(), says!("ok")).with_state(());
    let is_concurrent = app.concurrency().expect("one is");
    let text = |length: usize| from("alice", &format!("!stop {}", "x".repeat(length - 6)));
    assert!(is_concurrent(&text(4096)) && !is_concurrent(&text(4097)));
    assert!(app.matches(&text(4097)), "it waits for its turn");
}

#[test]
fn a_pattern_reads_as_a_command_when_it_begins_with_fixed_words() {
    let has_first_words = |pattern| patterns::has_first_words(&Regex::new(pattern).expect("a pattern"));
    for pattern in [
        "^!prime",
        r"^!prime (\d+)$",
        "(?i)^!prime",
        "^(!a|!b)",
        "^[!/]ping",
        "^(?:!)ping",
        r"\A!a",
        "^[kK]!?",
    ] {
        assert!(has_first_words(pattern), "{pattern}");
    }
    for pattern in [
        "", ".*", "^", "!prime", r"^\d+$", "^[0-9]", "^.!a", "^!*a?", "^(!a|.+)", "(?m)^!a", "^(!a)?",
        "a|^!b",
    ] {
        assert!(!has_first_words(pattern), "{pattern}");
    }
}

/// A trigger in a property test; the name is its place in the list.
#[derive(Clone, Debug)]
enum Kinds {
    Exact(String),
    Command(String),
    Pattern(&'static str),
}

fn words(most: usize) -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["!a", "!A", "b", "B", "é", "É", "1"]);
    prop::collection::vec(word, 1..=most).prop_map(|words| words.join(" "))
}

fn triggers() -> impl Strategy<Value = Vec<(Kinds, bool)>> {
    let patterns = vec!["a", "^!a", r"\d", r"(?i)b é", r"^\w+$", "é|1", r"\bb\b", "(?P<x>.+) 1"];
    let kind = prop_oneof![
        words(3).prop_map(Kinds::Exact),
        words(3).prop_map(Kinds::Command),
        prop::sample::select(patterns).prop_map(Kinds::Pattern),
    ];
    prop::collection::vec((kind, prop::bool::weighted(0.7)), 0..12).prop_map(|mut triggers| {
        let mut taken = std::collections::HashSet::new();
        triggers.retain(|(kind, _)| taken.insert(format!("{kind:?}").to_lowercase()));
        triggers
    })
}

/// Tries one trigger after another.
fn naive(triggers: &[(Kinds, bool)], text: &str) -> Option<(usize, usize)> {
    let lower = text.to_lowercase();
    let allowed = || triggers.iter().enumerate().filter(|(_, (_, allowed))| *allowed);
    let exact =
        allowed().find(|(_, (kind, _))| matches!(kind, Kinds::Exact(exact) if exact.to_lowercase() == lower));
    let command = allowed().filter_map(|(place, (kind, _))| match kind {
        Kinds::Command(words) => {
            let rest = lower.strip_prefix(&words.to_lowercase())?;
            let count = words.split(' ').count();
            (rest.is_empty() || rest.starts_with(' ')).then_some((place, count))
        }
        _ => None,
    });
    let pattern = allowed().find(|(_, (kind, _))| match kind {
        Kinds::Pattern(pattern) => Regex::new(pattern).expect("a pattern").is_match(text),
        _ => false,
    });
    let exact = exact.map(|(place, _)| (place, 0));
    exact.or(command.max_by_key(|(_, count)| *count)).or(pattern.map(|(place, _)| (place, 0)))
}

/// Parts of patterns, each with two texts that it matches.
const PIECES: &[(&str, [&str; 2])] = &[
    ("a", ["a", "a"]),
    ("é", ["é", "é"]),
    (".", ["-", "k"]),
    (r"\b", ["", " "]),
    ("^", ["", ""]),
    ("$", ["", ""]),
    ("(a|bk)", ["a", "bk"]),
    ("(?i:ks)", ["Ks", "\u{212a}ſ"]),
    ("(?i:É)", ["é", "É"]),
    ("(?i:a1)", ["a1", "A1"]),
    ("a{2}", ["aa", "aa"]),
    ("(ab){2}", ["abab", "abab"]),
    ("b?", ["", "b"]),
    ("(a|1)*", ["", "1a1"]),
    ("b+", ["b", "bbb"]),
    ("(ab|1b){1,2}", ["1b", "1bab"]),
    ("[kK]", ["k", "K"]),
    (r"\w", ["a", "é"]),
    ("(?:k|)", ["", "k"]),
    ("(a{0}|b)", ["", "b"]),
];

/// A pattern, and a text that it matches unless an assertion in it fails.
fn pattern() -> impl Strategy<Value = (String, String)> {
    let piece = (prop::sample::select(PIECES), any::<bool>());
    let piece = piece.prop_map(|((piece, texts), second)| (piece, texts[usize::from(second)]));
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.into_iter().unzip())
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn one_pass_finds_what_trying_each_would_find(triggers in triggers(), text in words(4)) {
        let mut router = Router::new();
        for (place, (kind, allowed)) in triggers.iter().enumerate() {
            let trigger = match kind {
                Kinds::Exact(text) => Trigger::exact(text),
                Kinds::Command(words) => Trigger::command(words),
                Kinds::Pattern(pattern) => Trigger::regex(pattern),
            };
            let trigger = trigger.name(place.to_string());
            let trigger = if *allowed { trigger } else { trigger.senders(["nobody"]) };
            router = router.route(trigger, says!("ok"));
        }
        let app = router.with_state(());
        let event = from("alice", &text);
        let found = app
            .find(&event)
            .map(|found| (found.route.matched.facts.name.clone(), found.command_words));
        let expected = naive(&triggers, &text).map(|(place, words)| (place.to_string(), words));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_driver_takes_for_concurrent_what_goes_to_a_concurrent_command(
        outer in triggers(),
        inner in triggers(),
        has_fallback in any::<bool>(),
        text in words(4),
        is_nested in any::<bool>(),
    ) {
        let fill = |mut router: Router, triggers: &[(Kinds, bool)]| {
            for (place, (kind, is_concurrent)) in triggers.iter().enumerate() {
                let trigger = match kind {
                    Kinds::Exact(text) => Trigger::exact(text),
                    Kinds::Command(words) => Trigger::command(words),
                    Kinds::Pattern(pattern) => Trigger::regex(pattern),
                };
                let can_be = *is_concurrent && !matches!(kind, Kinds::Pattern(_));
                let trigger = if can_be { trigger.concurrent() } else { trigger };
                let trigger = if place % 4 == 3 { trigger.senders(["nobody"]) } else { trigger };
                router = router.route(trigger, says!("ok"));
            }
            router
        };
        let has_more = has_fallback || inner.iter().any(|(kind, _)| matches!(kind, Kinds::Pattern(_)));
        let inner = fill(Router::new(), &inner);
        let inner = if has_fallback { inner.fallback(says!("ok")) } else { inner };
        let router = fill(Router::new(), &outer).route(Trigger::command("n").concurrent().alias("m"), says!("ok"));
        let app = router.nest("n !a", inner).with_state(());
        let text = if is_nested { format!("n !a {text}") } else { text };
        for event in [from("alice", &text), from("alice", &format!("N {text}"))] {
            let is_concurrent = app.concurrency().expect("one is");
            let goes_to_one = app.find(&event).is_some_and(|found| found.route.matched.facts.is_concurrent);
            // Where a pattern behind `nest` might match, it is not asked, and the message waits for its turn.
            let is_known = !has_more || !event.text().unwrap_or_default().to_lowercase().starts_with("n !a");
            let is_right = if is_known { is_concurrent(&event) == goes_to_one } else { goes_to_one || !is_concurrent(&event) };
            prop_assert!(is_right, "{}: {}", text, goes_to_one);
        }
    }

    #[test]
    fn no_literal_hides_a_pattern(
        pairs in prop::collection::vec(pattern(), 1..4),
        around in "[ab1 -]{0,2}",
    ) {
        let (sources, texts): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let text = format!("{around}{}{around}", texts[0]);
        let all: Vec<_> =
            sources.iter().map(|source| Arc::new(Regex::new(source).expect("a pattern"))).collect();
        let expected: Vec<_> = (0..all.len()).filter(|place| all[*place].is_match(&text)).collect();
        let mut found = Vec::new();
        Patterns::new(all).find(&text, |place| -> Option<()> { found.push(place); None });
        prop_assert_eq!(found, expected);
    }
}
