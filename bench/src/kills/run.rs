//! The loop: start, write, kill, again; then let it finish, kill it once more, and read its record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::history::{self, Findings, Happened};
use super::network::{Far, Link, Network, bear_witness};
use super::onlooker::Onlooker;
use super::record::{self, Record};
use super::words::{Line, message_in};
use super::{Bot, Plan, Trouble};
use crate::contender::{Contender, Running, steady};
use crate::random::Random;

/// After this many rounds a line says how far it is.
const REPORTED_EACH: usize = 500;
/// A bot lives for 1 to this many milliseconds.
const LONGEST_LIFE: u64 = 500;
/// Longer where the disk is full: the bot looks once a second whether there is room.
const LONGEST_LIFE_IF_FULL: u64 = 3_000;
/// A bot that was told to abort has to, within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// The last bot has finished when nothing was missing, or nothing came for so long: longer than its retries take.
const SILENCE: Duration = Duration::from_secs(15);
/// The same for a bot that has forgotten everything.
const SHORT_SILENCE: Duration = Duration::from_secs(3);

/// What came of it.
pub(super) struct Outcome {
    /// Fewer than planned after Ctrl-C.
    pub(super) rounds: usize,
    pub(super) findings: Findings,
    /// From each start of the process to its first answer, in order of length.
    pub(super) first_answers: Vec<Duration>,
    /// Lives that ended before the first answer.
    pub(super) silent_lives: usize,
    /// Answers that do not say what they answer.
    pub(super) strange: u64,
    /// Lives in which the disk was full.
    pub(super) full: u64,
    pub(super) elapsed: Duration,
}

impl Outcome {
    /// Whether every promise was kept.
    pub(super) fn keeps_word(&self, trouble: Trouble) -> bool {
        // Where no process ends but by poison, everything else is answered.
        let spares = trouble != Trouble::Abort || self.findings.harmless + self.findings.pending == 0;
        // A disk that was never full shows nothing.
        self.findings.is_clean() && spares && (trouble != Trouble::Full || self.full > 0)
    }
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    /// By itself, by a message that does that.
    Aborted,
}

/// Plays all rounds.
pub(super) fn play(plan: &Plan) -> io::Result<Outcome> {
    let start = Instant::now();
    let folder = Folder::new()?;
    let onlooker = Onlooker::default();
    let far = Far::start(plan, &onlooker)?;
    let disk = Disk::new(&folder.0, plan)?;
    let journal = if plan.is_forgetful { PathBuf::from("memory") } else { disk.journal() };
    let address = far.address()?;
    let aborts = folder.0.join("aborts");
    let bot = bot(plan, &journal, &address)?.with_setting("BENCH_ABORTS", &aborts);
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
        disk,
        aborts,
        heard: 0,
        onlooker,
        random: Random(plan.seed),
        next: 0,
        first_answers: Vec::new(),
        silent_lives: 0,
        full: 0,
    };
    let longest = if plan.trouble == Trouble::Full { LONGEST_LIFE_IF_FULL } else { LONGEST_LIFE };
    let is_interrupted = interruption()?;
    let mut rounds = 0;
    while rounds < plan.rounds && !is_interrupted() {
        let life = Duration::from_millis(1 + stage.random.below(longest));
        stage.live(Some(life))?;
        rounds += 1;
        if rounds % REPORTED_EACH == 0 {
            eprintln!("{rounds} of {} rounds, {:.0} s", plan.rounds, start.elapsed().as_secs_f64());
        }
    }
    // What is poisoned may need some more lives to be found out.
    while stage.live(None)? == End::Aborted {}
    let fates = stage.record.read()?;
    let Stage { mut first_answers, silent_lives, full, onlooker, .. } = stage;
    first_answers.sort_unstable();
    if matches!(plan.network, Network::Replayed { .. }) {
        // The network keeps all of it for ever, so the bot is answerable for what it never said that it has, too.
        onlooker.unacknowledged().into_iter().for_each(|line| onlooker.acknowledge(line.message));
    }
    let seen = onlooker.seen();
    let findings = history::check(&seen.history, &fates);
    let strange = seen.strange;
    Ok(Outcome { rounds, findings, first_answers, silent_lives, strange, full, elapsed: start.elapsed() })
}

/// Whether Ctrl-C was pressed: the lives so far are then looked at, and the table printed.
fn interruption() -> io::Result<impl Fn() -> bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let is_pressed = Arc::new(AtomicBool::new(false));
    let press = Arc::clone(&is_pressed);
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            press.store(true, Ordering::Relaxed);
        }
    });
    Ok(move || is_pressed.load(Ordering::Relaxed))
}

/// The bot with its settings.
fn bot(plan: &Plan, journal: &Path, address: &str) -> io::Result<Contender> {
    let name = if plan.bot == Bot::Evenkeel { "evenkeel" } else { "steady" };
    let (contenders, missing) = Contender::find(&[name], &plan.evenkeel)?;
    let Some(bot) = contenders.into_iter().next() else { return Err(io::Error::other(missing.join(", "))) };
    let mut bot = bot.with_setting("EVENKEEL_JOURNAL", journal);
    if plan.network != Network::Signal {
        bot = bot.with_setting("BENCH_LINES", address);
    }
    if let Network::Replayed { is_hasty } = plan.network {
        bot = bot.with_setting("BENCH_REPLAYED", if is_hasty { "hasty" } else { "right" });
    }
    if let Network::Handle { is_nameless } = plan.network {
        bot = bot.with_setting("BENCH_OUTSIDE", if is_nameless { "nameless" } else { "right" });
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
    disk: Disk,
    /// Where the bot writes what it aborts for, and how much of it was read.
    aborts: PathBuf,
    heard: usize,
    onlooker: Onlooker,
    random: Random,
    /// The number of the next message.
    next: u64,
    first_answers: Vec<Duration>,
    silent_lives: usize,
    full: u64,
}

impl Stage<'_> {
    /// One process, from its start to its end: after that time from when it has connected, or when it has finished, or
    /// when it was told to abort.
    fn live(&mut self, life: Option<Duration>) -> io::Result<End> {
        let start = Instant::now();
        let mut bot = self.bot.clone();
        for (name, value) in self.disk.settings(life.is_none(), &mut self.random) {
            bot = bot.with_setting(name, value);
        }
        let mut running = bot.start(&self.address)?;
        let link = self.far.connect(&mut running)?;
        let end = life.map(|life| Instant::now() + life);
        if link.is_patient() {
            self.repeat(&link, end);
        }
        match end {
            Some(end) => self.write_until(&link, end),
            None => self.finish(&link, &mut running)?,
        }
        if end.is_some() && self.plan.trouble == Trouble::Abort {
            self.abort(&link, &mut running)?;
        }
        // SIGKILL, and waiting for the process.
        drop(running);
        link.end();
        let first = self.onlooker.seen().first_answer;
        match first {
            Some(first) => self.first_answers.push(first.duration_since(start)),
            None => self.silent_lives += 1,
        }
        self.full += u64::from(self.disk.was_full());
        if self.disk.has_cuts() {
            self.disk.cut(&mut self.random)?;
        }
        if self.plan.network == Network::Signal {
            bear_witness(&self.onlooker, &self.record.read()?);
        }
        self.end()
    }

    /// Notes how the process ended.
    fn end(&mut self) -> io::Result<End> {
        let text = std::fs::read_to_string(&self.aborts).unwrap_or_default();
        let crashed: Vec<u64> = text.lines().skip(self.heard).filter_map(message_in).collect();
        if crashed.is_empty() {
            self.onlooker.end(if self.disk.has_cuts() { Happened::Cut } else { Happened::Killed });
            return Ok(End::Killed);
        }
        // Two at once are both counted by the journal as well.
        self.heard += crashed.len();
        crashed.into_iter().for_each(|message| self.onlooker.end(Happened::Crashed { message }));
        Ok(End::Aborted)
    }

    /// Writes a message that ends the process, and waits for that; an earlier one may be first.
    fn abort(&mut self, link: &Link<'_>, running: &mut Running) -> io::Result<()> {
        if running.has_ended() {
            return Ok(());
        }
        link.offer(Line::abort(self.next, self.plan.conversations as u64, &mut self.random));
        self.next += 1;
        let start = Instant::now();
        while !running.has_ended() {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("the bot has not aborted within {PATIENCE:?}")));
            }
            self.write_until(link, Instant::now() + Duration::from_millis(5));
        }
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
                self.offer(link);
            } else {
                std::thread::sleep(Duration::from_micros(500).min(end - now));
            }
        }
    }

    fn offer(&mut self, link: &Link<'_>) {
        let line = Line::random(self.next, self.plan.conversations as u64, &mut self.random);
        let line = line.with_unknown(self.plan.network.unknown());
        self.next += 1;
        link.offer(line);
    }

    /// Waits until nothing is missing, or nothing more comes. What the start had to write is written before the answer to
    /// one more message.
    fn finish(&mut self, link: &Link<'_>, running: &mut Running) -> io::Result<()> {
        self.offer(link);
        let silence = if self.plan.is_forgetful { SHORT_SILENCE } else { SILENCE };
        let start = Instant::now();
        loop {
            if running.has_ended() {
                let may_abort = self.plan.trouble == Trouble::Abort;
                let error = || Err(io::Error::other("the bot has ended by itself"));
                return if may_abort { Ok(()) } else { error() };
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
