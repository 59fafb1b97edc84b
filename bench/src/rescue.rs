//! How long the others wait when a handler blocks: from the call until another thread has its place.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use evenkeel_guard::{Executor, Label, Options};

/// Handlers that block, one after the other.
const CALLS: usize = 2000;

/// Blocks a worker again and again and prints when its successor ran.
pub(crate) fn run() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let executor = Executor::with(runtime.handle().clone(), &Options::default().with_workers(2));
    // Everybody's label is never put in quarantine, where nobody has to be rescued.
    let label = Label::new("rescued").general();
    for _ in 0..CALLS {
        let (done, is_done) = mpsc::channel();
        let blocks = async move {
            thread::sleep(Duration::from_millis(1));
            // The benchmark waits below.
            let _told = done.send(());
        };
        executor.spawn(&label, blocks).detach();
        let _done = is_done.recv();
    }
    let counters = executor.counters();
    println!(
        "{} of {CALLS} calls were taken over; from the call until the successor ran: p50 {:.1} us, p99 {:.1} us",
        counters.taken_over,
        counters.taken_over_p50.as_secs_f64() * 1e6,
        counters.taken_over_p99.as_secs_f64() * 1e6,
    );
    Ok(())
}
