//! Processes that keep the machine busy.

use std::hint::black_box;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::Arguments;

/// This many busy processes for each core.
const FOR_EACH_CORE: usize = 2;

/// Busy processes, which end with this, and at the latest when this process does or their time is up.
pub(crate) struct Load(Vec<Child>);

impl Load {
    pub(crate) fn start(seed: u64, at_most: Duration) -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let program = std::env::current_exe().expect("the path of this program");
        let start = |number: u64| {
            Command::new(&program)
                .args(["busy", "--seed", &(seed * 1000 + number).to_string()])
                .args(["--seconds", &at_most.as_secs().to_string()])
                .stdin(Stdio::piped())
                .spawn()
                .expect("this program starts once more")
        };
        Self((0..(FOR_EACH_CORE * cores) as u64).map(start).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
            // It ends by itself at the end of its input.
            let _ended = child.wait();
        }
    }
}

/// Computes, allocates, writes and rests by turns until standard input or the time ends.
pub(crate) fn be_busy(arguments: &Arguments) -> bool {
    let is_over = Arc::<AtomicBool>::default();
    let over = Arc::clone(&is_over);
    thread::spawn(move || {
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        over.store(true, Relaxed);
    });
    let (began, mut random) = (Instant::now(), fastrand::Rng::with_seed(arguments.seed));
    let path = crate::row::scratch("busy");
    while !is_over.load(Relaxed) && began.elapsed() < arguments.length {
        match random.u32(..10) {
            0 => drop(std::fs::write(&path, vec![b'x'; 64 << 10])),
            1 => drop(black_box(vec![1_u8; random.usize(..4 << 20)])),
            2 => thread::sleep(Duration::from_micros(random.u64(..2000))),
            _ => compute(Duration::from_micros(random.u64(..20_000))),
        }
    }
    true
}

fn compute(length: Duration) {
    let end = crate::row::cpu_time() + length;
    while crate::row::cpu_time() < end {
        (0..1000).for_each(|number| _ = black_box(number));
    }
}
