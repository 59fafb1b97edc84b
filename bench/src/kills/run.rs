//! The loop: start, write, kill, again; then let it finish, kill it once more, and read its record.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::history::{self, Findings};
use super::network::{Far, Link, Network, bear_witness};
use super::onlooker::Onlooker;
use super::record::{self, Record};
use super::words::Line;
use super::{Bot, Plan};
use crate::contender::{Contender, Running, steady};
use crate::random::Random;

/// A bot lives for 1 to so many milliseconds.
const LONGEST_LIFE: u64 = 500;
/// The last bot has finished when nothing was missing, or nothing came for so long: longer than its retries take.
const SILENCE: Duration = Duration::from_secs(15);
/// The same for a bot that has forgotten everything.
const SHORT_SILENCE: Duration = Duration::from_secs(3);

/// What came of it.
pub(super) struct Outcome {
    pub(super) findings: Findings,
    /// From each start of the process to its first answer, in order of length.
    pub(super) first_answers: Vec<Duration>,
    /// Lives that ended before the first answer.
    pub(super) silent_lives: usize,
    /// Answers that do not say what they answer.
    pub(super) strange: u64,
    pub(super) elapsed: Duration,
}

/// Plays all rounds.
pub(super) fn play(plan: &Plan) -> io::Result<Outcome> {
    let start = Instant::now();
    let folder = Folder::new()?;
    let onlooker = Onlooker::default();
    let far = Far::start(plan, &onlooker)?;
    let journal = if plan.is_forgetful { PathBuf::from("memory") } else { folder.0.join("journal.db") };
    let address = far.address()?;
    let bot = bot(plan, &journal, &address)?;
    let record = match plan.bot {
        Bot::Evenkeel => record::of(&journal),
        // It is always done in the end, so nothing may be left.
        Bot::Steady(_) => record::nothing(),
    };
    let mut stage = Stage {
        plan,
        far: &far,
        address,
        bot,
        record,
        onlooker,
        random: Random(plan.seed),
        next: 0,
        first_answers: Vec::new(),
        silent_lives: 0,
    };
    for _ in 0..plan.rounds {
        let life = Duration::from_millis(1 + stage.random.below(LONGEST_LIFE));
        stage.live(Some(life))?;
    }
    stage.live(None)?;
    let fates = stage.record.read()?;
    let Stage { mut first_answers, silent_lives, onlooker, .. } = stage;
    first_answers.sort_unstable();
    let seen = onlooker.seen();
    let findings = history::check(&seen.history, &fates);
    let strange = seen.strange;
    Ok(Outcome { findings, first_answers, silent_lives, strange, elapsed: start.elapsed() })
}

/// The bot with its settings.
fn bot(plan: &Plan, journal: &Path, address: &str) -> io::Result<Contender> {
    let name = if plan.bot == Bot::Evenkeel { "evenkeel" } else { "steady" };
    let (contenders, missing) = Contender::find(&[name], &plan.evenkeel)?;
    let Some(bot) = contenders.into_iter().next() else { return Err(io::Error::other(missing.join(", "))) };
    let mut bot = bot.with_setting("EVENKEEL_JOURNAL", journal);
    if plan.network == Network::Lines {
        bot = bot.with_setting("BENCH_LINES", address);
    }
    if let Bot::Steady(Some(mistake)) = plan.bot {
        bot = bot.with_setting(steady::MISTAKE, mistake);
    }
    Ok(if plan.is_logged { bot } else { bot.quiet() })
}

struct Stage<'a> {
    plan: &'a Plan,
    far: &'a Far,
    address: String,
    bot: Contender,
    record: Box<dyn Record>,
    onlooker: Onlooker,
    random: Random,
    /// The number of the next message.
    next: u64,
    first_answers: Vec<Duration>,
    silent_lives: usize,
}

impl Stage<'_> {
    /// One process, from its start to its end: after that time from when it has connected, or when it has finished.
    fn live(&mut self, life: Option<Duration>) -> io::Result<()> {
        let start = Instant::now();
        let mut running = self.bot.start(&self.address)?;
        let link = self.far.connect(&mut running)?;
        let end = life.map(|life| Instant::now() + life);
        if link.is_patient() {
            self.repeat(&link, end);
        }
        match end {
            Some(end) => self.write_until(&link, end),
            None => self.finish(&mut running)?,
        }
        // SIGKILL, and waiting for the process.
        drop(running);
        link.end();
        let first = self.onlooker.seen().first_answer;
        match first {
            Some(first) => self.first_answers.push(first.duration_since(start)),
            None => self.silent_lives += 1,
        }
        if self.plan.network == Network::Signal {
            bear_witness(&self.onlooker, &self.record.read()?);
        }
        self.onlooker.end();
        Ok(())
    }

    /// Offers again what was not acknowledged, in the old order.
    fn repeat(&self, link: &Link<'_>, end: Option<Instant>) {
        for line in self.onlooker.unacknowledged() {
            if end.is_some_and(|end| Instant::now() >= end) {
                return;
            }
            link.offer(line);
        }
    }

    /// Writes new messages, evenly, until it is time.
    fn write_until(&mut self, link: &Link<'_>, end: Instant) {
        let start = Instant::now();
        let mut written = 0;
        loop {
            let now = Instant::now();
            if now >= end {
                return;
            }
            let due = (now - start).as_secs_f64() * self.plan.rate as f64;
            if f64::from(written) < due {
                written += 1;
                let line = Line::random(self.next, self.plan.conversations as u64, &mut self.random);
                self.next += 1;
                link.offer(line);
            } else {
                std::thread::sleep(Duration::from_micros(500).min(end - now));
            }
        }
    }

    /// Waits until nothing is missing, or nothing more comes.
    fn finish(&self, running: &mut Running) -> io::Result<()> {
        let silence = if self.plan.is_forgetful { SHORT_SILENCE } else { SILENCE };
        let start = Instant::now();
        loop {
            if running.has_ended() {
                return Err(io::Error::other("the bot has ended by itself"));
            }
            {
                let seen = self.onlooker.seen();
                let latest = seen.latest.unwrap_or(start);
                if seen.unacknowledged == 0 && seen.missing == 0 || latest.elapsed() > silence {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A folder for the journal, deleted in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("evenkeel-kills-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        // What stays behind is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(path);
    }
}
