//! A disk for one journal and one child process, and what a power cut leaves of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use evenkeel::journal::Acceptance;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Answer, Journal};

use crate::made::{Folder, begin_at_once, write};

/// What makes a program of these tests the child, and how much it writes.
pub(crate) const FILE: &str = "EVENKEEL_TEST_JOURNAL";
pub(crate) const MESSAGES: &str = "EVENKEEL_TEST_MESSAGES";

/// What a power cut tears a file into: less than a page, for a page may be half written.
const SECTOR: usize = 512;

/// What the child said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) accepted: BTreeSet<u64>,
    promised: BTreeSet<u64>,
    done: BTreeSet<u64>,
    pub(crate) failures: u64,
    pub(crate) other: Vec<String>,
}

impl Said {
    pub(crate) fn new(output: &Output) -> Self {
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

    pub(crate) fn is_refused(&self) -> bool {
        self.other.iter().any(|line| line.starts_with("refused"))
    }
}

/// Compiles the shim, once for all tests.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journal/shim.c");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("journal-shim.so");
        let draft = target.with_extension(std::process::id().to_string());
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&draft).arg(source).args(["-ldl", "-lpthread"]);
        assert!(compile.status().unwrap().success());
        // Another run of these tests may have the old one in use.
        fs::rename(draft, &target).unwrap();
        target
    })
}

/// A journal's folder, and the folder of what is synced.
pub(crate) struct Disk(Folder);

impl Disk {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let disk = Self(Folder::new(&format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed))));
        fs::create_dir_all(disk.data()).unwrap();
        disk
    }

    pub(crate) fn data(&self) -> PathBuf {
        fs::canonicalize(self.0.path()).unwrap().join("data")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.data().join("journal.db")
    }

    pub(crate) fn synced(&self) -> PathBuf {
        self.0.path().join("synced")
    }

    /// Whether the call that was to fail has come, since the disk was fresh.
    pub(crate) fn has_failed(&self) -> bool {
        self.met().exists()
    }

    fn met(&self) -> PathBuf {
        self.0.path().join("met")
    }

    /// Empty folders with a fresh journal, which is on the disk.
    pub(crate) fn fresh(&self) {
        self.holds(empty());
    }

    /// Empty folders with this journal, which is on the disk.
    pub(crate) fn holds(&self, journal: &[u8]) {
        for folder in [self.data(), self.synced()] {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
        }
        let _ = fs::remove_file(self.met());
        fs::write(self.file(), journal).unwrap();
        fs::write(self.synced().join("journal.db"), journal).unwrap();
    }

    pub(crate) fn run(&self, settings: &[(&str, String)]) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "faults::child", "--nocapture", "--test-threads=1"]);
        command.env(FILE, self.file()).env("LD_PRELOAD", shim());
        command.env("SHIM_FOLDER", self.data()).env("SHIM_MET", self.met());
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    /// Like [`Disk::run`], with images of what is synced.
    pub(crate) fn run_synced(&self, settings: &[(&str, String)]) -> Output {
        let synced = ("SHIM_SYNCED", self.synced().display().to_string());
        self.run(&[settings, &[synced]].concat())
    }

    /// Lets some of what was not synced reach the disk all the same: a system writes back when it likes.
    pub(crate) fn write_back(&self, mut reaches: impl FnMut() -> bool) {
        for entry in fs::read_dir(self.synced()).unwrap() {
            let image = entry.unwrap().path();
            let Ok(data) = fs::read(self.data().join(image.file_name().unwrap())) else { continue };
            let mut bytes = fs::read(&image).unwrap();
            if bytes.len() < data.len() {
                bytes.resize(data.len(), 0);
            }
            for (to, from) in bytes.chunks_mut(SECTOR).zip(data.chunks(SECTOR)) {
                if to[..from.len()] != *from && reaches() {
                    to[..from.len()].copy_from_slice(from);
                }
            }
            fs::write(image, bytes).unwrap();
        }
    }
}

/// A journal in which nothing is.
fn empty() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let folder = Folder::new("empty");
        block_on(async {
            let mut journal = SqliteJournal::open(folder.file()).unwrap();
            journal.recover().await.unwrap();
            journal.close().await;
        });
        fs::read(folder.file()).unwrap()
    })
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Looks for what was answered and is not in the file, or the other way round.
pub(crate) fn missing(file: &Path, said: &Said) -> Vec<String> {
    block_on(async {
        let mut journal = match SqliteJournal::open(file) {
            Ok(journal) => journal,
            Err(error) => return vec![error.to_string()],
        };
        let left = match journal.recover().await {
            Ok(left) => left,
            Err(error) => return vec![error.to_string()],
        };
        let events: BTreeSet<u64> = left.events.iter().map(|event| event.sequence).collect();
        let replies: BTreeSet<u64> = left.replies.iter().map(|letter| letter.outbound.key.sequence).collect();
        let mut missing = Vec::new();
        for sequence in said.accepted.difference(&said.done) {
            // Its end may be in the file although its answer never came: then its reply is.
            if !events.contains(sequence) && !replies.contains(sequence) {
                missing.push(format!("event {sequence} is lost"));
            }
        }
        missing
            .extend(said.promised.difference(&replies).map(|sequence| format!("reply {sequence} is lost")));
        missing
            .extend(said.done.intersection(&events).map(|sequence| format!("event {sequence} is not done")));
        let again = (0..said.accepted.len()).map(|at| begin_at_once(&format!("event {at}"))).collect();
        for (at, answer) in write(&mut journal, again).await.iter().enumerate() {
            if !matches!(answer, Answer::Accepted(Acceptance::Duplicate)) {
                missing.push(format!("event {at} is new once more"));
            }
        }
        missing
    })
}
