//! What keeps a core busy, and what the hook cannot see.

use std::hint::black_box;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use evenkeel_guard::Class::{AlwaysReady, Compute, Sleep};
use rustix::thread::{Timespec, nanosleep};
use rustix::time::{ClockId, clock_gettime};

use crate::row::{Boxed, Row, STOP, Verdict, blocks, note, strict, threads};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        threads(43, "20 ms on the CPU", blocks(Compute, ""), || {
            Box::pin(async {
                here!(spin(Duration::from_millis(20)));
            })
        }),
        threads(44, "sorting 1.5 M numbers", blocks(Compute, ""), || {
            let mut seed = 42_u64;
            let numbers = std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                seed
            });
            let mut numbers: Vec<_> = numbers.take(1_500_000).collect();
            Box::pin(async move { here!(numbers.sort()) })
        }),
        threads(44, "bcrypt", blocks(Compute, "bcrypt"), || {
            Box::pin(async { drop(here!(bcrypt::hash("secret", 10))) })
        }),
        strict(45, "1 ms on the CPU", Verdict::Gray, || Box::pin(async { spin(Duration::from_millis(1)) })),
        strict(46, "formatting for 50 us", Verdict::Fine, || {
            Box::pin(async { drop(black_box((0..200).map(|n| format!("{n:?}")).collect::<Vec<_>>())) })
        }),
        strict(47, "first touch of 4 MB", Verdict::Gray, || {
            Box::pin(async { drop(black_box(vec![1_u8; 4 << 20])) })
        }),
        threads(
            48,
            "a channel that is always ready",
            // Told when one moment of the loop is known; a later one may show what kind of loop it is.
            Verdict::Blocks { class: AlwaysReady, call: "tokio::sync::mpsc", beside: &[Compute] },
            always_ready,
        ),
        threads(49, "a loop without end", blocks(Compute, ""), || {
            Box::pin(async {
                let from = line!();
                while !STOP.load(SeqCst) {
                    black_box(from);
                }
                note(file!(), from, line!());
            })
        }),
        threads(57, "a raw system call that sleeps", blocks(Sleep, "rustix::thread"), || {
            Box::pin(async {
                let length = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                let _rest = here!(nanosleep(&length));
            })
        }),
    ]
}

/// Computes for so long on this thread's CPU clock.
fn spin(length: Duration) {
    let from = line!();
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let end = now() + length;
    while now() < end {
        black_box(length);
    }
    note(file!(), from, line!());
}

fn always_ready() -> Boxed {
    let (tx, mut rx) = tokio::sync::mpsc::channel(4);
    tx.try_send(0_u64).unwrap();
    Box::pin(async move {
        let from = line!();
        while let Some(number) = rx.recv().await {
            if STOP.load(SeqCst) {
                break;
            }
            tx.send(number + 1).await.unwrap();
        }
        note(file!(), from, line!());
    })
}
