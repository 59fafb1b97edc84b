//! What it costs to find the handler of a message: a small router beside a large one.

use std::hint::black_box;
use std::time::{Duration, Instant};

use evenkeel::{App, Conversation, Event, Message, Router, Sender};

/// A router's size, patterns in the same share.
struct Size {
    commands: usize,
    patterns: usize,
}

const SMALL: Size = Size { commands: 10, patterns: 2 };
const LARGE: Size = Size { commands: 1_000, patterns: 200 };
/// How long each kind of message is measured on each router, several times over.
const SPAN: Duration = Duration::from_millis(60);
const REPEATS: usize = 7;
/// What the large router may cost, as a multiple of the small one.
const RATIO_GOAL: f64 = 1.5;
const NANOSECONDS_GOAL: f64 = 2_000.0;

/// Prints a table: one row for each kind of message.
pub(crate) fn run() {
    let (small, large) = (SMALL.app(), LARGE.app());
    println!(
        "router: {} commands and {} patterns beside {} and {}; ns per message, best of {REPEATS}, warm",
        SMALL.commands, SMALL.patterns, LARGE.commands, LARGE.patterns
    );
    println!("{:<44}{:>10}{:>10}{:>9}", "message", "small", "large", "ratio");
    let kinds = kinds();
    for (name, for_small, for_large) in &kinds {
        row(name, measure(&small, for_small), measure(&large, for_large));
    }
    let all = |pick: fn(&Kind) -> &Vec<Event>| kinds.iter().flat_map(pick).cloned().collect::<Vec<_>>();
    let (small, large) = (measure(&small, &all(|kind| &kind.1)), measure(&large, &all(|kind| &kind.2)));
    row("all of these in turn", small, large);
    let is_met = large < NANOSECONDS_GOAL && large / small < RATIO_GOAL;
    let verdict = if is_met { "met" } else { "missed" };
    println!("goal: under {NANOSECONDS_GOAL} ns and under {RATIO_GOAL}x in the last row: {verdict}");
}

fn row(name: &str, small: f64, large: f64) {
    println!("{name:<44}{small:>10.0}{large:>10.0}{:>8.2}x", large / small);
}

impl Size {
    fn app(&self) -> App {
        let mut router = Router::new();
        for index in 0..self.commands {
            router = router.command(command(index), nothing);
        }
        for index in 0..self.patterns {
            router = router.regex(&pattern(index), nothing);
        }
        router.with_state(())
    }
}

async fn nothing() {}

fn command(index: usize) -> String {
    // Some have two words, as `!list add` has.
    if index % 10 == 7 { format!("!group{} add", index / 10) } else { format!("!command{index}") }
}

/// Patterns as people write them; each kind is a tenth of all.
fn pattern(index: usize) -> String {
    match index % 10 {
        0 => format!(r"^!weather{index} (?P<city>.+)$"),
        1 => format!(r"(?i)\bwhere is room{index}\b"),
        2 => format!(r"^!prime{index} (\d+)$"),
        3 => format!(r"^!add{index} (-?\d{{1,9}}) (-?\d{{1,9}})$"),
        4 => format!(r"(?i)^(hi|hello|hey) bot{index}[!.]*$"),
        5 => format!(r"https?://site{index}\.example/(?P<path>[\w/-]+)"),
        6 => format!(r"\bISSUE{index}-(\d+)\b"),
        7 => format!(r"^remind{index} (?P<who>\w+) in (?P<count>\d+) (minutes|hours|days) to (?P<what>.+)$"),
        8 => format!(r"(?P<name>\w+)\+\+{index}$"),
        _ => format!(r"^!roll{index} (?P<count>\d*)d(?P<sides>\d+)(\s*\+\s*(\d+))?$"),
    }
}

/// A kind of message, as the small router and as the large one get it.
type Kind = (&'static str, Vec<Event>, Vec<Event>);

fn kinds() -> Vec<Kind> {
    let same = |name, texts: &[&str]| (name, events(texts), events(texts));
    let last = LARGE.commands - 1;
    let hits = |first: usize| {
        let texts = [
            format!("!weather{first} Santiago de Compostela"),
            format!("Anybody knows WHERE IS ROOM{}?", first + 1),
        ];
        events(&texts.each_ref().map(String::as_str))
    };
    let (small, large) = (format!("!command{} now", SMALL.commands - 1), format!("!command{last} now"));
    vec![
        same("the first command", &["!command0 and some words after it"]),
        ("the last command", events(&[&small]), events(&[&large])),
        same("two words, in capitals", &["!GROUP0 ADD milk"]),
        same(
            "a hit of the first two patterns",
            &["!weather0 Santiago de Compostela", "where is room1 please"],
        ),
        ("a hit of two late patterns", hits(0), hits(LARGE.patterns - 10)),
        same("a command that does not exist", &["!unknown thing", "!weather", "!prime2 x"]),
        same("chatter", CHATTER),
        same("chatter beyond ASCII", FOREIGN),
    ]
}

const CHATTER: &[&str] = &[
    "ok",
    "hello everybody, how was the hike yesterday?",
    "I will be there at 7, maybe 10 minutes late, save me a seat",
    "lol",
    "can somebody send me the link to the document we talked about on Tuesday? thanks a lot in advance",
];

const FOREIGN: &[&str] = &[
    "não sei, talvez amanhã à tarde",
    "Grüße aus München, wir sehen uns um 8",
    "всем привет, кто сегодня идёт в кино?",
    "今日は何時に会いますか",
    "great 🎉🎉🎉 see you",
];

fn events(texts: &[&str]) -> Vec<Event> {
    let (conversation, sender) = (Conversation::group("group"), Sender::new("alice"));
    let event =
        |text: &&str| Event::new("1", conversation.clone(), sender.clone(), Message::text("1", *text));
    texts.iter().map(event).collect()
}

/// Nanoseconds for one message: the best of several runs, because whatever else runs can only slow one down.
fn measure(app: &App, events: &[Event]) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let (begin, mut count) = (Instant::now(), 0_u32);
        while begin.elapsed() < SPAN {
            for event in events.iter().cycle().take(256) {
                black_box(app.matches(black_box(event)));
            }
            count += 256;
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    best
}
