//! A disk that fails, fills up, stalls or loses its power: what was answered is there, and nothing is answered that is not.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Answer, Entry, Journal};
use evenkeel::transport::Acceptance;

use crate::made::{Folder, begin_at_once, promise, write};

/// The name of the test that is the child process, and what makes it one.
const CHILD: &str = "faults::child";
const FILE: &str = "EVENKEEL_TEST_JOURNAL";

/// How many messages the child writes.
const MESSAGES: u64 = 24;

/// The workload, when this program is started as a child; nothing otherwise.
///
/// Each message is accepted, given a reply and, in two of three cases, done. What was answered is printed at once.
#[test]
fn child() {
    let Ok(file) = std::env::var(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut journal = match SqliteJournal::open(&file) {
            Ok(journal) => journal,
            Err(error) => return say(&format!("refused {error}")),
        };
        if let Err(error) = journal.recover().await {
            return say(&format!("refused {error}"));
        }
        for at in 0..MESSAGES {
            if let Err(error) = message(&mut journal, at).await {
                return say(&format!("failed {error}"));
            }
        }
        let vitals = journal.health().vitals();
        assert!(!vitals.is_failing);
        say(&format!("failures {}", vitals.failures));
        journal.close().await;
        say("closed");
    });
}

async fn message(journal: &mut SqliteJournal, at: u64) -> evenkeel::Result<()> {
    let written = journal.write(vec![begin_at_once(&format!("event {at}"))]).await?;
    let Answer::Accepted(Acceptance::New(sequence)) = written.answers[0] else {
        say(&format!("false duplicate {at}"));
        return Ok(());
    };
    say(&format!("accepted {sequence}"));
    let mut end = vec![promise(sequence, 0)];
    if !at.is_multiple_of(3) {
        end.push(Entry::Done { sequence });
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

/// What the child said.
#[derive(Debug, Default)]
struct Said {
    accepted: BTreeSet<u64>,
    promised: BTreeSet<u64>,
    done: BTreeSet<u64>,
    failures: u64,
    other: Vec<String>,
}

impl Said {
    fn new(output: &Output) -> Self {
        let mut said = Self::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some(line) = line.strip_prefix("says ") else { continue };
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let number = rest.parse().unwrap_or(0);
            match word {
                "accepted" => drop(said.accepted.insert(number)),
                "promised" => drop(said.promised.insert(number)),
                "done" => drop(said.done.insert(number)),
                "failures" => said.failures = number,
                _ => said.other.push(line.to_owned()),
            }
        }
        said
    }
}

/// Compiles the shim, once for each test that needs it.
fn shim(folder: &Folder) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journal/shim.c");
    let target = folder.path().join("shim.so");
    let arguments = ["-shared", "-fPIC", "-O1", "-o"];
    let status = Command::new("cc")
        .args(arguments)
        .arg(&target)
        .arg(source)
        .args(["-ldl", "-lpthread"])
        .status()
        .unwrap();
    assert!(status.success());
    target
}

/// A journal's folder, and the folder of what is synced.
struct Disk {
    folder: Folder,
    shim: PathBuf,
}

impl Disk {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let shim = shim(&folder);
        Self { folder, shim }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn synced(&self) -> PathBuf {
        self.folder.path().join("synced")
    }

    /// Empty folders with a fresh journal, which is on the disk.
    async fn fresh(&self) {
        for folder in [self.data(), self.synced()] {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
        }
        let file = self.data().join("journal.db");
        let mut journal = SqliteJournal::open(&file).unwrap();
        journal.recover().await.unwrap();
        journal.close().await;
        std::fs::copy(file, self.synced().join("journal.db")).unwrap();
    }

    fn run(&self, settings: &[(&str, String)]) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", CHILD, "--nocapture", "--test-threads=1"]);
        command.env(FILE, self.data().join("journal.db")).env("LD_PRELOAD", &self.shim);
        command.env("SHIM_FOLDER", self.data()).envs(settings.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    /// Like [`Disk::run`], with images of what is synced.
    fn run_synced(&self, settings: &[(&str, String)]) -> Output {
        let synced = ("SHIM_SYNCED", self.synced().display().to_string());
        self.run(&[settings, &[synced]].concat())
    }
}

/// Looks for what was answered and is not in the file, or the other way round.
async fn missing(file: PathBuf, said: &Said) -> Vec<String> {
    let mut journal = SqliteJournal::open(file).unwrap();
    let left = journal.recover().await.unwrap();
    let events: BTreeSet<u64> = left.events.iter().map(|event| event.sequence).collect();
    let letters: BTreeSet<u64> = left.letters.iter().map(|letter| letter.outbound.key.sequence).collect();
    let mut missing = Vec::new();
    for sequence in said.accepted.difference(&said.done) {
        // Its end may be in the file although its answer never came: then its reply is.
        if !events.contains(sequence) && !letters.contains(sequence) {
            missing.push(format!("event {sequence} is lost"));
        }
    }
    missing.extend(said.promised.difference(&letters).map(|sequence| format!("reply {sequence} is lost")));
    missing.extend(said.done.intersection(&events).map(|sequence| format!("event {sequence} is not done")));
    let again = (0..said.accepted.len()).map(|at| begin_at_once(&format!("event {at}"))).collect();
    for (at, answer) in write(&mut journal, again).await.iter().enumerate() {
        if !matches!(answer, Answer::Accepted(Acceptance::Duplicate)) {
            missing.push(format!("event {at} is new once more"));
        }
    }
    missing
}

#[tokio::test]
async fn no_answer_is_false_when_one_call_fails() {
    let disk = Disk::new("calls");
    let mut mended = 0;
    // A full disk is waited for, a second each time.
    for (how, count) in [("eio", 45), ("enospc", 8), ("short", 12)] {
        for at in 1..=count {
            disk.fresh().await;
            let output = disk.run(&[("SHIM_HOW", how.to_owned()), ("SHIM_FAIL", (at * 3).to_string())]);
            let said = Said::new(&output);
            let context = format!("{how} at call {}: {said:?}", at * 3);
            assert!(output.status.success(), "{context}\n{}", String::from_utf8_lossy(&output.stderr));
            mended += said.failures;
            let is_refused = said.other.iter().any(|line| line.starts_with("refused"));
            assert!(is_refused || said.accepted.len() as u64 == MESSAGES, "{context}");
            assert_eq!(missing(disk.data().join("journal.db"), &said).await, [""; 0], "{context}");
        }
    }
    assert!(mended > 25, "the faults were met: {mended}");
}

#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_answered() {
    let disk = Disk::new("power");
    let mut cuts = 0;
    for at in 1..=60 {
        disk.fresh().await;
        let output = disk.run_synced(&[("SHIM_CUT", (at * 4).to_string())]);
        let said = Said::new(&output);
        cuts += u32::from(output.status.code() == Some(77));
        assert_eq!(
            missing(disk.synced().join("journal.db"), &said).await,
            [""; 0],
            "cut at {}: {said:?}",
            at * 4
        );
    }
    assert!(cuts > 40, "the power was cut: {cuts}");
}

#[tokio::test]
async fn a_disk_that_lies_about_syncs_is_caught_by_this_very_test() {
    let disk = Disk::new("lies");
    let mut losses = 0;
    for at in [100, 150, 200] {
        disk.fresh().await;
        let output = disk.run_synced(&[("SHIM_CUT", at.to_string()), ("SHIM_HOW", "lie".to_owned())]);
        losses += missing(disk.synced().join("journal.db"), &Said::new(&output)).await.len();
    }
    assert!(losses > 20, "only {losses}");
}

#[tokio::test]
async fn a_full_disk_is_survived_once_there_is_room() {
    let disk = Disk::new("full");
    for room in [20_000, 100_000, 300_000] {
        disk.fresh().await;
        let output = disk.run(&[("SHIM_ROOM", room.to_string()), ("SHIM_FULL", "2".to_owned())]);
        let said = Said::new(&output);
        assert_eq!(said.accepted.len() as u64, MESSAGES, "{said:?}");
        assert!(said.failures > 0, "{said:?}");
        assert_eq!(missing(disk.data().join("journal.db"), &said).await, [""; 0], "{said:?}");
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_is_refused() {
    let disk = Disk::new("none");
    std::fs::create_dir_all(disk.data()).unwrap();
    for room in [0, 5000, 40_000] {
        let output = disk.run(&[("SHIM_ROOM", room.to_string()), ("SHIM_FULL", "1000000".to_owned())]);
        let said = Said::new(&output);
        let line = said.other.first().cloned().unwrap_or_default();
        assert!(line.starts_with("refused the disk of the journal") && line.ends_with("is full"), "{said:?}");
        let left = std::fs::read_dir(disk.data()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != "journal.db.lock").collect();
        assert_eq!(left, [""; 0], "with room for {room} bytes");
    }
}

#[tokio::test]
async fn a_slow_disk_is_only_slow() {
    let disk = Disk::new("slow");
    disk.fresh().await;
    let said = Said::new(&disk.run(&[("SHIM_HOW", "stall".to_owned())]));
    assert_eq!((said.accepted.len() as u64, said.failures), (MESSAGES, 0), "{said:?}");
    assert_eq!(missing(disk.data().join("journal.db"), &said).await, [""; 0], "{said:?}");
}
