//! Chance: dice, choices, an oracle. The source of chance is injected, so that tests know what comes.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel::{Args, Error, FromRef, Rest, Result, Router, State, Trigger};
use serde::Deserialize;

/// A source of chance. Clones draw from the same one.
#[derive(Clone)]
pub(super) struct Dice(Arc<Mutex<u64>>);

impl Default for Dice {
    /// Seeded by the standard library's own randomness: good enough for games, and for nothing else.
    fn default() -> Self {
        Self::seeded(RandomState::new().hash_one("dice"))
    }
}

impl Dice {
    /// The same seed gives the same numbers.
    pub(super) fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// A number from 0 to below `limit`, by SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
    pub(super) fn below(&self, limit: usize) -> usize {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = *state;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^= number >> 31;
        (number % limit.max(1) as u64) as usize
    }

    fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Dice: FromRef<S>,
{
    let choose = Trigger::command("!choose").usage("!choose tea coffee 'just water'");
    Router::new()
        .route(Trigger::command("!roll").usage("!roll 2d6").about("rolls dice"), roll)
        .route(choose.about("chooses for you"), choose_one)
        .route(Trigger::command("!8ball").usage("!8ball <question>").about("knows the answer"), oracle)
}

/// This many dice of this many sides.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Throw {
    count: usize,
    sides: usize,
}

impl TryFrom<String> for Throw {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "write `2d6` for two dice of six sides, at most `100d1000`";
        let (count, sides) = text.split_once(['d', 'D']).ok_or(wrong)?;
        let count = if count.is_empty() { 1 } else { count.parse().map_err(|_| wrong)? };
        let sides = sides.parse().map_err(|_| wrong)?;
        let fits = (1..=100).contains(&count) && (2..=1000).contains(&sides);
        fits.then_some(Self { count, sides }).ok_or(wrong)
    }
}

async fn roll(State(dice): State<Dice>, Args(throw): Args<Option<Throw>>) -> String {
    let Throw { count, sides } = throw.unwrap_or(Throw { count: 1, sides: 6 });
    let points: Vec<usize> = (0..count).map(|_| dice.below(sides) + 1).collect();
    let sum: usize = points.iter().sum();
    match points.as_slice() {
        [_] => format!("🎲 {sum}"),
        _ => format!("🎲 {sum} ({})", points.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ")),
    }
}

async fn choose_one(State(dice): State<Dice>, Args(choices): Args) -> Result<String> {
    let choice = dice.pick(&choices);
    choice.cloned().ok_or_else(|| Error::for_user("Between what? Usage: !choose tea coffee 'just water'"))
}

const ANSWERS: [&str; 6] =
    ["Yes.", "No.", "Without a doubt.", "Ask again after tea.", "Better not.", "All signs say yes."];

async fn oracle(State(dice): State<Dice>, Rest(question): Rest) -> Result<String> {
    if question.is_empty() {
        return Err(Error::for_user("Ask me something."));
    }
    Ok(format!("🎱 {}", dice.pick(&ANSWERS).copied().unwrap_or_default()))
}
