//! Commands that promise: their replies say which run of the handler made them.
//!
//! Anyone who kills the bot tells by that whether a reply that comes again is the same reply.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel::offload::blocking;
use evenkeel::{Context, Reply, Rest, Result, Router};
use tokio::time::sleep;

/// Differs from one start of the process to the next by far more than a process has runs.
static RUN: LazyLock<AtomicU64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    AtomicU64::new(now.as_nanos() as u64)
});

/// One reply.
async fn echo(Rest(token): Rest) -> String {
    let run = run();
    // Up to 2 ms, by the token: a bot that runs a conversation's handlers at once would answer in another order.
    let spread = token.bytes().fold(17u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    sleep(Duration::from_micros(spread % 2000)).await;
    format!("said {token} r{run}")
}

/// Two replies: both or none.
async fn two(Rest(token): Rest) -> Reply {
    let run = run();
    Reply::text(format!("first {token} r{run}")).and(format!("second {token} r{run}"))
}

/// One reply while the handler runs, and one after it.
async fn now(cx: Context, Rest(token): Rest) -> Result<String> {
    let run = run();
    cx.reply_now(format!("now {token} r{run}")).await?;
    Ok(format!("then {token} r{run}"))
}

/// Ends the process, and leaves word of it in the file that this variable names.
const ABORTS: &str = "BENCH_ABORTS";

async fn abort(Rest(token): Rest) -> Result<String> {
    let Ok(path) = std::env::var(ABORTS) else { return Ok(format!("spared {token}")) };
    let word = blocking(move || {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(format!("{token}\n").as_bytes())
    });
    word.await??;
    std::process::abort()
}

pub(crate) fn run() -> u64 {
    RUN.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn router() -> Router {
    Router::new().command("!echo", echo).command("!two", two).command("!now", now).command("!abort", abort)
}

#[tokio::test(start_paused = true)]
async fn replies_of_one_run_name_the_same_run() {
    let mut chat = evenkeel::testing::chat(router());
    for (command, words) in
        [("!echo", &["said"][..]), ("!two", &["first", "second"]), ("!now", &["now", "then"])]
    {
        let replies = chat.say(&format!("{command} t1e")).await;
        let text = replies.text();
        let runs: Vec<_> = text.lines().map(|line| line.split(' ').next_back()).collect();
        assert_eq!(runs.len(), words.len(), "{command}: {replies:?}");
        assert!(runs.iter().all(|run| run == &runs[0]), "{command}: {replies:?}");
    }
}
