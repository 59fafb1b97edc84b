//! What a dedupe key costs in a journal that knows many: one that comes again, and a new one.

use std::borrow::Cow;
use std::io;
use std::time::Instant;

use evenkeel::Event;
use evenkeel::journal::sqlite::{SqliteOptions, SqliteStore};
use evenkeel::journal::store::{Batch, Body, EventStage, EventState, Intake, NewRow, Store, Sync, Taken};
use tokio::runtime::{Builder, Runtime};

use super::Plan;
use super::disk::Disk;
use super::medians::median;
use crate::journal::bots::told;
use crate::journal::{event, fill};

/// Messages that the journal knows again.
const KNOWN: u64 = 1_000_000;

/// In one commit: what a commit costs by itself is hardly seen.
const STEP: u64 = 1_000;

/// How many commits there are of each kind.
const STEPS: u64 = 20;

/// Prints what each key costs, while the file is asked and once a filter knows what is in it.
pub(super) fn run(plan: &Plan) -> io::Result<()> {
    let (known, steps) = if plan.is_short { (100_000, 2) } else { (KNOWN, STEPS) };
    let disk = Disk::new()?;
    let path = disk.folder().join("keys.db");
    fill::seen(&path, known)?;
    let runtime = Builder::new_current_thread().build()?;
    let mut next = known;
    let (mut asking, mut filtered) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeats {
        let store = SqliteOptions::new().open_store(&path).map_err(|error| told(&error))?;
        let mut keys = Keys { store, runtime: &runtime, known, steps };
        keys.runtime.block_on(keys.store.claim()).map_err(|error| told(&error))?;
        asking.push(keys.costs(0, &mut next)?);
        while keys.store.tidy() {}
        filtered.push(keys.costs(steps * STEP, &mut next)?);
        keys.runtime.block_on(keys.store.close());
    }
    println!("\na dedupe key, in a journal that knows {known}; microseconds; {}", plan.medians());
    println!("                               comes again       new");
    for (what, costs) in [("while the file is asked", asking), ("with the filter", filtered)] {
        let (again, new): (Vec<_>, Vec<_>) = costs.into_iter().unzip();
        println!("  {what:<28} {:>11.2} {:>9.2}", median(&again), median(&new));
    }
    Ok(())
}

struct Keys<'a> {
    store: SqliteStore,
    runtime: &'a Runtime,
    known: u64,
    steps: u64,
}

impl Keys<'_> {
    /// What a key costs that comes again, of those from this number on, and what a new one does beyond an event without a key.
    fn costs(&mut self, known: u64, next: &mut u64) -> io::Result<(f64, f64)> {
        let (mut again, mut new) = (0.0, 0.0);
        for step in 0..self.steps {
            again += self.micros(known + step * STEP, true)?;
            new += self.micros(*next, true)? - self.micros(*next + STEP, false)?;
            *next += 2 * STEP;
        }
        let count = (self.steps * STEP) as f64;
        Ok((again / count, new / count))
    }

    /// What events from this number on cost, with their keys or without.
    fn micros(&mut self, first: u64, is_keyed: bool) -> io::Result<f64> {
        let events: Vec<_> = (first..first + STEP).map(|number| event(number, "x".repeat(80))).collect();
        let intake = events.iter().map(|event| arrival(event, is_keyed)).collect();
        let batch = Batch { cursors: Vec::new(), intake, work: Vec::new(), now_ms: None, sync: Sync::Lazy };
        let start = Instant::now();
        let committed = self.runtime.block_on(self.store.commit(&batch)).map_err(|error| told(&error))?;
        let spent = start.elapsed();
        self.store.settle();
        let is_right = |taken: &Taken| matches!(taken, Taken::New(_)) == (first >= self.known);
        if !committed.intake.iter().all(is_right) {
            return Err(io::Error::other("the journal took a key for another one"));
        }
        Ok(spent.as_secs_f64() * 1e6)
    }
}

fn arrival(event: &Event, is_keyed: bool) -> Intake<'_> {
    let (stage, attempts, crashes, has_begun, due_ms) = (EventStage::Ready, 0, 0, false, 0);
    let state = EventState { stage, attempts, crashes, has_begun, due_ms };
    let row = NewRow::Event {
        body: Body::Event(Cow::Borrowed(event)),
        state,
        steps: Vec::new(),
        replies: Vec::new(),
    };
    let dedupe = is_keyed.then(|| event.id());
    let dedupe = dedupe.map(Cow::Borrowed);
    Intake { conversation: Cow::Borrowed(event.conversation().id()), dedupe, row }
}
