//! What comes back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use evenkeel_guard::isolate::{isolate, running, waiting};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{again, word};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(u64),
    Named {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        nick: Option<String>,
        age: Option<u8>,
    },
}

#[tokio::test]
async fn a_value_comes_back() {
    fn twice(number: u32) -> u32 {
        number * 2
    }
    assert_eq!(isolate(twice, 21).await.unwrap(), 42);
    assert_eq!(isolate(String::into_bytes, "hello".to_owned()).await.unwrap(), b"hello");
    assert_eq!(isolate(std::convert::identity, 'x').await.unwrap(), 'x');
    isolate(drop, ()).await.unwrap();
}

#[tokio::test]
async fn several_arguments_are_a_tuple() {
    let joined = isolate(|(text, times): (String, usize)| text.repeat(times), ("ab".to_owned(), 3));
    assert_eq!(joined.await.unwrap(), "ababab");
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    let same = |value: Vec<Loose>| value;
    let named = |nick: Option<&str>| Loose::Named {
        name: "Ada".to_owned(),
        nick: nick.map(str::to_owned),
        age: Some(36),
    };
    let loose = vec![Loose::Number(u64::MAX), named(None), named(Some("A"))];
    assert_eq!(isolate(same, loose.clone()).await.unwrap(), loose);

    let map = HashMap::from([((1, -1), vec![1.5, f64::INFINITY]), ((2, -2), vec![])]);
    assert_eq!(isolate(|map: HashMap<(i8, i64), Vec<f64>>| map, map.clone()).await.unwrap(), map);

    assert!(isolate(f64::sqrt, -1.0).await.unwrap().is_nan());
    let failed: Result<u8, String> = Err("no".to_owned());
    assert_eq!(isolate(|failed: Result<u8, String>| failed, failed.clone()).await.unwrap(), failed);
    assert_eq!(
        isolate(std::convert::identity, (i128::MIN, u128::MAX)).await.unwrap(),
        (i128::MIN, u128::MAX)
    );
}

#[tokio::test]
async fn ten_megabytes_go_and_come_back() {
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|at| (at % 251) as u8).collect();
    let turned = isolate(
        |mut bytes: Vec<u8>| {
            bytes.reverse();
            bytes
        },
        bytes.clone(),
    );
    let mut turned = turned.await.unwrap();
    turned.reverse();
    assert!(turned == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_queue() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut calls = JoinSet::new();
    for number in 0..100_u32 {
        calls.spawn(async move {
            assert_eq!(isolate(|number| number + 1, number).await.unwrap(), number + 1);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
        assert!(running() <= cores, "{} children on {cores} cores, {} wait", running(), waiting());
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_run_on_meanwhile() {
    if word().is_none() {
        // On its own, since it must not wait for a turn behind the children of other tests.
        let test = "returning::a_paused_clock_does_not_run_on_meanwhile";
        assert!(again(test, "alone").status().unwrap().success());
        return;
    }
    let call = isolate(|text: String| text, "still here".to_owned()).into_future();
    let text = tokio::time::timeout(Duration::from_millis(1), call).await;
    assert_eq!(text.expect("the clock stood still").unwrap(), "still here");
}

/// Prints what a call costs beside a start of `true`, which is about the smallest program there is.
#[tokio::test]
async fn a_call_costs() {
    let (mut calls, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let start = Instant::now();
        isolate(drop, ()).await.unwrap();
        calls.push(start.elapsed());
        let start = Instant::now();
        assert!(std::process::Command::new("true").status().unwrap().success());
        starts.push(start.elapsed());
    }
    calls.sort();
    starts.sort();
    let (call, start) = (calls[10], starts[10]);
    let ratio = call.as_secs_f64() / start.as_secs_f64();
    println!("a call: {call:?}; a start of `true`: {start:?}; ratio {ratio:.2} (medians of 21)");
}
