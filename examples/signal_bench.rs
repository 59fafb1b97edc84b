//! The bot that measurements use: plain, on default settings. It reads the `SIGNAL_*` variables, or `BENCH_LINES`.
//!
//! Every reply holds the token that the command came with. `!block`, `!freeze`, `!nap`, `!lull`, `!spin` and `!cpu`
//! do what no handler should: that is what they are for.

#[path = "signal_bench/promises.rs"]
mod promises;
#[path = "signal_bench/outside.rs"]
mod outside;
#[path = "signal_bench/lines.rs"]
mod lines;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use evenkeel::guarantee::OnUnknown;
use evenkeel::{App, Bot, Error, Rest, Result, Router};
use evenkeel_signal::Signal;
use outside::Outside;
use tokio::time::sleep;

/// A file that is made when the first handler of the process runs, for who measures how long that takes.
const FIRST: &str = "BENCH_FIRST";

async fn ping(Rest(token): Rest) -> String {
    static HAS_RUN: AtomicBool = AtomicBool::new(false);
    // No `Once`, for anyone who waits in one is taken for a handler that blocks; and the file is made on a thread of its own.
    if !HAS_RUN.swap(true, Ordering::Relaxed)
        && let Ok(path) = std::env::var(FIRST)
    {
        std::thread::spawn(move || std::fs::File::create(path));
    }
    format!("pong {token}")
}

async fn wait(Rest(token): Rest) -> String {
    sleep(Duration::from_millis(200)).await;
    format!("waited {token}")
}

async fn block(Rest(token): Rest) -> String {
    std::thread::sleep(Duration::from_millis(200));
    format!("blocked {token}")
}

async fn freeze(Rest(token): Rest) -> String {
    std::thread::sleep(Duration::from_secs(5));
    format!("thawed {token}")
}

async fn nap(Rest(token): Rest) -> String {
    std::thread::sleep(Duration::from_secs(1));
    format!("napped {token}")
}

/// Blocks the thread that handled the timer, which in a runtime is the thread that waits for the sockets too.
async fn lull(Rest(token): Rest) -> String {
    sleep(Duration::from_millis(1)).await;
    std::thread::sleep(Duration::from_secs(1));
    format!("lulled {token}")
}

async fn spin(Rest(token): Rest) -> String {
    compute(Duration::from_secs(1));
    format!("spun {token}")
}

async fn cpu(Rest(token): Rest) -> String {
    let end = Instant::now() + Duration::from_millis(200);
    let mut sum = 0u64;
    while Instant::now() < end {
        for n in 0..10_000u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
    }
    format!("computed {token}")
}

/// Computes for `time` of CPU: what other threads take of the core meanwhile does not count.
///
/// No call asks for that time, for a call is what this must not make: the shortest of many equal pieces is one
/// that nobody interrupted.
fn compute(time: Duration) {
    let (mut sum, mut pieces, mut shortest) = (0u64, 0, Duration::MAX);
    while shortest.saturating_mul(pieces) < time {
        let start = Instant::now();
        for n in 0..100_000u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
        shortest = shortest.min(start.elapsed());
        pieces += 1;
    }
}

async fn fail(Rest(token): Rest) -> Result<String> {
    Err(Error::new("told to fail").with_user_message(format!("failed {token}")))
}

/// Up to 2 ms, by the token: what a test of order needs.
async fn delay(Rest(token): Rest) -> String {
    let spread = token.bytes().fold(17u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    sleep(Duration::from_micros(spread % 2000)).await;
    format!("delayed {token}")
}

fn app() -> App {
    Router::new()
        .command("!ping", ping)
        .command("!wait", wait)
        .command("!block", block)
        .command("!freeze", freeze)
        .command("!nap", nap)
        .command("!lull", lull)
        .command("!spin", spin)
        .command("!cpu", cpu)
        .command("!fail", fail)
        .command("!delay", delay)
        .merge(promises::router())
        .with_state(())
        // Every message is to be answered, if need be twice.
        .with_on_unknown(OnUnknown::Resend)
}

fn main() -> Result<()> {
    match std::env::var(lines::ADDRESS) {
        Ok(address) => {
            let bot = Bot::new(app());
            let lines = lines::Lines::new(address).with_outside(Outside::from_env(&bot.handle()));
            bot.transport(lines).run()
        }
        Err(_) => evenkeel::run(Signal::from_env()?, app()),
    }
}

#[tokio::test(start_paused = true)]
async fn every_reply_holds_the_token() {
    let mut chat = evenkeel::testing::chat(app()).may_block();
    for command in ["!ping", "!wait", "!block", "!nap", "!lull", "!spin", "!cpu", "!fail", "!delay", "!abort"]
    {
        let replies = chat.say(&format!("{command} t0k3n")).await;
        assert!(replies.text().ends_with(" t0k3n"), "{command}: {replies:?}");
    }
}
