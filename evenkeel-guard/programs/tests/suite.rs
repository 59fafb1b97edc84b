//! A test suite as others have it: many tests at once, each of them strict. `run.sh` has it run on 16 threads.
//!
//! What is right must never fail here, whatever else the machine does; what blocks must, in every run.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::{Class, Options, findings, strict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};

/// Asks a server of its own once.
async fn talk(round: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client comes");
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).await.expect("it asks");
        stream.write_all(&asked).await.expect("it reads");
    });
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let (asked, mut answered) = (round.to_le_bytes(), [0; 8]);
    stream.write_all(&asked).await.expect("it reads");
    stream.read_exact(&mut answered).await.expect("it answers");
    assert_eq!(asked, answered);
    server.await.expect("it ends well");
}

async fn files() {
    let text = tokio::fs::read_to_string("Cargo.toml").await.expect("the package has one");
    assert!(text.contains("[package]"));
    tokio::fs::metadata("src").await.expect("the package has it");
}

async fn channels() {
    let (tx, mut rx) = mpsc::channel(1);
    let sender = tokio::spawn(async move {
        for n in 0..200 {
            tx.send(n).await.expect("the receiver waits");
        }
    });
    let mut sum = 0;
    while let Some(n) = rx.recv().await {
        sum += n;
    }
    assert_eq!(sum, 19_900);
    sender.await.expect("it ends well");
}

async fn locks() {
    let count = Arc::new(Mutex::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                for _ in 0..50 {
                    *count.lock().await += 1;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it ends well");
    }
    assert_eq!(*count.lock().await, 400);
}

async fn blocking_where_it_belongs() {
    let slept = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(5)));
    let (tx, rx) = oneshot::channel();
    let thread = std::thread::spawn(move || tx.send(std::fs::read("Cargo.toml").map(|bytes| bytes.len())));
    slept.await.expect("it ends well");
    assert!(rx.await.expect("the thread answers").is_ok());
    // It has ended, or is about to.
    drop(thread);
}

async fn memory() {
    let mut held = Vec::new();
    for n in 0..200 {
        held.push(vec![n as u8; 1 << 12]);
        if n % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(held.len(), 200);
}

/// Each row gives four tests of one kind.
macro_rules! harmless {
    ($($name:ident: $future:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn passes_once() {
                strict($future).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn passes_on_two_threads() {
                strict($future).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn passes_spawned() {
                tokio::spawn(strict($future)).await.expect("it passes");
            }

            #[tokio::test]
            async fn passes_again_and_again() {
                for _ in 0..5 {
                    strict($future).await;
                }
            }
        }
    )*};
}

harmless! {
    talking: talk(7);
    reading_files: files();
    passing_messages: channels();
    sharing: locks();
    leaving_it_to_other_threads: blocking_where_it_belongs();
    allocating: memory();
}

#[tokio::test]
async fn a_sleep_on_the_thread_fails_whatever_else_runs() {
    let ((), found) = findings(Options::default().with_strictness(), async {
        std::thread::sleep(Duration::from_micros(1));
    })
    .await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].class, &*found[0].call), (Class::Sleep, "std::thread::sleep"), "{found:?}");
}

#[tokio::test]
async fn a_file_read_on_the_thread_fails_whatever_else_runs() {
    let (read, found) =
        findings(Options::default().with_strictness(), async { std::fs::read("Cargo.toml") }).await;
    assert!(read.is_ok());
    assert_eq!((found.len(), found[0].class), (1, Class::File), "{found:?}");
}
