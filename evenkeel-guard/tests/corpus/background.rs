//! Nothing that is fine is reported, however loaded the machine.

use std::fs;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use evenkeel_guard::{Class, Executor, Label, Report};

use crate::fine;
use crate::row::{Boxed, alone, runtime, scratch};

/// Tasks at a time.
const TASKS: u64 = 16;

/// Counts the polls of a future.
struct Counted(Boxed, Arc<AtomicU64>);

impl Future for Counted {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self(future, polls) = self.get_mut();
        polls.fetch_add(1, Relaxed);
        future.as_mut().poll(cx)
    }
}

/// Allocates and writes files until it is told to stop.
fn load(is_over: &AtomicBool) {
    let path = scratch("load");
    let text = vec![b'x'; 64 << 10];
    while !is_over.load(Relaxed) {
        for _ in 0..100 {
            black_box(vec![0_u8; 100]);
            black_box(vec![1_u8; 1 << 20]);
        }
        fs::write(&path, &text).unwrap();
    }
    fs::remove_file(&path).unwrap();
}

/// Mostly short polls, and of each fine kind some.
async fn round(number: u64, shared: Arc<Mutex<u64>>) {
    let (tx, mut rx) = tokio::sync::mpsc::channel(1);
    let sender = tokio::spawn(async move {
        for item in 0..64_u64 {
            tx.send(item).await.unwrap();
        }
    });
    while let Some(item) = rx.recv().await {
        *shared.lock().unwrap() += item;
    }
    sender.await.unwrap();
    for _ in 0..500 {
        tokio::task::yield_now().await;
        black_box(format!("{number:?}"));
    }
    let kinds = fine::kinds();
    kinds[usize::try_from(number).unwrap() % kinds.len()]().await;
    if number.is_multiple_of(64) {
        fine::process().await;
    }
}

fn judge(reports: Vec<Report>, polls: u64) {
    let (contended, wrong): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|report| report.class == Class::Contention);
    let waits: u64 = contended.iter().map(|report| report.times).sum();
    eprintln!("polls: {polls}; false reports: {}; waits for a lock: {waits}", wrong.len());
    for report in contended.iter().chain(&wrong) {
        eprintln!("  {report}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn false_reports_there_are_none_on_a_loaded_machine() {
    let enough = if std::env::var_os("EVENKEEL_LONG").is_some() { 10_000_000 } else { 200_000 };
    let (is_over, polls) = (AtomicBool::new(false), Arc::<AtomicU64>::default());
    let _alone = alone();
    // The folder is there before anything is polled.
    let _path = scratch("none");
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| load(&is_over));
        }
        let shared = Arc::<Mutex<u64>>::default();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (shared, seen) = (Arc::clone(&shared), Arc::clone(&polls));
                let rounds = async move {
                    let mut number = task;
                    while seen.load(Relaxed) < enough {
                        round(number, Arc::clone(&shared)).await;
                        number += 1;
                    }
                };
                executor.spawn(&Label::new("round"), Counted(Box::pin(rounds), Arc::clone(&polls)))
            })
            .collect();
        while tasks.iter().any(|task| !task.is_finished()) {
            thread::yield_now();
        }
        is_over.store(true, Relaxed);
    });
    let _failures = executor.failures();
    judge(executor.reports(), polls.load(Relaxed));
}
