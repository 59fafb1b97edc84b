//! What a bot at rest takes, with a fresh journal and with one that knows many messages again.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::Options;

use super::Plan;
use super::disk::Disk;
use super::medians::median;
use crate::contender::{Contender, Keeps};
use crate::journal::fill;
use crate::signal::run::wait_for_socket;

/// Messages that a journal knows again for 30 days.
const SEEN: u64 = 5_000_000;
/// After this long without work, memory is what it is at rest.
const REST: Duration = Duration::from_secs(2);

/// Prints the resident memory of both.
pub(super) fn run(plan: &Plan) -> io::Result<()> {
    let disk = Disk::new()?;
    let seen = if plan.is_short { 20_000 } else { SEEN };
    let full = disk.folder().join("seen.db");
    fill::seen(&full, seen)?;
    let bot = plan.bot()?;
    let (mut fresh, mut filled) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeats {
        fresh.push(idle_mib(&bot.clone().with_journal(Keeps::OnDisk))?);
        filled.push(idle_mib(&bot.clone().with_setting("EVENKEEL_JOURNAL", PathBuf::from(&full)))?);
    }
    let (fresh, filled) = (median(&fresh), median(&filled));
    println!("\nresident memory of a bot at rest; {}", plan.medians());
    println!("  with a fresh file  {fresh:.1} MiB");
    println!(
        "  with a file that knows {seen} messages again  {filled:.1} MiB, {:.1} MiB more",
        filled - fresh
    );
    Ok(())
}

fn idle_mib(bot: &Contender) -> io::Result<f64> {
    let standin = Standin::start(Options::default())?;
    let mut running = bot.start(&standin.address().to_string())?;
    wait_for_socket(&standin, &mut running, bot.name)?;
    std::thread::sleep(REST);
    Ok(running.process().resident_bytes_exact()? as f64 / f64::from(1 << 20))
}
