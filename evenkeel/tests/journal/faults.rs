//! A disk that fails, fills up, stalls or loses its power: what was answered is there, and nothing is answered that is not.
//!
//! With `EVENKEEL_LONG` set, the power is cut 2,000 times and every call fails once.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Acceptance, Answer, Entry, EventEntry, Journal};

use crate::disk::{Disk, FILE, MESSAGES, Said, block_on, missing};
use crate::made::{begin_at_once, promise};

/// How many messages the child writes unless it is told otherwise.
const MANY: u64 = 36;
/// Enough for every kind of write and sync, where each of them is to fail once.
const FEW: u64 = 9;

/// How large a file may become in the child at first, in bytes.
#[cfg(target_os = "linux")]
const LIMIT: &str = "EVENKEEL_TEST_LIMIT";

/// Children at a time: one that waits for room on its disk leaves the core to the others.
const CHILDREN: usize = 16;

/// The workload, when this program is started as a child; nothing otherwise.
///
/// Each message is accepted, given a reply and, in two of three cases, done. What was answered is printed at once.
#[test]
fn child() {
    let Ok(file) = std::env::var(FILE) else { return };
    let messages = std::env::var(MESSAGES).ok().and_then(|count| count.parse().ok()).unwrap_or(MANY);
    block_on(async {
        let mut journal = match SqliteJournal::open(&file) {
            Ok(journal) => journal,
            Err(error) => return say(&format!("refused {error}")),
        };
        if let Err(error) = journal.recover().await {
            return say(&format!("refused {error}"));
        }
        #[cfg(target_os = "linux")]
        if let Some(limit) = std::env::var(LIMIT).ok().and_then(|bytes| bytes.parse().ok()) {
            limited(limit, journal.health());
        }
        for at in 0..messages {
            if let Err(error) = message(&mut journal, at).await {
                return say(&format!("failed {error}"));
            }
        }
        let stats = journal.health().stats();
        assert!(!stats.is_failing);
        say(&format!("failures {}", stats.failures));
        journal.close().await;
        say("closed");
    });
}

/// Lets no file grow beyond this, as `ulimit -f` does, until the journal has complained.
#[cfg(target_os = "linux")]
fn limited(bytes: u64, health: evenkeel::journal::sqlite::Health) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), ..before }).unwrap();
    // As `run` and `serve` have it; it stays when the runtime is gone. Within the test's runtime there can be no other.
    let handled = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let too_large = tokio::signal::unix::SignalKind::from_raw(25);
        runtime.block_on(async { drop(tokio::signal::unix::signal(too_large).unwrap()) });
    });
    handled.join().unwrap();
    // Ends with the process if nothing ever fails.
    std::thread::spawn(move || {
        // More often than a journal fails that does not wait.
        while health.stats().failures < 4 {
            std::thread::yield_now();
        }
        setrlimit(Resource::Fsize, before).unwrap();
    });
}

async fn message(journal: &mut SqliteJournal, at: u64) -> evenkeel::Result<()> {
    let written = journal.write(vec![begin_at_once(&format!("event {at}"))]).await?;
    let Answer::Accepted(Acceptance::New(sequence)) = written.into_answers()[0] else {
        say(&format!("false duplicate {at}"));
        return Ok(());
    };
    say(&format!("accepted {sequence}"));
    let mut end = vec![promise(sequence, 0)];
    if !at.is_multiple_of(3) {
        end.push(Entry::Event(sequence, EventEntry::Done));
    }
    journal.write(end).await?;
    say(&format!("promised {sequence}"));
    if !at.is_multiple_of(3) {
        say(&format!("done {sequence}"));
    }
    Ok(())
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsays {line}").unwrap();
    out.flush().unwrap();
}

fn is_long() -> bool {
    std::env::var_os("EVENKEEL_LONG").is_some()
}

/// Numbers from a seed.
struct Random(u64);

impl Random {
    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Gives numbers to children, each with a disk of its own, for as long as `play` wants the next one.
fn in_parallel(name: &str, play: impl Fn(&Disk, u64) -> bool + Sync) {
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..CHILDREN {
            scope.spawn(|| {
                let disk = Disk::new(name);
                while !is_over.load(Ordering::Relaxed) {
                    if !play(&disk, next.fetch_add(1, Ordering::Relaxed)) {
                        is_over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

fn setting(name: &'static str, value: &(impl ToString + ?Sized)) -> (&'static str, String) {
    (name, value.to_string())
}

/// Lets call after call of one kind fail in one way, up to the first that does not come. Returns how many calls have
/// failed, and how many times the journal has recovered from it.
fn each_call(kind: &str, how: &str, stride: u64) -> (u64, u64) {
    let (failed, mended) = (AtomicU64::new(0), AtomicU64::new(0));
    in_parallel(kind, |disk, number| {
        let call = 1 + number * stride;
        disk.fresh();
        let output = disk.run(&[
            setting(MESSAGES, &FEW),
            setting("SHIM_KIND", kind),
            setting("SHIM_HOW", how),
            setting("SHIM_FAIL", &call),
        ]);
        let said = Said::new(&output);
        let context = format!("{how} at {kind} {call}: {said:?}");
        assert!(output.status.success(), "{context}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.is_refused() || said.accepted.len() as u64 == FEW, "{context}");
        let has_failed = disk.has_failed();
        assert_eq!(missing(&disk.file(), &said), [""; 0], "{context}");
        failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
        mended.fetch_add(said.failures, Ordering::Relaxed);
        has_failed
    });
    (failed.into_inner(), mended.into_inner())
}

#[test]
fn no_answer_is_false_when_one_call_fails() {
    for (kind, how) in [
        ("write", "eio"),
        ("write", "enospc"),
        ("write", "short"),
        ("write", "torn"),
        ("sync", "eio"),
        ("sync", "enospc"),
    ] {
        let (failed, mended) = each_call(kind, how, 1);
        println!(
            "{how} at each {kind}: {failed} runs, each with one call that failed; {mended} times mended"
        );
        assert!(failed > if kind == "write" { 60 } else { 10 }, "{how} at {kind}: the calls came: {failed}");
        assert!(how == "short" || mended > failed / 2, "{how} at {kind}: the faults were met: {mended}");
    }
}

/// How a power cut is played.
#[derive(Clone, Copy)]
struct Cuts {
    seed: u64,
    count: u64,
    /// Whether the disk takes syncs and does nothing.
    lies: bool,
}

/// What came of them.
#[derive(Default)]
struct Outcome {
    cuts: u64,
    /// Cuts after a call that had failed.
    after_failure: u64,
    accepted: u64,
    lost: u64,
    /// The first of what is lost, with the number of its cut.
    first: Option<String>,
}

/// A run without faults has about this many writes and syncs in all, and this many syncs.
const CALLS: u64 = 330;
const SYNCS: u64 = 60;

/// Cuts the power at random calls, in every third run soon after another call has failed. What was not synced is gone in
/// every other run, and in the rest of them written back in part.
fn cut_power(cuts: Cuts) -> Outcome {
    let outcome = Mutex::new(Outcome::default());
    in_parallel("power", |disk, number| {
        let mut random = Random(cuts.seed.wrapping_add(number << 20));
        let fails = number.is_multiple_of(3) && !cuts.lies;
        let settings = if cuts.lies {
            vec![setting("SHIM_HOW", "lie"), setting("SHIM_CUT", &(1 + random.below(CALLS)))]
        } else if fails {
            let (kind, calls) = if random.below(3) == 0 { ("write", CALLS - SYNCS) } else { ("sync", SYNCS) };
            vec![
                setting("SHIM_HOW", "eio"),
                setting("SHIM_KIND", kind),
                setting("SHIM_FAIL", &(1 + random.below(calls))),
                setting("SHIM_CUT", &(1 + random.below(40))),
            ]
        } else {
            vec![setting("SHIM_CUT", &(1 + random.below(CALLS)))]
        };
        disk.fresh();
        let output = disk.run_synced(&settings);
        if output.status.code() != Some(77) {
            // It had ended before, and nothing was cut.
            return true;
        }
        if number.is_multiple_of(2) && !cuts.lies {
            let share = 1 + random.below(9);
            disk.write_back(|| random.below(10) < share);
        }
        let said = Said::new(&output);
        let missing = missing(&disk.synced().join("journal.db"), &said);
        let mut outcome = outcome.lock().unwrap();
        if outcome.cuts == cuts.count {
            return false;
        }
        outcome.cuts += 1;
        outcome.after_failure += u64::from(fails);
        outcome.accepted += said.accepted.len() as u64;
        outcome.lost += missing.len() as u64;
        if let (Some(missing), None) = (missing.first(), &outcome.first) {
            outcome.first = Some(format!("cut {number}, {settings:?}: {missing}: {said:?}"));
        }
        outcome.cuts < cuts.count
    });
    let outcome = outcome.into_inner().unwrap();
    println!(
        "{} power cuts, seed {}, {}, {} of them after a failed call: {} messages accepted, {} promises lost",
        outcome.cuts,
        cuts.seed,
        if cuts.lies { "each sync swallowed" } else { "syncs as they are" },
        outcome.after_failure,
        outcome.accepted,
        outcome.lost,
    );
    outcome
}

#[test]
fn a_power_cut_loses_nothing_that_was_answered() {
    let outcome = cut_power(Cuts { seed: 1, count: if is_long() { 2000 } else { 120 }, lies: false });
    assert_eq!(outcome.first, None);
    assert!(outcome.accepted > outcome.cuts * 4, "the power was cut too early: {}", outcome.accepted);
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught_by_this_very_test() {
    let outcome = cut_power(Cuts { seed: 1, count: if is_long() { 100 } else { 10 }, lies: true });
    assert!(outcome.lost >= outcome.accepted && outcome.lost > outcome.cuts, "only {}", outcome.lost);
}

#[test]
fn a_full_disk_is_survived_once_there_is_room() {
    let disk = Disk::new("full");
    for room in [20_000, 100_000, 300_000] {
        disk.fresh();
        let output = disk.run(&[setting("SHIM_ROOM", &room), setting("SHIM_FULL", &2)]);
        let said = Said::new(&output);
        assert_eq!(said.accepted.len() as u64, MANY, "{said:?}");
        assert!(said.failures > 0, "{said:?}");
        assert_eq!(missing(&disk.file(), &said), [""; 0], "{said:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_the_size_of_files_is_waited_for_as_a_full_disk_is() {
    let disk = Disk::new("limit");
    // A journal that does not wait gives up at the third failure. Between two of them there may be room in the log again.
    for (limit, failures) in [(100_000, 4), (140_000, 1)] {
        disk.fresh();
        let said = Said::new(&disk.run(&[setting(LIMIT, &limit)]));
        assert_eq!(said.accepted.len() as u64, MANY, "{said:?}");
        assert!(said.failures >= failures, "{said:?}");
        assert_eq!(missing(&disk.file(), &said), [""; 0], "{said:?}");
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_is_refused() {
    let disk = Disk::new("none");
    for room in [0, 5000, 40_000] {
        let output = disk.run(&[setting("SHIM_ROOM", &room), setting("SHIM_FULL", &1_000_000)]);
        let said = Said::new(&output);
        let line = said.other.first().cloned().unwrap_or_default();
        assert!(line.starts_with("refused the disk of the journal") && line.ends_with("is full"), "{said:?}");
        let left = std::fs::read_dir(disk.data()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != "journal.db.lock").collect();
        assert_eq!(left, [""; 0], "with room for {room} bytes");
    }
}

#[test]
fn a_slow_disk_is_only_slow() {
    let disk = Disk::new("slow");
    disk.fresh();
    let said = Said::new(&disk.run(&[setting("SHIM_HOW", "stall")]));
    assert_eq!((said.accepted.len() as u64, said.failures), (MANY, 0), "{said:?}");
    assert_eq!(missing(&disk.file(), &said), [""; 0], "{said:?}");
}
