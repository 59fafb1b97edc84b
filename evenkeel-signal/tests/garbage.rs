//! Nothing that can come over the wire makes the parser panic, or a bot fall silent.
//!
//! 100,000 frames (10,000 through a socket) by default; `EVENKEEL_LONG=1` makes it a million. `EVENKEEL_SEED` repeats a run.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::path::Path;

use evenkeel::{Bot, Rest, Router};
use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::Options;
use evenkeel_signal::standin::people::{BOT, Person};
use evenkeel_signal::{OwnMessages, Signal};

/// xorshift64*: small, fast and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

fn samples() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/envelopes");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The order of a directory is nobody's promise; the seed is ours.
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

const PIECES: [&str; 24] = [
    "null",
    "true",
    "{}",
    "[]",
    "-1",
    "1e400",
    "18446744073709551616",
    "0.5",
    "\"\"",
    "\"\\ud83d\"",
    "\"\\u0000\"",
    "\"👋\"",
    "[[[[",
    "{\"a\":",
    "\"start\":2,",
    "\"length\":99999999999,",
    "\"uuid\":",
    "\"groupInfo\":",
    "\"editMessage\":",
    "\"params\":",
    "\"syncMessage\":",
    "\"message\":",
    ",",
    "\"",
];

/// Changes a frame in a few places, as bytes: half of what comes out is no JSON, and some is no UTF-8.
fn mutate(chance: &mut Chance, frame: &mut Vec<u8>, samples: &[Vec<u8>]) {
    for _ in 0..=chance.below(4) {
        let at = chance.below(frame.len() + 1);
        let end = (at + chance.below(40)).min(frame.len());
        match chance.below(16) {
            0 => frame.truncate(at),
            1 => drop(frame.drain(at..end)),
            2 => frame.splice(at..end, chance.of(&PIECES).bytes()).for_each(drop),
            3 => {
                let other = chance.of(samples);
                let from = chance.below(other.len());
                frame.splice(at..end, other[from..].iter().copied()).for_each(drop);
            }
            4 => {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = chance.next() as u8;
                }
            }
            _ => replace_value(chance, frame, at),
        }
    }
}

/// Puts another value behind the next colon, so that the frame often stays JSON.
fn replace_value(chance: &mut Chance, frame: &mut Vec<u8>, from: usize) {
    let find = |start: usize, wanted: &[u8]| {
        let rest = frame.get(start..).unwrap_or_default();
        rest.iter().position(|byte| wanted.contains(byte)).map(|at| start + at)
    };
    let Some(colon) = find(from, b":") else {
        return;
    };
    let end = find(colon + 1, b",}]").unwrap_or(frame.len());
    let value = *chance.of(&PIECES[..12]);
    frame.splice(colon + 1..end, value.bytes()).for_each(drop);
}

/// A frame from a few random bytes, or a broken one of the samples.
fn garbage(number: usize, chance: &mut Chance, samples: &[Vec<u8>]) -> String {
    let mut frame = if number.is_multiple_of(10) {
        (0..chance.below(200)).map(|_| chance.next() as u8).collect()
    } else {
        chance.of(samples).clone()
    };
    mutate(chance, &mut frame, samples);
    String::from_utf8_lossy(&frame).into_owned()
}

/// A million in the long form.
fn frames(short: usize) -> usize {
    let is_long = std::env::var_os("EVENKEEL_LONG").is_some_and(|value| value == "1");
    if is_long { 1_000_000 } else { short }
}

fn chance() -> Chance {
    let seed = std::env::var("EVENKEEL_SEED").map_or(0x5eed, |seed| seed.parse().unwrap());
    eprintln!("EVENKEEL_SEED={seed}");
    Chance(seed | 1)
}

/// Through the socket, into a running bot: it goes on answering, and keeps nothing of what it was sent.
#[tokio::test]
async fn a_bot_that_was_fed_garbage_answers_the_next_command() {
    const ROUND: usize = 2_000;
    async fn alive(Rest(token): Rest) -> String {
        format!("alive {token}")
    }
    let standin = Standin::start(Options::default()).unwrap();
    let signal = Signal::new(BOT, &standin.url()).unwrap();
    let bot = Bot::new(Router::new().command("!alive", alive)).transport(signal).in_memory();
    let bot = bot.with_shutdown(std::future::pending());
    let status = bot.status();
    let bot = tokio::spawn(bot.serve());
    standin.wait_for_sockets(1).await;
    let (mut chance, samples) = (chance(), samples());
    for round in 0..frames(10_000) / ROUND {
        for number in 0..ROUND {
            standin.frame(BOT, garbage(number, &mut chance, &samples));
        }
        standin.say(&Person::alice(), &format!("!alive {round}"));
        let wanted = format!("alive {round}");
        standin.wait_for(|seen| seen.texts().contains(&wanted.as_str())).await;
    }
    status.idle().await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.running, snapshot.waiting, snapshot.outbox, snapshot.refused), (0, 0, 0, 0));
    assert!(snapshot.undeliverable > 0, "what could not be understood is counted");
    bot.abort();
}

#[test]
fn no_frame_makes_the_parser_panic() {
    let (frames, mut chance) = (frames(100_000), chance());
    let signal = Signal::new("+15550100000", "localhost:1").unwrap().with_own_messages(OwnMessages::All);
    let samples = samples();
    let (mut events, mut nothing, mut lost) = (0, 0, 0);
    for number in 0..frames {
        match signal.parse(&garbage(number, &mut chance, &samples)) {
            Ok(Some(event)) => {
                check(&event);
                events += 1;
            }
            Ok(None) => nothing += 1,
            Err(_) => lost += 1,
        }
    }
    println!("{events} events, {nothing} nothing, {lost} undeliverable");
    assert!(events > frames / 20 && lost > frames / 20, "the mutations are too tame or too wild");
}

/// Whatever comes out can be relied on.
fn check(event: &evenkeel::Event) {
    assert!(!event.id().is_empty());
    let Some(message) = event.message() else {
        return;
    };
    for mention in &message.mentions {
        assert!(message.text.get(mention.range.clone()).is_some());
    }
}
