//! Looks into what was found: whose line it is, whether it is allowed, what to say of it, and how often.
//!
//! A thread of its own does the looking, since reading a program's line tables takes a tenth of a second the first time.

mod places;

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::advice::Words;
use crate::allow::Allow;
use crate::book::{Book, Standing};
use crate::counters::Tally;
use crate::report::{Class, Frame, Label, Report};
use crate::slot::{CommandId, Relief, Role, locked};
use crate::stack::{Address, Symbols, forget_tables};
use crate::sys;
use crate::verdict::{Evidence, LINES_HINT, Verdict, judge, lacks_lines};
use places::{Key, Noted, Places};

/// Findings that may wait to be looked into; more are counted and dropped.
const WAITING: usize = 1024;
/// After this time without a finding, the line tables are put away: they take tens of megabytes.
const IDLE: Duration = Duration::from_secs(2);
/// Reports that whoever listens may be behind.
const HEARD: usize = 256;
/// Stacks whose verdict is remembered.
const VERDICTS: usize = 4096;
/// A shorter call is reported, and has no consequences. A shorter wait for a lock is nobody's fault.
const HARMLESS: Duration = Duration::from_millis(1);
/// This long, and this often, a command may wait for a lock in one place.
const CONTENTION: (Duration, u64) = (Duration::from_millis(5), 3);

/// Something that kept a thread.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The same for all findings of one call, higher than that of any earlier one.
    pub(crate) incident: u64,
    /// The same for all calls of one poll.
    pub(crate) poll: u64,
    pub(crate) command: CommandId,
    pub(crate) role: Role,
    pub(crate) symbol: Option<&'static str>,
    pub(crate) class: Class,
    /// One stack, or several of one poll at different moments. Innermost address first.
    pub(crate) stacks: Vec<Arc<[usize]>>,
    pub(crate) elapsed: Duration,
    pub(crate) is_over: bool,
    pub(crate) relief: Option<Arc<Relief>>,
}

/// Where findings go.
pub(crate) struct Reporter {
    desk: Arc<Desk>,
    findings: Mutex<Option<SyncSender<Letter>>>,
}

/// Reports as they come, from [`Executor::subscribe`](crate::Executor::subscribe). Never ends by itself.
#[derive(Debug)]
pub struct Reports(Option<broadcast::Receiver<Report>>);

impl Reports {
    pub(crate) fn new(stream: Option<broadcast::Receiver<Report>>) -> Self {
        Self(stream)
    }

    /// The next report: a new place, or something new about a known one; `None` once the executor has ended.
    ///
    /// Whoever is more than 256 reports behind misses the oldest; [`Executor::reports`](crate::Executor::reports) has
    /// the state of each place.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Report> {
        let stream = self.0.as_mut()?;
        loop {
            match stream.recv().await {
                Ok(report) => return Some(report),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

enum Letter {
    Finding(Finding),
    /// Answered when all before it is done.
    Flush(SyncSender<()>),
}

/// What the reporter's thread works with.
struct Desk {
    book: Arc<Book>,
    tally: Arc<Tally>,
    allow: Allow,
    words: Words,
    places: Mutex<Places>,
    symbols: Mutex<Symbols>,
    /// The last poll in which something allowed was found.
    excused_poll: AtomicU64,
    /// What was found of each stack. Only the reporter's thread asks, but the desk is shared.
    verdicts: Mutex<HashMap<u64, Arc<Verdict>>>,
    stream: broadcast::Sender<Report>,
}

impl Reporter {
    pub(crate) fn new(book: Arc<Book>, tally: Arc<Tally>, allow: Allow, words: Words) -> Self {
        let (stream, _) = broadcast::channel(HEARD);
        let (symbols, verdicts) = (Mutex::new(Symbols::new()), Mutex::default());
        let excused_poll = AtomicU64::new(0);
        let desk = Desk {
            book,
            tally,
            allow,
            words,
            places: Mutex::default(),
            symbols,
            excused_poll,
            verdicts,
            stream,
        };
        Self { desk: Arc::new(desk), findings: Mutex::new(None) }
    }

    /// Has a finding looked into, soon. Waits only in a test, for room.
    pub(crate) fn find(&self, finding: Finding) {
        if finding.role == Role::Strict {
            // A test misses nothing, and may wait. A reporter that is gone looks into nothing more.
            let _sent = self.sender().send(Letter::Finding(finding));
            return;
        }
        let sent = self.sender().try_send(Letter::Finding(finding));
        if let Err(TrySendError::Full(_)) = sent {
            self.desk.tally.overlooked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything found so far has been looked into.
    pub(crate) fn flush(&self) {
        if locked(&self.findings).is_none() {
            return; // Nothing was found.
        }
        let (done, is_done) = sync_channel(1);
        if self.sender().send(Letter::Flush(done)).is_ok() {
            // A reporter that is gone looks into nothing more.
            let _done = is_done.recv();
        }
    }

    /// The places found so far, oldest first.
    pub(crate) fn reports(&self) -> Vec<Report> {
        locked(&self.desk.places).reports()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Report> {
        self.desk.stream.subscribe()
    }

    /// The thread begins with the first finding and ends with this sender.
    fn sender(&self) -> SyncSender<Letter> {
        let mut findings = locked(&self.findings);
        if let Some(sender) = &*findings {
            return sender.clone();
        }
        let (sender, letters) = sync_channel(WAITING);
        let desk = Arc::clone(&self.desk);
        let thread = thread::Builder::new().name("evenkeel-reporter".into());
        if let Err(error) = thread.spawn(move || desk.work(&letters)) {
            tracing::error!(%error, "no reports: the system gives no more threads");
        }
        findings.insert(sender).clone()
    }
}

impl Desk {
    fn work(&self, letters: &Receiver<Letter>) {
        // Reading line tables takes a core for a while, and those who are served come first.
        sys::lower_priority(sys::current_thread());
        let mut holds_tables = false;
        loop {
            // The last one that could send is gone when this fails without a timeout.
            let wait = if holds_tables { IDLE } else { Duration::MAX };
            match letters.recv_timeout(wait) {
                Ok(Letter::Finding(finding)) => {
                    self.consider(&finding);
                    holds_tables = true;
                }
                Ok(Letter::Flush(done)) => {
                    // Whoever asked may have gone.
                    let _told = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {
                    forget_tables();
                    sys::give_memory_back();
                    holds_tables = false;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn consider(&self, finding: &Finding) {
        let has_stack = finding.stacks.iter().any(|stack| !stack.is_empty());
        if finding.role == Role::Quarantine && !has_stack && self.count(finding) {
            return;
        }
        let verdict = self.verdict(finding);
        if verdict.is_allowed {
            self.excused_poll.store(finding.poll, Ordering::Relaxed);
            return;
        }
        // A poll that only its CPU time tells of, and in which something was right where it was: a panic that prints
        // itself, mostly, which takes as long as reading the line tables does.
        let is_excused =
            finding.stacks.is_empty() && finding.poll == self.excused_poll.load(Ordering::Relaxed);
        if is_excused || is_nobodys_fault(&verdict, finding) {
            return;
        }
        let place = verdict.author.as_ref().map_or_else(|| verdict.call.clone(), ToString::to_string);
        let key = Key { command: finding.command, class: verdict.class, place };
        let label = self.book.label(finding.command);
        let times = locked(&self.places).times(&key, finding);
        let mut strikes = 0;
        if finding.role == Role::Quarantine && is_offence(verdict.class, finding.elapsed, times) {
            // Whatever the poll was counted as when it ended.
            self.book.polled(finding.command, false);
        }
        if finding.role == Role::Worker && is_offence(verdict.class, finding.elapsed, times) {
            let standing = if verdict.class.is_busy() { Standing::Compute } else { Standing::Blocking };
            let was_clean = self.book.standing(finding.command) == Standing::Clean;
            strikes = self.book.strike(finding.command, standing, finding.incident);
            if was_clean && strikes > 0 {
                self.tally.struck(label.name());
            }
        }
        let report = report(&label, &verdict, finding, strikes);
        let noted = locked(&self.places).note(key, report, finding);
        self.publish(noted);
    }

    /// What is known of a stack, or a look at it.
    fn verdict(&self, finding: &Finding) -> Arc<Verdict> {
        let mut hasher = DefaultHasher::new();
        (finding.symbol, finding.class, &finding.stacks).hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(verdict) = locked(&self.verdicts).get(&hash) {
            return Arc::clone(verdict);
        }
        let empty = [Arc::from([])];
        let stacks = if finding.stacks.is_empty() { &empty[..] } else { &finding.stacks };
        let mut verdicts = stacks.iter().map(|addresses| {
            let addresses: Vec<_> = addresses.iter().map(|address| Address::returned_to(*address)).collect();
            let frames = locked(&self.symbols).resolve(&addresses);
            let evidence = Evidence { symbol: finding.symbol, class: finding.class, frames: &frames };
            let mut verdict = judge(&evidence, &self.allow, &self.words);
            verdict.is_allowed |= finding.role == Role::Guest && !polls_a_task(&frames);
            verdict
        });
        let first = verdicts.next().expect("there is at least an empty stack");
        // Of several moments of one poll, the one that shows a loop of ready futures says most, then one with a line.
        let best = verdicts.fold(first, |best, other| {
            let says_more = other.class == Class::AlwaysReady && best.class != Class::AlwaysReady
                || best.author.is_none() && other.author.is_some();
            if says_more && !best.is_allowed { other } else { best }
        });
        let best = Arc::new(best);
        let mut verdicts = locked(&self.verdicts);
        if verdicts.len() >= VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(hash, Arc::clone(&best));
        best
    }

    /// A call of a command in quarantine, of which no stack is taken: counted with the place that is known already.
    /// Answers whether there is one.
    fn count(&self, finding: &Finding) -> bool {
        let counted = locked(&self.places).count(finding);
        let is_known = counted.is_some();
        if let Some(noted) = counted {
            self.publish(noted);
        }
        is_known
    }

    fn publish(&self, Noted { report, is_first, is_told }: Noted) {
        if is_first {
            self.tally.blocked(&report.name, report.class);
        }
        if is_told {
            tell(&report);
        }
        // Nobody may be listening.
        let _heard = self.stream.send(report);
    }
}

fn report(label: &Label, verdict: &Verdict, finding: &Finding, strikes: u32) -> Report {
    let author = verdict.author.as_ref().and_then(|frame| Some((frame.file.clone()?, frame.line?)));
    let is_exact = author.is_some();
    let location = label.location();
    let (file, line) = author.unwrap_or_else(|| (location.file().to_owned(), location.line()));
    Report {
        number: 0,
        name: label.name().to_owned(),
        class: verdict.class,
        call: verdict.call.clone(),
        file,
        line,
        is_exact,
        path: verdict.path.clone(),
        elapsed: finding.elapsed,
        is_over: finding.is_over,
        times: 1,
        taken_over: finding.relief.as_ref().and_then(|relief| relief.taken()),
        strikes,
        advice: if lacks_lines(verdict) {
            format!("{} ({LINES_HINT})", verdict.advice)
        } else {
            verdict.advice.clone()
        },
    }
}

fn tell(report: &Report) {
    tracing::warn!(
        target: "evenkeel::guard",
        command = report.name,
        class = report.class.word(),
        call = report.call,
        file = report.file,
        line = report.line,
        elapsed_ms = report.elapsed.as_secs_f64() * 1e3,
        times = report.times,
        strikes = report.strikes,
        "{report}"
    );
}

/// Whether a thread of a tokio runtime polls a task at this moment, by its stack. Otherwise it does the runtime's own
/// work, or that of `spawn_blocking`, which is run by threads that may have been workers before.
fn polls_a_task(frames: &[Frame]) -> bool {
    let mut functions = frames.iter().filter_map(|frame| frame.function.as_deref()).peekable();
    if functions.peek().is_none() {
        return true;
    }
    let decided = functions.find_map(|function| {
        if function.contains("runtime::blocking::task::BlockingTask") {
            Some(false)
        } else if function.contains("runtime::task::core::Core") || function.contains("block_on") {
            Some(true)
        } else {
            None
        }
    });
    decided.unwrap_or(false)
}

/// A short wait for a lock happens to everybody on a busy machine. A test goes by no clock: there it is one for a lock that
/// no author's code takes, such as those of the runtime's own threads.
fn is_nobodys_fault(verdict: &Verdict, finding: &Finding) -> bool {
    let is_forgiven = match finding.role {
        Role::Strict => verdict.author.is_none(),
        _ => finding.elapsed < HARMLESS,
    };
    verdict.class == Class::Contention && is_forgiven
}

/// Whether a command that did this has to leave the workers.
fn is_offence(class: Class, elapsed: Duration, times: u64) -> bool {
    match class {
        Class::Contention => elapsed >= CONTENTION.0 && times >= CONTENTION.1,
        Class::Output => false,
        _ => elapsed >= HARMLESS,
    }
}
