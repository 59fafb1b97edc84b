//! A bot that starts with many events that wait: when the first handler runs, and whether it works while the rest is done.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant, SystemTime};

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};
use evenkeel_signal::standin::people::Person;

use super::Plan;
use super::disk::Disk;
use super::medians::median;
use super::quiet::Quiet;
use crate::contender::Contender;
use crate::journal::fill;

const PENDING: u64 = 100_000;
const RUNS: usize = 5;
/// How long the bot may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the ping is waited for when all else is answered.
const REST: Duration = Duration::from_secs(3);
/// What the first handler may take from the start of the process.
const MOST_MS: f64 = 100.0;

/// What one start showed, in milliseconds from it.
struct Start {
    first_handler: f64,
    first_answer: f64,
    /// How long a ping took that came after the first answer, and how many of the old events were answered when it was;
    /// `None` if nobody ever answered it.
    ping: Option<(f64, usize)>,
    all: f64,
}

/// Fills a journal, starts the bot on copies of it, and prints when it did what.
pub(super) fn run(plan: &Plan) -> io::Result<()> {
    let (pending, runs) = if plan.is_short { (5_000, 1) } else { (PENDING, RUNS) };
    let (mut disk, mut quiet) = (Disk::new()?, Quiet::default());
    let full = disk.folder().join("full.db");
    fill::pending(&full, pending)?;
    let bot = plan.bot()?;
    let mut starts = Vec::new();
    for _ in 0..runs {
        disk.settle()?;
        starts.push(quiet.play(plan, || {
            // Which files a killed bot leaves is its own affair, so each has a folder.
            let folder = disk.folder().join("copy");
            fs::create_dir_all(&folder)?;
            let copy = folder.join("journal.db");
            fs::copy(&full, &copy)?;
            let start = start(&bot, &copy, pending as usize);
            fs::remove_dir_all(folder)?;
            start
        })?);
    }
    let of = |figure: fn(&Start) -> f64| {
        let mut all: Vec<f64> = starts.iter().map(figure).collect();
        all.sort_unstable_by(f64::total_cmp);
        let (least, most) = (all.first().copied(), all.last().copied());
        format!("{:.0} ({:.0} to {:.0})", median(&all), least.unwrap_or(0.0), most.unwrap_or(0.0))
    };
    let first = median(&starts.iter().map(|start| start.first_handler).collect::<Vec<_>>());
    let verdict = if first <= MOST_MS { "met" } else { "MISSED" };
    println!(
        "\na start with {pending} pending events; {runs} runs, medians and spread in ms; {}{}",
        disk.heading(),
        quiet.note()
    );
    println!(
        "  from the start of the process to the first handler  {} (at most {MOST_MS}: {verdict})",
        of(|start| start.first_handler)
    );
    println!("  to the first answer at the network  {}", of(|start| start.first_answer));
    println!("  to the last answer  {}", of(|start| start.all));
    let pings: Vec<(f64, usize)> = starts.iter().filter_map(|start| start.ping).collect();
    println!(
        "  a ping that came after the first answer was answered in {} of {runs} runs, after {:.0} ms; of the old ones {:.0} were by then",
        pings.len(),
        median(&pings.iter().map(|(time, _)| *time).collect::<Vec<_>>()),
        median(&pings.iter().map(|(_, answered)| *answered as f64).collect::<Vec<_>>()),
    );
    Ok(())
}

fn start(bot: &Contender, journal: &Path, pending: usize) -> io::Result<Start> {
    let (heard, answers) = mpsc::channel::<(Instant, bool)>();
    let heard = Mutex::new(heard);
    let options = Options::default().with_recording(Recording::Counts).on_send(move |_, sent| {
        let is_new = sent.message.contains("new");
        tell(&heard, (Instant::now(), is_new));
    });
    let standin = Standin::start(options)?;
    let mark = journal.with_extension("first");
    // There is none at the first start.
    let _ = fs::remove_file(&mark);
    let bot = bot.clone().with_setting("EVENKEEL_JOURNAL", journal).with_setting("BENCH_FIRST", &mark);
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let _running = bot.quiet().start(&standin.address().to_string())?;
    let silent = |_| io::Error::other("the bot has answered nothing");
    let (first, _) = answers.recv_timeout(PATIENCE).map_err(silent)?;
    standin.say(&Person::alice(), "!ping new");
    let (said, mut old) = (Instant::now(), 1);
    let (mut ping, mut last) = (None, first);
    while old < pending || ping.is_none() {
        let patience = if old < pending { PATIENCE } else { REST };
        let Ok((at, is_new)) = answers.recv_timeout(patience) else { break };
        if is_new {
            ping = Some((at - said, old));
        } else {
            old += 1;
            last = at;
        }
    }
    if old < pending {
        return Err(io::Error::other(format!("the bot has answered {old} of {pending} and has stopped")));
    }
    let handled_at = fs::metadata(&mark)?.modified()?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Start {
        first_handler: ms(handled_at.duration_since(began_at).unwrap_or_default()),
        first_answer: ms(first - began),
        ping: ping.map(|(time, answered)| (ms(time), answered)),
        all: ms(last - began),
    })
}

fn tell(heard: &Mutex<Sender<(Instant, bool)>>, answer: (Instant, bool)) {
    // Nobody listens once the last one was heard.
    let _heard = heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).send(answer);
}
