//! What a sync of this disk takes, as the journal asks for it, and a disk whose syncs take longer.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::medians::median;
use crate::contender::{self, Contender};
use crate::preload;

const SHIM: &str = include_str!("shim.c");
/// Beside a slower disk, no figure says anything about a bot.
const SLOWEST_MS: f64 = 0.3;
/// For this many seconds in all a machine is waited for that is busy with something else.
const PATIENCE: u32 = 30;
/// The length of the journal's log, which is written over again and again.
const LOG_BYTES: u64 = 8 << 20;
/// Two pages and their headers: a small batch.
const BATCH_BYTES: usize = 2 * (4096 + 24);
const SYNCS: usize = 300;
/// What the library counts, in its order.
const COUNTED: [&str; 4] = ["commits", "syncs", "pwrite", "fcntl"];

/// The disk on which the bots have their journals, and a library beside it that is loaded into them.
pub(super) struct Disk {
    folder: PathBuf,
    /// How much longer each sync takes.
    more: Duration,
    /// Medians, in milliseconds, in the order in which they were measured.
    syncs: Vec<f64>,
    /// Seconds left to wait for a machine that is busy.
    patience: u32,
}

impl Disk {
    pub(super) fn new() -> io::Result<Self> {
        Self::slowed(Duration::ZERO)
    }

    /// The same disk with syncs that take longer.
    pub(super) fn slowed(more: Duration) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = contender::disk()?.join(format!("heart-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, more, syncs: Vec::new(), patience: PATIENCE })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts a bot on this disk.
    pub(super) fn under(&self, bot: &Contender) -> io::Result<Contender> {
        let bot = bot.clone().with_journal(contender::Keeps::OnDisk);
        if self.more.is_zero() {
            return Ok(bot);
        }
        let [(preload, library), (name, micros)] = self.settings()?;
        Ok(bot.with_setting(preload, library).with_setting(name, micros))
    }

    fn settings(&self) -> io::Result<[(&'static str, OsString); 2]> {
        let micros = self.more.as_micros().to_string();
        Ok([("LD_PRELOAD", library(&self.folder)?.into()), ("BENCH_SYNC_MORE_US", micros.into())])
    }

    /// Measures a sync, to be done before and after whatever it is set beside.
    pub(super) fn measure(&mut self) -> io::Result<()> {
        let sync = if self.more.is_zero() { sync_ms(&self.folder)? } else { self.measure_beside()? };
        self.syncs.push(sync);
        Ok(())
    }

    /// The same, once the disk is not busy with something else; after a while, all the same.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        while self.patience > 0 && sync_ms(&self.folder)? > SLOWEST_MS {
            self.patience -= 1;
            std::thread::sleep(Duration::from_secs(1));
        }
        self.measure()
    }

    /// The library cannot be loaded into this process any more.
    fn measure_beside(&self) -> io::Result<f64> {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["sync".as_ref(), self.folder.as_os_str()]).envs(self.settings()?);
        let said = String::from_utf8_lossy(&child.output()?.stdout).into_owned();
        said.trim().parse().map_err(|_| io::Error::other(format!("no sync was measured: `{said}`")))
    }

    /// The median of all that was measured, in milliseconds.
    pub(super) fn sync_ms(&self) -> f64 {
        median(&self.syncs)
    }

    /// What to print behind a figure that says nothing, because the disk is slow.
    pub(super) fn warning(&self) -> Option<String> {
        let own = |sync_ms: f64| sync_ms - self.more.as_secs_f64() * 1e3;
        let sync_ms = own(self.sync_ms());
        (sync_ms > SLOWEST_MS).then(|| {
            let worst = own(self.syncs.iter().copied().fold(0.0, f64::max));
            format!("no verdict: a sync took {sync_ms:.2} ms, {worst:.2} once; {SLOWEST_MS} is the most")
        })
    }

    /// What is printed beside each table.
    pub(super) fn heading(&self) -> String {
        let warning = self.warning().map(|warning| format!(" ({warning})")).unwrap_or_default();
        let worst = self.syncs.iter().copied().fold(0.0, f64::max);
        format!("sync p50 {:.3} ms, {worst:.3} at worst, written over{warning}", self.sync_ms())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Files that stay take room, and nothing else.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A bot whose calls are counted.
pub(super) struct Counted {
    file: PathBuf,
}

impl Counted {
    /// Returns the bot with the library, and where it counts.
    pub(super) fn new(disk: &Disk, bot: &Contender) -> io::Result<(Contender, Self)> {
        let file = disk.folder.join("counts");
        File::create(&file)?.write_all(&[0; 8 * COUNTED.len()])?;
        let library = library(&disk.folder)?;
        let bot = bot.clone().with_setting("LD_PRELOAD", library).with_setting("BENCH_COUNTS", &file);
        Ok((bot, Self { file }))
    }

    /// Returns the names of the calls, and how many there were until now.
    pub(super) fn read(&self) -> io::Result<impl Iterator<Item = (&'static str, u64)>> {
        let bytes = fs::read(&self.file)?;
        let numbers = bytes.chunks_exact(8).map(|eight| eight.try_into().map_or(0, u64::from_ne_bytes));
        Ok(COUNTED.into_iter().zip(numbers.collect::<Vec<_>>()))
    }
}

fn library(folder: &Path) -> io::Result<PathBuf> {
    let library = folder.join("shim.so");
    if !library.is_file() {
        preload::compile(SHIM, &library)?;
    }
    Ok(library)
}

/// Prints the median of a sync in that folder: the hidden command `sync`.
pub(crate) fn print(folder: &Path) -> io::Result<()> {
    println!("{}", sync_ms(folder)?);
    Ok(())
}

/// Returns the median of a few hundred syncs in milliseconds, each after a write over what is there: a file that grows
/// takes up to half as long again, and the journal's log does not grow.
fn sync_ms(folder: &Path) -> io::Result<f64> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    file.write_all(&vec![b'x'; LOG_BYTES as usize])?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for turn in 0..SYNCS {
        let batch = [turn as u8; BATCH_BYTES];
        let start = Instant::now();
        file.write_all_at(&batch, (turn * BATCH_BYTES) as u64 % (LOG_BYTES - BATCH_BYTES as u64))?;
        // As SQLite does: it is built without `fdatasync`.
        file.sync_all()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(path)?;
    Ok(median(&times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_gives_no_verdict() {
        let mut disk = Disk::new().expect("a folder");
        disk.syncs = vec![0.1, 0.2, 0.4];
        assert_eq!((disk.sync_ms(), disk.warning()), (0.2, None));
        disk.syncs.push(0.4);
        assert!(disk.heading().contains("no verdict: a sync took 0.40 ms"), "{}", disk.heading());
        disk.more = Duration::from_micros(150);
        assert_eq!(disk.warning(), None, "what was added on purpose is no doubt");
    }
}
