//! A plain tokio program: three tasks tick, one blocks, and the ticks go on.
//!
//! `cargo run --release -p evenkeel-guard --example program`

#![allow(clippy::print_stdout, reason = "it is there to be looked at")]

use std::time::Duration;

use evenkeel_guard::{Executor, Label, Report};
use tokio::runtime::Handle;
use tokio::time::sleep;

#[cfg(test)]
const THE_MISTAKE: u32 = line!();

/// The mistake: a pause that keeps the thread.
async fn load_prices() -> &'static str {
    std::thread::sleep(Duration::from_millis(200));
    "12.50"
}

/// Answers with the report of what blocked.
async fn run() -> Option<Report> {
    let executor = Executor::threads(Handle::current(), 2);
    let mut reports = executor.subscribe();

    let tick = Label::new("tick");
    for n in 1..=3 {
        let ticks = async move {
            loop {
                sleep(Duration::from_millis(50)).await;
                println!("tick {n}");
            }
        };
        executor.spawn(&tick, ticks).detach();
    }

    match executor.run(Label::new("load prices"), load_prices()).await {
        Ok(prices) => println!("prices: {prices}"),
        Err(error) => println!("no prices: {error}"),
    }
    // A call that lasts is reported when it is found, and again when it is over.
    loop {
        let report = reports.next().await?;
        println!("{report}");
        if report.is_over {
            return Some(report);
        }
    }
}

#[tokio::main]
async fn main() {
    run().await;
}

#[tokio::test]
async fn the_report_names_the_line_and_what_to_write_instead() {
    let report = run().await.expect("one call blocks");
    assert_eq!((&*report.name, &*report.call), ("load prices", "std::thread::sleep"));
    assert!(report.file.ends_with("examples/program.rs") && report.is_exact, "{report}");
    assert_eq!(report.line, THE_MISTAKE + 4, "{report}");
    assert!(report.taken_over.is_some(), "the ticks went on: {report}");
    assert_eq!(report.advice, "use `tokio::time::sleep(duration).await`");
}
