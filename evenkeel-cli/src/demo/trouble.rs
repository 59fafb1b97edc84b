//! Trouble: what other bots freeze or fall over at. Watch the page while these run, and write `!ping` as somebody else.

use std::time::{Duration, Instant};

use evenkeel::offload::offload;
use evenkeel::{Args, Error, FromRef, Result, Router, State, Trigger};

/// For how long `!freeze` and `!spin` hold their thread.
#[derive(Clone, Copy)]
pub(super) struct Hold(pub(super) Duration);

impl Default for Hold {
    fn default() -> Self {
        Self(Duration::from_secs(5))
    }
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Hold: FromRef<S>,
{
    let freeze = Trigger::command("!freeze").about("blocks its thread for 5 s; see that nobody else waits");
    let spin = Trigger::command("!spin").about("keeps a core busy for 5 s; see that nobody else waits");
    Router::new()
        .route(Trigger::command("!prime").usage("!prime 1000000007").about("computes, offloaded"), prime)
        .route(Trigger::command("!fail").about("fails: a polite answer here, the causes in the log"), fail)
        .route(Trigger::command("!panic").about("panics: the same, and the bot goes on"), panics)
        .route(freeze, freezes)
        .route(spin, spins)
}

/// The right way to compute: on a bounded pool of its own.
async fn prime(Args(number): Args<u64>) -> Result<String> {
    if number > 10_000_000_000_000_000 {
        return Err(Error::for_user("That would take me too long. Sixteen digits at most!"));
    }
    let divisor = offload(move || smallest_divisor(number)).await?;
    Ok(match divisor {
        _ if number < 2 => format!("{number} is not prime"),
        Some(divisor) => format!("{number} is not prime: {divisor} divides it"),
        None => format!("{number} is prime"),
    })
}

/// The smallest divisor above 1 and below the number itself.
fn smallest_divisor(number: u64) -> Option<u64> {
    let odd = (3..).step_by(2).take_while(|divisor| divisor * divisor <= number);
    std::iter::once(2).filter(|two| *two < number).chain(odd).find(|divisor| number.is_multiple_of(*divisor))
}

/// `?` turns any error into ours, and notes this line.
async fn fail() -> Result<String> {
    let answer: u32 =
        "forty-two".parse().map_err(|error| Error::from(error).context("reading the answer"))?;
    Ok(format!("the answer is {answer}"))
}

async fn panics() {
    panic!("somebody asked for it");
}

/// What nobody should write, and everybody does once. `tokio::time::sleep(..).await` is right.
async fn freezes(State(Hold(hold)): State<Hold>) -> &'static str {
    std::thread::sleep(hold);
    "I slept on a thread that was not mine. Who noticed?"
}

/// The wrong way to compute. `offload` is right.
async fn spins(State(Hold(hold)): State<Hold>) -> String {
    let start = Instant::now();
    let mut rounds = 0_u64;
    while start.elapsed() < hold {
        rounds = std::hint::black_box(rounds + 1);
    }
    format!("{rounds} rounds. Who noticed?")
}
