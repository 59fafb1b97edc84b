//! Looks into what was found: whose line it is, whether it is allowed, what to say of it, and how often.
//!
//! A thread of its own does the looking, since reading a program's line tables takes a tenth of a second the first time.

mod budget;
mod judged;
mod sites;

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::address;
use crate::advice::Words;
use crate::allow::Allow;
use crate::counters::LiveCounters;
use crate::findings::{Finding, Findings, Message, Reading, Sight, Stacks};
use crate::frame::claim::Claims;
use crate::options::Options;
use crate::registry::{Registry, Standing, Strikes};
use crate::report::{Class, Report};
use crate::slot::{Role, locked};
use crate::stack::{Address, Symbols, forget_tables};
use crate::sys::{self, Priority};
use crate::verdict::{Evidence, judge_all, lacks_lines};
use budget::Budget;
use judged::{Judged, place_of, report, tell};
use sites::{Key, Noted, Sites};

/// After this time without a finding, the line tables are put away: they take tens of megabytes.
const IDLE: Duration = Duration::from_secs(2);
/// Reports that anyone who listens may be behind.
const HEARD: usize = 256;
/// Stacks whose verdict is remembered.
const VERDICTS: usize = 4096;
/// A shorter call is reported, and has no consequences. A shorter wait for a lock is nobody's fault.
const HARMLESS: Duration = Duration::from_millis(1);
/// So often a command may wait for a lock in one place, each time for [`sites::LONG_WAIT`].
const LONG_WAITS: u64 = 3;

/// Where findings go.
pub(crate) struct Reporter {
    bench: Arc<Bench>,
    is_started: AtomicBool,
    has_ended: AtomicBool,
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
    /// Anyone who is more than 256 reports behind misses the oldest; [`Executor::reports`](crate::Executor::reports) has
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

/// What the reporter's thread works with.
struct Bench {
    findings: Arc<Findings>,
    registry: Arc<Registry>,
    counters: Arc<LiveCounters>,
    allow: Allow,
    words: Words,
    runtime_crates: &'static [&'static str],
    sites: Mutex<Sites>,
    symbols: Mutex<Symbols>,
    /// The last poll in which something allowed was found.
    excused_poll: AtomicU64,
    /// What was found of each stack. Only the reporter's thread asks, but the bench is shared.
    verdicts: Mutex<HashMap<u64, Arc<Judged>>>,
    stream: broadcast::Sender<Report>,
    /// Whether somebody waits until all is looked into.
    is_awaited: AtomicBool,
    is_at_work: AtomicBool,
    is_strict: bool,
}

impl Reporter {
    pub(crate) fn new(
        registry: Arc<Registry>,
        counters: Arc<LiveCounters>,
        options: &Options,
        role: Role,
    ) -> Self {
        let (stream, _) = broadcast::channel(HEARD);
        let bench = Bench {
            findings: Findings::new(),
            registry,
            counters,
            allow: options.allow.clone(),
            words: options.words,
            runtime_crates: options.runtime_crates,
            sites: Mutex::default(),
            symbols: Mutex::new(Symbols::new()),
            excused_poll: AtomicU64::new(0),
            verdicts: Mutex::default(),
            stream,
            is_awaited: AtomicBool::new(false),
            is_at_work: AtomicBool::new(false),
            is_strict: role == Role::Strict,
        };
        Self { bench: Arc::new(bench), is_started: AtomicBool::new(false), has_ended: AtomicBool::new(false) }
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.bench.findings
    }

    /// Has a finding looked into, soon. Neither allocates nor locks. What finds no room counts all the same, and so does its
    /// strike.
    pub(crate) fn find(&self, finding: Finding) {
        if let Err(refused) = self.bench.findings.push(finding) {
            self.overlook(&refused);
        }
    }

    /// Counts what nobody can look into.
    pub(crate) fn overlook(&self, finding: &Finding) {
        // A call that is found at its beginning is found again at its end.
        if finding.is_over {
            self.bench.counters.overlooked(finding.class);
        }
        self.bench.registry.leave_unseen(finding.command, finding.incident);
    }

    /// Begins to look into what was found, if anything was. Called by the watchdog, which may start threads.
    pub(crate) fn start(&self) {
        if self.bench.findings.is_empty() || self.is_started.swap(true, Ordering::SeqCst) {
            return;
        }
        let bench = Arc::clone(&self.bench);
        let thread = thread::Builder::new().name("evenkeel-reporter".into());
        // However it ends, nobody waits for it any more.
        let work = move || {
            let _reads = Reading(Arc::clone(&bench.findings));
            bench.work();
        };
        if let Err(error) = thread.spawn(work) {
            tracing::error!(%error, "no reports: the system gives no more threads");
            self.is_started.store(false, Ordering::SeqCst);
        }
    }

    /// Waits until everything found so far has been looked into.
    pub(crate) fn flush(&self) {
        self.start();
        if !self.is_started.load(Ordering::SeqCst) {
            return; // Nothing was found, or nobody can look.
        }
        self.bench.is_awaited.store(true, Ordering::SeqCst);
        self.bench.findings.flush();
        self.bench.is_awaited.store(false, Ordering::SeqCst);
    }

    /// The places found so far, oldest first.
    pub(crate) fn reports(&self) -> Vec<Report> {
        locked(&self.bench.sites).reports()
    }

    /// Says at the end what of the list of what may block was of no use. Anyone who lets go of an executor may be about to end the
    /// program, so it is said at once, unless there is something left to look into.
    pub(crate) fn end(&self) {
        if self.bench.findings.is_empty() && !self.bench.is_at_work.load(Ordering::SeqCst) {
            self.tell_of_unused();
        }
    }

    fn tell_of_unused(&self) {
        if self.has_ended.swap(true, Ordering::SeqCst) {
            return;
        }
        for entry in self.bench.allow.unused() {
            tracing::info!(
                target: "evenkeel::guard",
                "`{entry}`, an entry of the list of what may block, has covered nothing: mistyped, or not needed any more?"
            );
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Report> {
        self.bench.stream.subscribe()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.bench.findings.close();
        self.tell_of_unused();
    }
}

impl Bench {
    fn work(&self) {
        // Reading line tables takes a core for a while, and those who are served come first. A test waits for it.
        if !self.is_strict {
            sys::lower_priority(sys::current_thread(), Priority::Low);
        }
        let (mut holds_tables, mut budget) = (false, Budget::new());
        loop {
            if self.findings.is_closed() {
                // Nobody is left to be told.
                return;
            }
            match self.findings.next(holds_tables.then_some(IDLE)) {
                Some(Message::Finding(finding)) => {
                    self.is_at_work.store(true, Ordering::SeqCst);
                    self.consider(&finding);
                    self.is_at_work.store(false, Ordering::SeqCst);
                    holds_tables = true;
                    if self.findings.known.is_crowded() {
                        self.forget_stacks();
                    }
                    self.rest(&mut budget);
                }
                Some(Message::Flush(done)) => {
                    self.confirm_unseen();
                    // The asker may be gone.
                    let _told = done.send(());
                }
                None => {
                    self.confirm_unseen();
                    forget_tables();
                    sys::give_memory_back();
                    holds_tables = false;
                }
            }
            if self.findings.is_empty() {
                self.confirm_unseen();
            }
        }
    }

    /// Keeps within its share of a core, unless a test waits.
    fn rest(&self, budget: &mut Budget) {
        let (used, owed) = budget.spent();
        self.counters.reporter_used(used);
        let is_urgent = || self.is_strict || self.is_awaited.load(Ordering::Relaxed);
        let mut rests = owed;
        while !rests.is_zero() && !is_urgent() && !self.findings.is_closed() {
            let piece = rests.min(Duration::from_millis(20));
            thread::sleep(piece);
            rests -= piece;
        }
    }

    fn confirm_unseen(&self) {
        for label in self.registry.confirm_unseen() {
            self.counters.struck(label.name());
        }
    }

    fn forget_stacks(&self) {
        self.findings.known.clear();
        locked(&self.verdicts).clear();
    }

    fn consider(&self, finding: &Finding) {
        let Some(judged) = self.judged(finding) else { return self.count(finding) };
        let verdict = &judged.verdict;
        if verdict.is_allowed {
            self.excused_poll.store(finding.poll, Ordering::Relaxed);
        }
        // A test goes by no clock.
        let is_brief = (finding.role != Role::Strict).then_some(finding.elapsed < HARMLESS);
        if verdict.is_allowed || self.is_excused(finding) || verdict.is_nobodys_fault(is_brief) {
            return self.registry.withdraw(finding.command, finding.incident);
        }
        let key = Key { command: finding.command, class: verdict.class, place: place_of(&judged) };
        let long_waits = locked(&self.sites).long_waits(&key, finding);
        // A lock that the author never sees is held for long by who is not scheduled, now and then. A test goes by no clock.
        let is_habit = || finding.role != Role::Strict && locked(&self.sites).is_habit(&key, finding);
        if verdict.is_inner_lock && !is_habit() {
            return self.registry.withdraw(finding.command, finding.incident);
        }
        let strikes = self.strike(finding, verdict.class, long_waits);
        let report = report(&self.registry.label(finding.command), &judged, finding, strikes.count);
        let noted = locked(&self.sites).note(key, report, finding);
        self.publish(noted);
    }

    /// A poll that only its CPU time tells of, and in which something was right where it was: a panic that prints itself,
    /// mostly, which takes as long as reading the line tables does.
    fn is_excused(&self, finding: &Finding) -> bool {
        let has_stack = match &finding.stacks {
            Stacks::None => false,
            Stacks::Taken(stacks) => stacks.iter().any(|stack| !stack.is_empty()),
            Stacks::Known(_) | Stacks::Sheet { .. } => true,
        };
        !has_stack && (finding.is_excused || finding.poll == self.excused_poll.load(Ordering::Relaxed))
    }

    /// Has an offence its consequence, and takes back what was none.
    fn strike(&self, finding: &Finding, class: Class, long_waits: u64) -> Strikes {
        let is_offence = is_offence(class, finding.elapsed, long_waits);
        match finding.role {
            Role::Quarantine => {
                if is_offence {
                    // Whatever the poll was counted as when it ended.
                    self.registry.polled(finding.command, false);
                }
                Strikes { count: self.registry.strikes(finding.command), is_new: false }
            }
            Role::Worker if is_offence => {
                let standing = if class.is_busy() { Standing::Compute } else { Standing::Blocking };
                let strikes = self.registry.confirm(finding.command, standing, finding.incident);
                if strikes.is_new {
                    self.counters.struck(self.registry.label(finding.command).name());
                }
                strikes
            }
            _ => {
                self.registry.withdraw(finding.command, finding.incident);
                Strikes::default()
            }
        }
    }

    /// What is known of a stack, or a look at it. `None` for one that was known, and is so no more.
    fn judged(&self, finding: &Finding) -> Option<Arc<Judged>> {
        let (key, stacks) = match &finding.stacks {
            Stacks::Known(key) => return locked(&self.verdicts).get(key).cloned(),
            Stacks::Sheet { key, sheet, length } => (*key, vec![self.findings.read(*sheet, *length)]),
            Stacks::None => (hash_of(finding, &[]), vec![Arc::from([])]),
            Stacks::Taken(stacks) => (hash_of(finding, stacks), stacks.clone()),
        };
        let known = locked(&self.verdicts).get(&key).cloned();
        let judged = known.unwrap_or_else(|| self.look_into(finding, key, &stacks));
        if let Stacks::Sheet { key, .. } = finding.stacks {
            let verdict = &judged.verdict;
            let sight = if verdict.is_allowed { Sight::Allowed } else { Sight::Judged(verdict.class) };
            self.findings.known.judge(key, sight);
        }
        Some(judged)
    }

    fn look_into(&self, finding: &Finding, key: u64, stacks: &[Arc<[usize]>]) -> Arc<Judged> {
        let author = self.registry.label(finding.command).location().file();
        let claims = Claims { runtime: self.runtime_crates, author: Some(author) };
        let resolved = stacks.iter().map(|addresses| {
            let addresses: Vec<_> = addresses.iter().map(|address| Address::returned_to(*address)).collect();
            locked(&self.symbols).resolve(&addresses, claims)
        });
        let resolved: Vec<_> = resolved.collect();
        let (symbol, class, is_guest) = (finding.symbol, finding.class, finding.role == Role::Guest);
        let moments: Vec<_> =
            resolved.iter().map(|frames| Evidence { symbol, class, is_guest, frames }).collect();
        let verdict = judge_all(&moments, &self.allow, &self.words);
        let first = stacks.first().map_or(&[][..], |stack| stack);
        let unread =
            if lacks_lines(&verdict) { address::places(first) } else { address::Locations::default() };
        let best = Arc::new(Judged { verdict, unread, has_stack: !first.is_empty() });
        let mut verdicts = locked(&self.verdicts);
        if verdicts.len() >= VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(key, Arc::clone(&best));
        best
    }

    /// A call whose stack was known and is so no more: counted with the place where this command made it before.
    fn count(&self, finding: &Finding) {
        self.strike(finding, finding.class, 0);
        let counted = locked(&self.sites).count(finding);
        if let Some(noted) = counted {
            self.publish(noted);
        }
    }

    fn publish(&self, Noted { report, is_first, is_told }: Noted) {
        if is_first {
            self.counters.blocked(&report.name, report.class);
        }
        if is_told {
            tell(&report);
        }
        // Nobody may be listening.
        let _heard = self.stream.send(report);
    }
}

/// Whether a command that did this has to leave the workers.
fn is_offence(class: Class, elapsed: Duration, long_waits: u64) -> bool {
    match class {
        Class::Contention => elapsed >= sites::LONG_WAIT && long_waits >= LONG_WAITS,
        Class::Output => false,
        _ => elapsed >= HARMLESS,
    }
}

fn hash_of(finding: &Finding, stacks: &[Arc<[usize]>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (finding.symbol, finding.class, finding.role == Role::Guest, stacks).hash(&mut hasher);
    hasher.finish()
}
