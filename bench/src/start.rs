//! How long a bot takes from the start of its process to its first answer.

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};
use evenkeel_signal::standin::people::Person;

use crate::contender::{self, Contender};

const RUNS: usize = 21;
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the bot again and again; the server writes as soon as the bot listens.
pub(crate) fn run() -> io::Result<()> {
    let (found, missing) = Contender::find(&["evenkeel"], &contender::example())?;
    let Some(bot) = found.first() else { return Err(io::Error::other(missing.join(", "))) };
    let mut times = (0..RUNS).map(|_| once(bot)).collect::<io::Result<Vec<_>>>()?;
    times.sort_unstable();
    println!("from the start of the process to the first answer, {RUNS} runs:");
    println!("  median {:.1} ms, slowest {:.1} ms", ms(times[RUNS / 2]), ms(times[RUNS - 1]));
    Ok(())
}

fn once(bot: &Contender) -> io::Result<Duration> {
    let (answered, is_answered) = mpsc::channel();
    let options = Options::default().with_recording(Recording::Counts).on_send(move |_, _| {
        // The run may be over.
        let _heard = answered.send(Instant::now());
    });
    let standin = Standin::start(options)?;
    let began = Instant::now();
    let _running = bot.start(&standin.address().to_string())?;
    while standin.transcript().sockets == 0 {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("the bot has not connected"));
        }
        std::thread::yield_now();
    }
    standin.say(&Person::alice(), "!ping first");
    let end = is_answered.recv_timeout(PATIENCE).map_err(|_| io::Error::other("the bot has not answered"))?;
    Ok(end.duration_since(began))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
