//! What the guard costs: throughput, an idle bot's CPU, the memory of a handler that is stuck.

use std::io;
use std::time::{Duration, Instant};

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};
use evenkeel_signal::standin::people::Person;

use super::Plan;
use super::figures::{median, text};
use super::goals::{Row, absent, verdict};
use crate::contender::{Contender, Running};
use crate::signal::run::{Figures, once, wait_for_socket};
use crate::signal::{self, scenario};

/// The variable that chooses what the guard does.
const GUARD: &str = "EVENKEEL_GUARD";
const STUCK: u32 = 200;
const PATIENCE: Duration = Duration::from_secs(10);
/// After this long without work, a bot is at rest.
const REST: Duration = Duration::from_millis(500);

/// A row that is about the bot alone.
pub(super) struct Cost {
    pub(super) name: &'static str,
    pub(super) measure: fn(&Plan, &Contender) -> io::Result<Row>,
}

/// In the order of the table.
pub(super) static COSTS: [Cost; 3] = [
    Cost { name: "guard", measure: throughput },
    Cost { name: "guard-idle", measure: idle },
    Cost { name: "stuck-memory", measure: memory },
];

fn with_guard(bot: &Contender, mode: &'static str) -> Contender {
    bot.clone().with_setting(GUARD, mode)
}

/// The closed loop of `ping`, with the guard on and off in turn.
fn throughput(plan: &Plan, bot: &Contender) -> io::Result<Row> {
    let mut load = signal::Plan::of(&scenario::PING);
    load.messages = if plan.is_short { 20_000 } else { 200_000 };
    let repeats = plan.repeats.unwrap_or(if plan.is_short { 1 } else { 7 });
    let bots = [with_guard(bot, "full"), with_guard(bot, "off")];
    let mut runs: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..repeats {
        for ((bot, runs), mode) in bots.iter().zip(&mut runs).zip(["full", "off"]) {
            let run = once(&load, bot)?;
            println!(
                "  guard        {mode:<9} {:.0} msgs/s, {:.2} us CPU each",
                run.per_second, run.cpu_micros
            );
            runs.push(run);
        }
    }
    let [on, off] = runs.each_ref().map(|runs| median(runs, |run| run.per_second as u64) as f64);
    let [on_cpu, off_cpu] =
        runs.each_ref().map(|runs| median(runs, |run| (run.cpu_micros * 1e3) as u64) as f64);
    Ok(Row {
        about: format!("throughput, guard on / off (medians of {repeats})"),
        goal: "at least 0.99",
        hand_loop: absent(),
        ours: format!("{:.3}: {on:.0} msgs/s (CPU {:.3})", on / off, on_cpu / off_cpu),
        floor: format!("{off:.0} msgs/s with the guard off"),
        verdict: verdict(on / off >= 0.99),
    })
}

/// The CPU of a bot that was used once and then left alone.
fn idle(plan: &Plan, bot: &Contender) -> io::Result<Row> {
    let time = Duration::from_millis(if plan.is_short { 500 } else { 20_000 });
    let mut shares = [0.0; 2];
    for (mode, share) in ["full", "off"].into_iter().zip(&mut shares) {
        let stage = Stage::start(&with_guard(bot, mode))?;
        stage.ping_all(1)?;
        std::thread::sleep(REST * if plan.is_short { 1 } else { 4 });
        let (before, start) = (stage.running.process().thread_times()?, Instant::now());
        std::thread::sleep(time);
        let (after, elapsed) = (stage.running.process().thread_times()?, start.elapsed());
        // A thread that has ended meanwhile took what it used with it; an idle bot's threads do not end.
        let used: Duration = after
            .iter()
            .map(|(id, time)| time.saturating_sub(before.get(id).copied().unwrap_or_default()))
            .sum();
        *share = used.as_secs_f64() / elapsed.as_secs_f64() * 100.0;
        println!(
            "  guard-idle   {mode:<9} {} of CPU in {}, {} threads",
            text(used),
            text(elapsed),
            after.len()
        );
    }
    Ok(Row {
        about: format!("CPU of an idle bot over {time:?}"),
        goal: "at most 0.1 % of a core",
        hand_loop: absent(),
        ours: format!("{:.3} %", shares[0]),
        floor: format!("{:.3} % with the guard off", shares[1]),
        verdict: verdict(shares[0] <= 0.1),
    })
}

/// Resident memory before, and with as many handlers stuck as the bot lets be stuck at once.
fn memory(_: &Plan, bot: &Contender) -> io::Result<Row> {
    let stage = Stage::start(&with_guard(bot, "full"))?;
    // The conversations and the connections that the answers need are there before.
    stage.ping_all(STUCK)?;
    // So is what stays of the first report, once the line tables are put away again.
    stage.say_all(1, "!nap t0e");
    std::thread::sleep(Duration::from_millis(4_500));
    let (idle_threads, idle_bytes) = stage.size()?;
    stage.say_all(STUCK, "!freeze t1e");
    // The first wakes after five seconds.
    let end = Instant::now() + Duration::from_millis(4_500);
    let (mut threads, mut bytes, mut peak_bytes) = (idle_threads, idle_bytes, idle_bytes);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        let (threads_now, bytes_now) = stage.size()?;
        peak_bytes = peak_bytes.max(bytes_now);
        // The guard puts the line tables away that it read for the first report; what stays is what a handler costs.
        if threads_now >= threads {
            (threads, bytes) = (threads_now, bytes_now);
        }
    }
    let stuck = threads.saturating_sub(idle_threads).max(1);
    let kib_each = bytes.saturating_sub(idle_bytes) as f64 / 1024.0 / stuck as f64;
    println!(
        "  stuck-memory {:<9} {idle_threads} threads, {} KiB; then {threads} threads, {} KiB, at most {} KiB",
        "full",
        idle_bytes / 1024,
        bytes / 1024,
        peak_bytes / 1024
    );
    Ok(Row {
        about: format!("memory per stuck handler, {STUCK} x `!freeze`"),
        goal: "at most 16 KiB resident",
        hand_loop: absent(),
        ours: format!(
            "{kib_each:.1} KiB ({stuck} threads more); {} MiB in all at the first report",
            peak_bytes >> 20
        ),
        floor: format!("{} KiB with none stuck", idle_bytes / 1024),
        verdict: verdict(kib_each <= 16.0),
    })
}

/// A bot and the server that it talks to; dropping it ends both.
struct Stage {
    running: Running,
    standin: Standin,
}

impl Stage {
    fn start(bot: &Contender) -> io::Result<Self> {
        let standin = Standin::start(Options::default().with_recording(Recording::Counts))?;
        let mut running = bot.start(&standin.address().to_string())?;
        wait_for_socket(&standin, &mut running, bot.name)?;
        Ok(Self { running, standin })
    }

    fn say_all(&self, people: u32, text: &str) {
        for n in 0..people {
            self.standin.say(&Person::nth(n), text);
        }
    }

    /// Lets as many people ping, and waits until all are answered.
    fn ping_all(&self, people: u32) -> io::Result<()> {
        self.say_all(people, "!ping t0e");
        let start = Instant::now();
        while self.standin.transcript().send_count < u64::from(people) {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other("the bot does not answer"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Returns the number of threads, and the resident bytes.
    fn size(&self) -> io::Result<(usize, u64)> {
        let process = self.running.process();
        Ok((process.thread_times()?.len(), process.resident_bytes_exact()?))
    }
}
